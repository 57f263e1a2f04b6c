"""Samples are written, rolled up, read and forgotten; what is not known is not taken for fine."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.monitoring import (
    MEASURES,
    METRICS,
    Books,
    Oneself,
    Platform,
    Sample,
    Sampler,
    Source,
    exposition,
    measure,
    points,
    usual,
)
from tillkeeper.monitoring import samples as rows
from tillkeeper.store import Store, Tx

Admin = psycopg.AsyncConnection
# Whole hours ago, and not so long that its partitions are past their age.
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)


async def write(store: Store, at: datetime, *taken: Sample) -> None:
    async with store.tx("test") as tx:
        await rows.keep_partitions(tx, at)
        await rows.Recorder().write(tx, taken, at)


async def test_a_sample_is_the_latest_until_it_is_stale(store: Store) -> None:
    await write(store, NOW, Sample("seal.waiting", 3))
    await write(store, NOW + timedelta(seconds=10), Sample("seal.waiting", 5))
    async with store.tx("test") as tx:
        (found,) = await rows.latest(tx, NOW - timedelta(seconds=30), NOW + timedelta(seconds=10))
        assert (found.metric, found.value) == ("seal.waiting", 5)
        fresh, stale = ManualClock(NOW + timedelta(seconds=39)), ManualClock(NOW + timedelta(seconds=41))
        assert b"till_seal_waiting 5.0" in await exposition(tx, fresh)
        assert b"till_seal_waiting" not in await exposition(tx, stale)


async def test_what_is_not_in_the_catalogue_is_refused(store: Store) -> None:
    with pytest.raises(KeyError, match=r"payments\.luck"):
        await write(store, NOW, Sample("payments.luck", 7))


async def test_two_processes_meet_a_series_at_once(store: Store) -> None:
    await asyncio.gather(
        *(write(store, NOW + timedelta(seconds=n), Sample("seal.waiting", n)) for n in range(4))
    )
    async with store.tx("test") as tx:
        assert len(await rows.latest(tx, NOW - timedelta(seconds=1), NOW + timedelta(seconds=9))) == 1


async def test_a_gauge_is_rolled_up_and_a_counter_by_what_it_rose(store: Store) -> None:
    values = [(0, 10), (100, 30), (200, 5), (299, 15), (300, 40)]  # it restarts between 100 and 200
    for second, value in values:
        at = NOW + timedelta(seconds=second)
        await write(store, at, Sample("seal.waiting", value), Sample("payments.asked", value))
    async with store.tx("test") as tx:
        assert not await rows.roll_up(tx, NOW + timedelta(seconds=310)), "the stretch may not be complete"
        assert await rows.roll_up(tx, NOW + timedelta(seconds=330))
        assert not await rows.roll_up(tx, NOW + timedelta(seconds=330)), "once is enough"
        (gauge,) = (await points(tx, "seal.waiting", NOW, NOW + timedelta(seconds=300), 300))["{}"]
        (counter,) = (await points(tx, "payments.asked", NOW, NOW + timedelta(seconds=300), 300))["{}"]
    assert (gauge.samples, gauge.total, gauge.low, gauge.high, gauge.last) == (4, 60, 5, 30, 15)
    assert counter.total == 20 + 5 + 10, "up by 20, then from 0 to 5 and on to 15"
    async with store.tx("test") as tx:
        assert await rows.roll_up(tx, NOW + timedelta(seconds=620))
        (_, second_half) = (await points(tx, "payments.asked", NOW, NOW + timedelta(seconds=600), 300))["{}"]
        raw = (await points(tx, "payments.asked", NOW, NOW + timedelta(seconds=600), 60))["{}"]
    assert second_half.total == 25, "the step over the edge counts"
    assert sum(each.total for each in raw) == 35 + 25


async def test_rolling_up_goes_on_after_a_long_silence(store: Store) -> None:
    await write(store, NOW, Sample("seal.waiting", 1))
    late = NOW + timedelta(hours=30)
    await write(store, late, Sample("seal.waiting", 2))
    async with store.tx("test") as tx:
        times = 0
        while await rows.roll_up(tx, late + timedelta(minutes=10)):
            times += 1
        found = (await points(tx, "seal.waiting", NOW, late + timedelta(minutes=5), 300))["{}"]
    assert [each.last for each in found] == [1, 2]
    assert times == 2


async def test_partitions_are_made_ahead_and_dropped_by_age(store: Store, admin: Admin) -> None:
    await admin.execute(
        b"CREATE TABLE monitoring.samples_20200101 PARTITION OF monitoring.samples"
        b" FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
    )
    now = datetime.now(UTC)
    await write(store, now, Sample("seal.waiting", 1))
    cursor = await admin.execute(
        b"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'monitoring.samples'::regclass ORDER BY 1"
    )
    names = [name for (name,) in await cursor.fetchall()]
    days = [now.date(), now.date() + timedelta(days=1)]
    assert names == [f"monitoring.samples_{day:%Y%m%d}" for day in days], "and the old one is gone"


async def test_a_partition_that_cannot_be_dropped_costs_no_samples(store: Store, admin: Admin) -> None:
    """At midnight somebody reads the old ones, for an hour: a dump does."""

    async def works(_: Tx) -> Sequence[Sample]:
        return [Sample("seal.waiting", 1)]

    clock = SystemClock()
    async with store.tx("test") as tx:
        await rows.keep_partitions(tx, clock.now())
    await admin.execute(
        b"CREATE TABLE monitoring.samples_20200101 PARTITION OF monitoring.samples"
        b" FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
    )
    sampler = Sampler(store, [Source("good", works)], clock)
    async with admin.transaction():
        await admin.execute(b"SELECT count(*) FROM monitoring.samples")
        await sampler.sample()
    async with store.tx("test") as tx:
        now = clock.now()
        assert len(await rows.latest(tx, now - timedelta(minutes=5), now)) == 1


async def test_the_application_can_drop_no_partition_by_itself(store: Store) -> None:
    await write(store, datetime.now(UTC), Sample("seal.waiting", 1))
    for statement in (b"DELETE FROM monitoring.samples", b"DROP TABLE monitoring.samples"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with store.tx("test") as tx:
                await tx.run(statement)


async def test_the_usual_is_the_median_of_the_same_hour_in_weeks_before(store: Store, admin: Admin) -> None:
    clock = ManualClock(NOW + timedelta(minutes=30))

    async def week(back: int, value: float, samples: int = 30) -> None:
        at = NOW - timedelta(weeks=back)
        async with store.tx("test") as tx:
            await rows.keep_partitions(tx, at)
        await admin.execute(
            "INSERT INTO monitoring.rollups SELECT (SELECT id FROM monitoring.series WHERE metric = 'payments.rate'),"
            " %s + n * interval '5 minutes', %s::integer, %s::float8, %s, %s, %s FROM generate_series(0, 11) AS n",
            (at, samples, value * samples, value, value, value),
        )

    async def now() -> float | None:
        async with store.tx("test") as tx:
            return await usual(tx, "payments.rate", clock)

    await write(store, NOW, Sample("payments.rate", 1))
    assert await now() is None
    await week(1, 100)
    assert await now() is None, "one week may be the odd one"
    await week(2, 140, samples=10)
    assert await now() is None, "and of a few samples nothing is said"
    await week(3, 120)
    assert await now() == 110
    await week(4, 9_000)
    assert await now() == 120


async def test_a_measure_is_the_worst_sample_and_unknown_without(store: Store) -> None:
    clock = ManualClock(NOW)
    async with store.tx("test") as tx:
        found = await measure(tx, "disk.free_bytes", 60, clock)
        assert (found.value, found.samples) == (None, 0)
    for second, free in ((50, 700), (30, 300), (10, 500)):
        taken = [Sample("disk.free_bytes", free), Sample("drill.age_seconds", free)]
        await write(store, NOW - timedelta(seconds=second), *taken)
    async with store.tx("test") as tx:
        least = await measure(tx, "disk.free_bytes", 60, clock)
        assert (least.value, least.samples, least.unit) == (300, 3, "bytes")
        age = await measure(tx, "drill.age_seconds", 60, clock)
        assert age.value == 700
        assert (await measure(tx, "disk.free_bytes", 1, clock)).value == 500, (
            "the last one counts in a short stretch"
        )
        late = ManualClock(NOW + timedelta(seconds=limits.SAMPLE_STALE_SECONDS))
        assert (await measure(tx, "disk.free_bytes", 1, late)).value is None


async def test_every_measure_can_be_asked_for(store: Store) -> None:
    async with store.tx("test") as tx:
        for name in MEASURES:
            assert (await measure(tx, name, 10, SystemClock())).unit == MEASURES[name].unit
        with pytest.raises(KeyError):
            await measure(tx, "payments.luck", 10, SystemClock())


async def test_waiting_for_a_lock_is_measured_at_once(store: Store, admin: Admin) -> None:
    clock = SystemClock()

    async def waits() -> float | None:
        async with store.tx("test") as tx:
            return (await measure(tx, "postgres.lock_waits", 1, clock)).value

    assert await waits() == 0
    async with admin.transaction():
        await admin.execute(b"LOCK TABLE payments.qr_codes")
        blocked = asyncio.create_task(_count_codes(store))
        async with asyncio.timeout(60):
            while not await waits():  # noqa: ASYNC110 - no bell rings
                await asyncio.sleep(0.02)
        assert await waits() == 1
    await blocked


async def _count_codes(store: Store) -> None:
    async with store.tx("test") as tx:
        await tx.value(b"SELECT count(*) FROM payments.qr_codes")


async def test_the_agent_samples_everything_but_what_there_is_none_of(store: Store, tmp_path: Path) -> None:
    clock = SystemClock()
    oneself, platform = Oneself("agent", store), Platform(tmp_path, clock, Books(store, clock))
    async with store.tx("test") as tx:
        await exposition(tx, clock)  # so that there is a statement to speak of
    sampler = Sampler(store, [*oneself.sources(), *platform.sources()], clock)
    await sampler.sample()
    async with store.tx("test") as tx:
        now = clock.now()
        found = {each.metric for each in await rows.latest(tx, now - timedelta(minutes=5), now)}
        text = await exposition(tx, clock)
    elsewhere = {
        name
        for name in METRICS
        if name.startswith(("payments.", "risk.", "api.", "backup.", "drill.", "wal."))
    }
    elsewhere |= {
        "money.net",
        "money.on_the_way",
        "rails.unanswered",
        "postgres.cache_hit_percent",
        "retention.rows",
    }
    elsewhere -= {"payments.held", "payments.held_seconds"}
    elsewhere -= {"risk.signals_open", "risk.alerts_day", "risk.cases_open", "risk.cases_late"}
    assert found == METRICS.keys() - elsewhere
    assert b"# TYPE till_postgres_commits_total counter" in text
    assert b"till_statement_calls_total{" in text


async def test_a_source_that_fails_is_left_out_and_the_others_are_not(store: Store) -> None:
    async def fails(tx: Tx) -> Sequence[Sample]:
        await tx.value(b"SELECT 1 / 0")
        return []

    async def works(_: Tx) -> Sequence[Sample]:
        return [Sample("seal.waiting", 1)]

    clock = SystemClock()
    await Sampler(store, [Source("bad", fails), Source("good", works)], clock).sample()
    async with store.tx("test") as tx:
        now = clock.now()
        assert [each.metric for each in await rows.latest(tx, now - timedelta(minutes=5), now)] == [
            "seal.waiting"
        ]


async def test_statements_are_timed_by_their_names(store: Store) -> None:
    named, nameless = b"/* test.slow */ SELECT pg_sleep(0.03)", b"SELECT 1"
    async with store.tx("test") as tx:
        await tx.value(named)
        await tx.value(nameless)
        await tx.run(b"/* test.queued */ SELECT 1")
        sent = await tx.send(b"/* test.sent */ SELECT 1")
        await sent.tuples()
    found = store.timings.by_name()
    assert found["test.slow"].calls == 1
    assert found["test.slow"].seconds >= 0.03
    assert found["test.queued"].calls == found["test.sent"].calls == 1
    assert "" not in found

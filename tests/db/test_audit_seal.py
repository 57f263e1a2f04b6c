"""The sealer: every event once, in one tree, whatever runs long, dies, comes twice, or was there before."""

import asyncio
import logging
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Database
from tests.support.trail import Trail, states
from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.store import Store, queries

Admin = psycopg.AsyncConnection


@pytest.fixture
async def trail(store: Store, tmp_path: Path) -> Trail:
    return Trail(store, tmp_path / "keys", SystemClock())


async def heads(store: Store) -> list[int]:
    async with store.tx("test") as tx:
        return [size for (size,) in await tx.tuples(b"SELECT size FROM audit.heads ORDER BY size")]


async def test_events_become_leaves_in_the_order_of_their_transactions_under_signed_heads(
    trail: Trail,
) -> None:
    await trail.act("first", "second")
    await trail.seal()
    await trail.seal("third")
    assert await trail.sealed() == [(0, "first"), (1, "second"), (2, "third")]
    assert await heads(trail.store) == [2, 3]
    report = await trail.verify()
    assert (report.state, report.size, report.faults) == ("holds", 3, ())
    assert states(report) == dict.fromkeys(
        ["events", "signatures", "waiting", "file audit-anchors.jsonl"], "holds"
    )


async def test_a_beat_without_events_writes_nothing(trail: Trail) -> None:
    await trail.seal()
    await trail.seal()
    assert await heads(trail.store) == []
    assert not trail.anchors.exists()


async def test_events_of_before_the_migration_are_sealed_too(trail: Trail, admin: Admin) -> None:
    # What ALTER TABLE gave them: one transaction for all, the one of the migration.
    await admin.execute(
        "INSERT INTO audit.events (id, actor, action, subject, xid)"
        " SELECT uuidv7(), 'anna', 'act.' || n, 'x', '3' FROM generate_series(1, 25) AS n"
    )
    await trail.seal()
    assert len(await trail.sealed()) == 25
    assert (await trail.verify()).state == "holds"


async def test_a_long_transaction_holds_nothing_up_and_is_sealed_when_it_ends(
    trail: Trail, database: Database
) -> None:
    await trail.seal("before")
    async with await psycopg.AsyncConnection.connect(database.app_url) as slow:
        await slow.execute(
            "INSERT INTO audit.events (id, actor, action, subject) VALUES (uuidv7(), 'a', 'slow', 'x')"
        )
        await trail.seal("meanwhile")
        await trail.seal("meanwhile too")
        assert [action for _, action in await trail.sealed()] == ["before", "meanwhile", "meanwhile too"]
        await slow.commit()
    await trail.seal()
    assert (await trail.sealed())[3:] == [(3, "slow")]


async def test_what_is_read_again_is_bounded_while_a_long_transaction_runs(
    trail: Trail, database: Database, admin: Admin
) -> None:
    """The difference between snapshots is read, not everything since the oldest transaction."""
    async with await psycopg.AsyncConnection.connect(database.app_url) as slow:
        await slow.execute(
            "INSERT INTO audit.events (id, actor, action, subject) VALUES (uuidv7(), 'a', 'slow', 'x')"
        )
        for n in range(5):
            await trail.seal(f"act.{n}")
        place = trail.sealer._tree.place if trail.sealer._tree else None
        assert place is not None
        cursor = await admin.execute(
            "SELECT action FROM audit.events WHERE NOT pg_visible_in_snapshot(xid, %s::pg_snapshot)",
            (place.seen,),
        )
        assert await cursor.fetchall() == []
        await slow.commit()


async def test_a_backlog_is_sealed_in_batches_and_nothing_twice(
    trail: Trail, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEAL_BATCH", 10)
    await admin.execute(
        "INSERT INTO audit.events (id, actor, action, subject) SELECT uuidv7(), 'a', 'old', 'x' FROM generate_series(1, 34)"
    )
    beats = 0
    while await trail.sealer.beat():
        beats += 1
        await trail.act(f"new.{beats}")  # while the backlog is worked off
    await trail.seal()
    sealed = await trail.sealed()
    assert [seq for seq, _ in sealed] == list(range(34 + beats))
    assert beats >= 3
    assert (await trail.verify()).state == "holds"


async def test_a_sealer_that_starts_goes_on_where_the_last_one_stopped(trail: Trail) -> None:
    await trail.seal("one", "two", "three")
    await trail.act("four")
    await trail.restart()
    await trail.seal()
    assert [action for _, action in await trail.sealed()] == ["one", "two", "three", "four"]
    assert (await trail.verify()).state == "holds"


@pytest.mark.parametrize("xid", ["4", "9000000000000000"])
async def test_after_a_restore_into_another_cluster_everything_is_found(
    trail: Trail, admin: Admin, xid: str
) -> None:
    """The other cluster's transactions had other numbers: smaller ones than here, or larger."""
    await trail.seal("before")
    await admin.execute(
        "INSERT INTO audit.events (id, actor, action, subject, xid) VALUES (uuidv7(), 'a', 'restored', 'x', %s::xid8)",
        (xid,),
    )
    await trail.restart()
    await trail.seal("after")
    assert sorted(action for _, action in await trail.sealed()) == ["after", "before", "restored"]
    assert (await trail.verify()).state == "holds"


async def test_in_a_younger_cluster_the_last_heads_snapshot_is_from_the_future(
    trail: Trail, admin: Admin
) -> None:
    await trail.seal("before")
    await admin.execute("UPDATE audit.heads SET seen = '9000000000000000:9000000000000000:'")
    await trail.act("after")
    async with trail.store.tx("test") as tx:
        assert (await audit.unsealed(tx))[0] == 1
    await trail.restart()
    await trail.seal("later")
    assert [action for _, action in await trail.sealed()] == ["before", "after", "later"]


async def test_two_sealers_at_once_make_one_tree(trail: Trail) -> None:
    one, other = trail.sealer, trail.another()
    await trail.seal("first")
    await other.beat()
    for n in range(12):
        await trail.act(f"act.{n}")
        await asyncio.gather(one.beat(), other.beat())
        await other.beat()
        await one.beat()
    sealed = await trail.sealed()
    assert [seq for seq, _ in sealed] == list(range(13))
    assert len({action for _, action in sealed}) == 13
    assert (await trail.verify()).state == "holds"


async def test_a_sealer_killed_between_the_leaves_and_the_anchor_anchors_at_its_next_start(
    trail: Trail,
) -> None:
    await trail.seal("one")
    await trail.act("two")
    await trail.sealer.beat()  # and no tend: killed here
    assert trail.anchors.read_bytes().count(b"\n") == 1
    await trail.restart()
    await trail.seal()
    assert [
        b'"size":1,' in line or b'"size":2,' in line for line in trail.anchors.read_bytes().splitlines()
    ] == [True, True]
    assert (await trail.verify()).state == "holds"


async def test_a_clock_that_goes_back_changes_nothing(
    store: Store, tmp_path: Path, clock: ManualClock
) -> None:
    trail = Trail(store, tmp_path / "keys", clock)
    await trail.seal("one")
    clock.advance(-7200)
    await trail.seal("two")
    clock.advance(3600)
    await trail.seal("three")
    assert (await trail.verify()).faults == ()
    assert [seq for seq, _ in await trail.sealed()] == [0, 1, 2]


async def test_what_waits_is_counted_with_its_age(trail: Trail, admin: Admin) -> None:
    await trail.seal("one")
    async with trail.store.tx("test") as tx:
        standing = await audit.standing(tx)
    assert standing.head is not None
    assert (standing.head.size, standing.waiting, standing.behind) == (1, 0, False)
    await trail.act("two", "three")
    await asyncio.sleep(limits.SEAL_LAG_SECONDS + 0.1)
    async with trail.store.tx("test") as tx:
        standing = await audit.standing(tx)
    assert (standing.waiting, standing.behind) == (2, True)
    await admin.execute(
        "UPDATE audit.events SET at = now() + interval '1 hour'"
    )  # the clock was set back since
    async with trail.store.tx("test") as tx:
        assert await audit.unsealed(tx) == (2, 0.0)


async def test_the_loop_seals_at_every_beat_and_says_once_when_it_cannot(
    trail: Trail, admin: Admin, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat, beats = trail.sealer.beat, asyncio.Queue[bool]()

    async def watched() -> bool:
        beats.put_nowait(False)
        more = await beat()
        beats.put_nowait(True)
        return more

    async def told(*well: bool) -> None:
        """Beats that begin and end so: nothing else could seal in between."""
        while not beats.empty():
            beats.get_nowait()
        for each in well:
            while await beats.get() is not each:
                pass

    monkeypatch.setattr(limits, "SEAL_SECONDS", 0.02)
    monkeypatch.setattr(trail.sealer, "beat", watched)
    working = asyncio.create_task(trail.sealer.run())
    try:
        await trail.act("one")
        await told(False, True)
        assert await trail.sealed() == [(0, "one")]
        await admin.execute("ALTER TABLE audit.leaves RENAME TO gone")
        with caplog.at_level(logging.WARNING):
            await told(False, False, False, False)
            assert len([record for record in caplog.records if "not sealed" in record.message]) == 1
            await trail.act("two")
            await admin.execute("ALTER TABLE audit.gone RENAME TO leaves")
            await told(False, True, False)
        assert await trail.sealed() == [(0, "one"), (1, "two")]
        assert "sealed again" in caplog.records[-1].message
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


@pytest.mark.parametrize("table", ["events", "leaves", "heads", "keys"])
async def test_the_application_may_add_but_not_change(trail: Trail, table: str) -> None:
    await trail.seal("one")
    for statement in (f"DELETE FROM audit.{table}", f"TRUNCATE audit.{table}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with trail.store.tx("test") as tx:
                await tx.run(statement.encode())


async def test_a_leaf_covers_every_column_of_an_event(admin: Admin) -> None:
    cursor = await admin.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'audit' AND table_name = 'events' ORDER BY column_name"
    )
    from tillkeeper.audit.form import EVENT_FIELDS

    assert [name for (name,) in await cursor.fetchall()] == sorted(EVENT_FIELDS)


@pytest.mark.parametrize("name", ["unsealed", "waiting"])
async def test_a_beat_reads_only_what_is_new_however_many_events_there_are(
    trail: Trail, admin: Admin, name: str
) -> None:
    """All of one transaction, as after a migration or a restore: statistics then say that any transaction is the table."""
    await admin.execute(
        "INSERT INTO audit.events (id, actor, action, subject)"
        " SELECT uuidv7(), 'anna', 'act', 'x' FROM generate_series(1, 30001)"
    )
    await trail.seal()
    await admin.execute("VACUUM (ANALYZE) audit.events, audit.leaves")
    await trail.act("new")
    cursor = await admin.execute("SELECT seen::text FROM audit.heads ORDER BY size DESC LIMIT 1")
    row = await cursor.fetchone()
    assert row is not None
    params = {"seen": row[0], "xid": "0", "id": "00000000-0000-0000-0000-000000000000", "limit": 5000}
    async with psycopg.AsyncClientCursor(admin) as explained:
        await explained.execute(
            b"EXPLAIN (ANALYZE, FORMAT JSON) " + getattr(queries(audit.__name__, "sealing.sql"), name), params
        )
        plan = await explained.fetchone()
    assert plan is not None
    assert plan[0][0]["Plan"]["Shared Hit Blocks"] + plan[0][0]["Plan"]["Shared Read Blocks"] < 50


async def test_an_event_with_the_first_of_all_ids_is_sealed_too(trail: Trail, admin: Admin) -> None:
    await trail.seal("one")
    await admin.execute(
        "INSERT INTO audit.events (id, actor, action, subject, xid)"
        " VALUES ('00000000-0000-0000-0000-000000000000', 'a', 'nil', 'x', '3'),"
        " ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'a', 'last', 'x', '3')"
    )
    assert states(await trail.verify())["waiting"] == "holds"
    await trail.restart()
    await trail.seal()
    assert sorted(action for _, action in await trail.sealed()) == ["last", "nil", "one"]

"""History from PostgreSQL equals the history that was written, labels and all."""

from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import psycopg
import pytest

from tillkeeper.base.clock import ManualClock, from_us, to_us
from tillkeeper.base.ids import first_id_at
from tillkeeper.risk import Attempt, Batch, Label, load_rules, training
from tillkeeper.risk.history import Walk, span, stretches
from tillkeeper.risk.profiles import Profiles
from tillkeeper.store import Store

RULES = load_rules(None)
HOUR = 3600 * 1_000_000
DAY = 24 * HOUR


def id_at(moment_us: int, number: int) -> UUID:
    return UUID(int=first_id_at(from_us(moment_us)).int + number)


def attempts(start_us: int, count: int) -> list[Attempt]:
    """One an hour, of three customers; the id says when it arrived."""
    return [
        Attempt(
            id=id_at(at, n),
            kind="send" if n % 5 == 0 else "payment",
            at_us=at,
            customer=UUID(int=n % 3 + 1),
            payee=UUID(int=n % 4 + 10),
            amount=100 + n,
            currency="CNY" if n % 2 else "USD",
            device=None if n % 7 == 0 else f"phone {n % 3}",
            ip=None if n % 3 else "10.0.0.1",
            latitude=None if n % 4 == 0 else 31.5,
            longitude=None if n % 4 == 0 else 121.5,
        )
        for n in range(count)
        for at in [start_us + n * HOUR]
    ]


async def stored(admin: psycopg.AsyncConnection, made: list[Attempt], labels: list[Label]) -> None:
    """As the platform writes them, without an engine in between."""
    async with admin.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO risk.decisions (id, at, kind, customer, payee, amount, currency, device, ip, latitude, longitude,"
            " outcome, reasons, rule_set, features) VALUES"
            " (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'allow', '{}', 1, '')",
            [
                (
                    one.id,
                    from_us(one.at_us),
                    *msgspec.structs.astuple(one)[1:2],
                    *msgspec.structs.astuple(one)[3:],
                )
                for one in made
            ],
        )
        await cursor.executemany(
            "INSERT INTO risk.labels (payment, fraud, source, known_at, written_at) VALUES (%s, %s, 'test', %s, now())",
            [(one.payment, one.fraud, from_us(one.known_at_us)) for one in labels],
        )


async def test_what_was_written_is_read_in_columns(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    start = to_us(clock.now())
    made = attempts(start, 50)
    late = Label(made[3].id, fraud=False, known_at_us=start + 20 * DAY)
    labels = [
        Label(made[3].id, fraud=True, known_at_us=start + 8 * DAY),
        late,
        Label(UUID(int=9), True, start),
    ]
    await stored(admin, made, labels)
    found = [stretch async for stretch in stretches(store, start, rows=20)]
    assert [len(stretch.batch) for stretch in found] == [20, 20, 10]
    expected = Batch.of(made[:20])
    assert found[0].batch.ids.tolist() == expected.ids.tolist()
    assert found[0].batch.at_us.tolist() == expected.at_us.tolist()
    assert found[0].batch.amounts.tolist() == expected.amounts.tolist()
    np.testing.assert_array_equal(found[0].batch.places, expected.places)
    for name in ("kinds", "customers", "payees", "currencies", "devices", "ips"):
        assert list(getattr(found[0].batch, name)) == list(getattr(expected, name)), name
    assert found[0].verdicts.row.tolist() == [3, 3]
    assert found[0].truth(start + 9 * DAY)[0][3]
    assert not found[0].truth()[0].any(), "it was cleared later"
    assert not len(found[1].verdicts.row)
    assert await span(store) == (from_us(start), from_us(start + 49 * HOUR))


async def test_a_part_of_history(store: Store, clock: ManualClock, admin: psycopg.AsyncConnection) -> None:
    start = to_us(clock.now())
    assert await span(store) is None
    assert [each async for each in stretches(store, start)] == []
    await stored(admin, attempts(start, 50), [])
    found = [each async for each in stretches(store, start + 10 * HOUR, start + 35 * HOUR, rows=10)]
    assert [len(each.batch) for each in found] == [10, 10, 10], (
        "whole stretches; what is too late is easily left out"
    )
    assert found[0].batch.at_us[0] == start + 10 * HOUR


async def test_values_are_as_they_were_decided_by(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    """What profiles said in turns of seven, and what the walk finds in the same payments again."""
    start = to_us(clock.now())
    made = attempts(start, 400)
    lived = Profiles(RULES, ZoneInfo("UTC"))
    expected = [lived.observe(made[begin : begin + 7]) for begin in range(0, len(made), 7)]
    await stored(admin, made, [])
    walk = Walk(Profiles(RULES, ZoneInfo("UTC")))
    found = [walk.take(stretch).values async for stretch in stretches(store, start, rows=64)]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))


async def test_an_event_time_ahead_of_the_clocks_releases_no_label(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    start = to_us(clock.now())
    made = attempts(start, 30)
    await stored(admin, made, [Label(made[0].id, fraud=True, known_at_us=start + 9 * DAY)])
    await admin.execute("UPDATE risk.decisions SET at = at + interval '1 year' WHERE id = %s", (made[20].id,))
    walk = Walk(Profiles(RULES, ZoneInfo("UTC")))
    async for stretch in stretches(store, start):
        walk.take(stretch)
    assert walk.learnt == 0


@pytest.mark.parametrize("days", [1, 40])
async def test_a_replayed_file_has_its_own_time(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection, days: int
) -> None:
    """Ids of today, event times of years ago: labels come out by event time."""
    past = to_us(clock.now() - timedelta(days=3000))
    made = [
        Attempt(
            id_at(to_us(clock.now()), n),
            "payment",
            past + n * days * DAY,
            UUID(int=1),
            UUID(int=2),
            100,
            "CNY",
        )
        for n in range(12)
    ]
    await stored(admin, made, [Label(made[0].id, fraud=True, known_at_us=past + 8 * DAY)])
    found = [each async for each in stretches(store, past)]
    assert found[0].clock_us.tolist() == [one.at_us for one in made]
    walk = Walk(
        Profiles(RULES, ZoneInfo("UTC")),
        ["payee_frauds_7d"],
    )
    values = walk.take(found[0]).values[:, 0].tolist()
    assert values == ([0] * 8 + [1] * 4 if days == 1 else [0] * 12)


async def test_the_last_week_of_a_replayed_file_is_not_learnt_as_genuine(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its frauds were never told, though the payments look old enough today."""
    past = to_us(clock.now() - timedelta(days=3000))
    made = [
        Attempt(id_at(to_us(clock.now()), n), "payment", past + n * DAY, UUID(int=1), UUID(int=2), 100, "CNY")
        for n in range(20)
    ]
    await stored(admin, made, [Label(made[0].id, fraud=True, known_at_us=past + 8 * DAY)])
    learnt: list[training.Sample] = []
    monkeypatch.setattr(training.house, "train", lambda sample, *_, **__: learnt.append(sample))
    wish = training.Wish("x", "anna", past, to_us(clock.now()), 7 * DAY)
    await training.train_here(store, RULES, ZoneInfo("UTC"), wish, clock.now())
    assert learnt[0].at_us.tolist() == [one.at_us for one in made[:13]]
    assert learnt[0].fraud.sum() == 1


async def test_logins_and_settings_stand_before_the_payment_they_came_before(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    start = to_us(clock.now())
    await stored(admin, attempts(start, 50), [])
    for n, hours in enumerate((-1, 4.5, 4.6, 30.5, 48.5)):
        at = start + round(hours * HOUR)
        await admin.execute(
            "INSERT INTO risk.logins (id, at, customer, succeeded, outcome, score, reasons, known)"
            " VALUES (%s, %s, %s, true, 'allow', 0.5, '{}', 3)",
            (id_at(at, n), from_us(at), UUID(int=1)),
        )
    await admin.execute(
        "INSERT INTO risk.setting_changes (id, at, customer, kind) VALUES (%s, %s, %s, 'password')",
        (id_at(start + 5 * HOUR + 1000, 9), from_us(start + 5 * HOUR), UUID(int=1)),
    )
    found = [stretch async for stretch in stretches(store, start, rows=20)]
    assert [[(row, each.event) for row, each in one.events] for one in found] == [
        [(5, "login"), (5, "login"), (6, "setting")],
        [(11, "login")],
        [(9, "login")],
    ]

"""Rows past their time are deleted, nothing else is, at night only; and every table of ours says how long its rows are kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.cases import alert
from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.base.ids import first_id_at
from tillkeeper.faces.cli.main import main
from tillkeeper.monitoring.samples import Recorder, keep_partitions
from tillkeeper.monitoring.types import Sample
from tillkeeper.store import Store
from tillkeeper.vault import Sweeper, Swept, catalogue, past, sweep, sweeps, swept_tables

NOW = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)  # half past two of the night in Shanghai
LONG_AGO, LATELY = NOW - timedelta(days=500), NOW - timedelta(days=100)
TABLES = {each.name: each for each in swept_tables(catalogue())}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def rows(admin: psycopg.AsyncConnection) -> Callable[[str], Awaitable[int]]:
    """How many rows a table has."""

    async def count(table: str) -> int:
        (found,) = await (await admin.execute(f"SELECT count(*) FROM {table}".encode())).fetchone() or (-1,)
        return int(found)

    return count


def an_id(at: datetime) -> UUID:
    return UUID(int=first_id_at(at).int | uuid4().int & (2**62 - 1))


async def a_case(admin: psycopg.AsyncConnection, opened: datetime, closed: datetime | None = None) -> UUID:
    id_, end = an_id(opened), "closed" if closed else "open"
    await admin.execute(
        "INSERT INTO risk.cases (id, subject_kind, subject, state, severity, expected_loss, currency, alerts, opened_at, alerted_at,"
        " due_at, verdict, closed_by, closed_at) VALUES (%s, 'customer', %s, %s, 'low', 1, 'CNY', 1, %s, %s, %s, %s, %s, %s)",
        (id_, uuid4(), end, opened, opened, opened, closed and "fraud", closed and "anna", closed),
    )
    return id_


async def an_alert(admin: psycopg.AsyncConnection, at: datetime, **more: Any) -> UUID:
    made = await alert(admin, at, uuid4())
    id_ = an_id(at)
    await admin.execute(
        "UPDATE risk.alerts SET id = %s, case_id = %s, signal = %s WHERE id = %s",
        (id_, more.get("case"), more.get("signal"), made),
    )
    return id_


async def a_signal(admin: psycopg.AsyncConnection, at: datetime, over: datetime | None) -> UUID:
    id_ = an_id(at)
    await admin.execute(
        "INSERT INTO risk.signals VALUES (%s, 'card_testing', 'device', %s, 'page', 'up', %s, %s, %s, %s, 1, 1, 1, 1, 1, 1, 'CNY', '{}')",
        (id_, str(id_), at, at, at, over),
    )
    await admin.execute("INSERT INTO risk.remedies VALUES (%s, %s, %s, 'r', '', %s)", (uuid4(), id_, at, at))
    return id_


async def swept(store: Store, clock: ManualClock, name: str) -> int:
    each = TABLES[name]
    async with store.tx("test") as tx:
        counted = await past(tx, each, clock)
    deleted = await sweep(store, each, clock, "agent")
    assert deleted == counted, "what is counted is what goes"
    assert await sweep(store, each, clock, "agent") == 0, "once"
    return deleted


async def test_alerts_go_when_their_case_was_decided_long_ago_and_signals_after_them(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, rows: Any
) -> None:
    signal = await a_signal(admin, LONG_AGO, LONG_AGO)
    kept = [
        await an_alert(admin, LATELY),
        await an_alert(admin, LONG_AGO, case=await a_case(admin, LONG_AGO)),
        await an_alert(admin, LONG_AGO, case=await a_case(admin, LONG_AGO, LATELY), signal=signal),
    ]
    await an_alert(admin, LONG_AGO)
    await an_alert(admin, LONG_AGO, case=await a_case(admin, LONG_AGO, LONG_AGO))
    await a_signal(admin, LONG_AGO, LONG_AGO)
    await a_signal(admin, LONG_AGO, None)
    await a_signal(admin, LATELY, LATELY)
    assert await swept(store, clock, "risk.alerts") == 2
    assert await swept(store, clock, "risk.signals") == 1
    left = await (await admin.execute("SELECT id FROM risk.alerts")).fetchall()
    assert {each for (each,) in left} == set(kept)
    assert (await rows("risk.signals"), await rows("risk.remedies"), await rows("risk.cases")) == (3, 3, 3)
    async with store.tx("test") as tx:
        assert [(each.name, each.rows, each.swept_at, each.done_at) for each in await sweeps(tx)] == [
            ("risk.alerts", 2, NOW, NOW),
            ("risk.signals", 1, NOW, NOW),
        ]
    said = await admin.execute(
        "SELECT actor, subject, reason FROM audit.events WHERE action = 'rows.deleted'"
    )
    assert sorted(await said.fetchall()) == [
        ("agent", "risk.alerts", "2 rows older than 400 days"),
        ("agent", "risk.signals", "1 rows older than 400 days"),
    ]


async def test_backtests_of_proposed_rules_stay_and_so_do_those_under_way(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, rows: Any
) -> None:
    await admin.execute(
        "INSERT INTO risk.rule_sets (sha256, source, features, loaded_at) VALUES ('x', 'proposed', '{}', now())"
    )
    await admin.execute(
        "INSERT INTO risk.proposals SELECT gen_random_uuid(), version, NULL, 'anna', 'why', now() FROM risk.rule_sets"
    )
    for rules, state, ended in (
        ("draft", "done", LONG_AGO),
        ("draft", "failed", LONG_AGO),
        ("draft", "done", LATELY),
        ("draft", "asked", None),
        ("proposed", "done", LONG_AGO),
    ):
        await admin.execute(
            "INSERT INTO risk.backtests (id, at, author, from_at, to_at, rules, rules_sha256, base_rules, state, ended_at, report)"
            " VALUES (%s, %s, 'anna', %s, %s, %s, %s, '', %s, %s, %s)",
            (
                uuid4(),
                LONG_AGO,
                LONG_AGO,
                NOW,
                rules,
                sha256(rules.encode()).digest(),
                state,
                ended,
                "{}" if state == "done" else None,
            ),
        )
    assert await swept(store, clock, "risk.backtests") == 2
    assert await rows("risk.backtests") == 3


async def test_news_stay_until_every_reader_has_read_them(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, rows: Any
) -> None:
    for at in (LONG_AGO, LONG_AGO, LATELY):
        await admin.execute(
            "INSERT INTO store.outbox (at, topic, subject, payload) VALUES (%s, 'payment.succeeded', %s, '{}')",
            (at, uuid4()),
        )
    await admin.execute(
        "INSERT INTO store.cursors SELECT 'slow', xid, id FROM store.outbox ORDER BY id LIMIT 1"
    )
    assert await swept(store, clock, "store.outbox") == 1
    await admin.execute(
        "UPDATE store.cursors SET (xid, id) = (SELECT xid, id FROM store.outbox ORDER BY id DESC LIMIT 1)"
    )
    assert await swept(store, clock, "store.outbox") == 1
    assert await rows("store.outbox") == 1


async def test_a_series_that_was_forgotten_begins_anew(
    store: Store, admin: psycopg.AsyncConnection, rows: Any
) -> None:
    clock = ManualClock(SystemClock().now())  # partitions go by the server's own clock
    recorder, said = Recorder(), [Sample("payments.asked", 1.0)]

    async def write() -> None:
        async with store.tx("test") as tx:
            await recorder.write(tx, said, clock.now())

    async with store.tx("test") as tx:
        await keep_partitions(tx, clock.now())
    await write()
    assert await swept(store, clock, "monitoring.series") == 0
    await admin.execute("DELETE FROM monitoring.samples")
    assert await swept(store, clock, "monitoring.series") == 1
    clock.advance(10)
    await write()
    assert await rows("monitoring.samples") == 0, "of no series"
    clock.advance(10)
    await write()
    assert await rows("monitoring.samples") == 1


async def test_what_monitoring_and_models_said_long_ago_goes(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, rows: Any
) -> None:
    for at, state in ((LONG_AGO, "resolved"), (LATELY, "resolved"), (LONG_AGO, "firing")):
        id_, end = uuid4(), at if state == "resolved" else None
        await admin.execute(
            "INSERT INTO monitoring.alerts (id, rule, labels, severity, state, cause, fired_at, resolved_at)"
            " VALUES (%s, 'r', '{}', 'page', %s, 'bad', %s, %s)", (id_, state, at, end),
        )  # fmt: skip
        await admin.execute(
            "INSERT INTO monitoring.alert_events VALUES (%s, %s, %s, 'fired')", (uuid4(), id_, at)
        )
        await admin.execute(
            "INSERT INTO monitoring.silences VALUES (%s, 'r', NULL, 'anna', 'why', %s, %s)",
            (uuid4(), at, at if end else NOW),
        )
        for model in (1, 2):
            await admin.execute(
                "INSERT INTO risk.shadow_scores VALUES (%s, %s, 0.5, 'allow')", (an_id(at), model)
            )
    assert await swept(store, clock, "monitoring.alerts") == 1
    assert await swept(store, clock, "monitoring.silences") == 1
    assert await swept(store, clock, "risk.shadow_scores") == 4
    assert (await rows("monitoring.alert_events"), await rows("risk.shadow_scores")) == (2, 2)


async def test_at_night_all_of_it_goes_in_small_steps_and_a_table_that_fails_troubles_no_other(
    store: Store,
    admin: psycopg.AsyncConnection,
    clock: ManualClock,
    rows: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SWEEP_ROWS", 2)
    for _ in range(5):
        await an_alert(admin, LONG_AGO)
    broken = Swept("risk.broken", 1, b"SELECT 1/0", b"SELECT 1/0")
    sweeper = Sweeper(store, [broken, TABLES["risk.alerts"]], clock, "Asia/Shanghai")
    clock.advance(3 * 3600)  # half past five
    await sweeper.night()
    assert await rows("risk.alerts") == 5, "people are up"
    clock.advance(21 * 3600)
    running = asyncio.ensure_future(sweeper.run())
    async with asyncio.timeout(30):
        while await rows("risk.alerts"):
            assert not running.done()
            await asyncio.sleep(0.01)
    running.cancel()
    async with store.tx("test") as tx:
        (done,) = await sweeps(tx)
    assert (done.name, done.rows) == ("risk.alerts", 5)


async def test_the_application_may_delete_what_is_kept_for_a_time_and_nothing_that_is_kept_for_ever(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    for each in TABLES.values():
        assert await swept(store, clock, each.name) == 0
    for name, table in catalogue().items():
        if table.kept == "forever":
            may = await admin.execute("SELECT has_table_privilege('till_app', %s, 'DELETE')", (name,))
            assert await may.fetchone() == (False,), name


def test_the_page_for_people_names_every_period() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating" / "retention.md").read_text("utf-8")
    said = {f"| `{name}` | {table.days} |" for name, table in catalogue().items() if table.days is not None}
    assert {row for row in said if row not in page} == set()


def test_the_commands(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (
        ("HOME", str(tmp_path / "home")),
        ("DATABASE_URL", database.app_url),
        ("ADMIN_DATABASE_URL", database.admin_url),
    ):
        monkeypatch.setenv(f"TILL_{name}", value)

    def said(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        return json.loads(capsys.readouterr().out)

    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("INSERT INTO monitoring.series (metric) VALUES ('of long ago')")
    assert said("vault", "retention", "--dry-run", "--json")["rows"]["monitoring.series"] == 1
    assert said("vault", "retention", "--json")["rows"]["monitoring.series"] == 1
    kept = {each["table"]: each for each in said("vault", "kept", "--json")["data"]}
    assert kept.keys() == catalogue().keys()
    assert kept["monitoring.series"]["deleted"] == 1
    assert kept["ledger.transfers"]["kept"] == "forever"
    assert kept["risk.ties"]["by"] == "neighbours"


async def test_a_clock_that_is_a_year_ahead_deletes_a_day(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, rows: Callable[[str], Awaitable[int]]
) -> None:
    table = TABLES["store.outbox"]
    assert await sweep(store, table, clock, "agent") == 0
    for at in (NOW - timedelta(days=table.days, hours=-12), LATELY):
        await admin.execute(
            "INSERT INTO store.outbox (at, topic, subject, payload) VALUES (%s, 'payment.succeeded', %s, '{}')",
            (at, uuid4()),
        )
    clock.advance(365 * 86_400)
    assert await sweep(store, table, clock, "agent") == 1
    assert await rows("store.outbox") == 1

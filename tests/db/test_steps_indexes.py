"""Steps about indexes, tables and settings, on real PostgreSQL: done, done twice, broken off, undone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Database
from tests.support.steps import Step, Trial, site_on
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.maintenance.steps import Site, StepError
from tillkeeper.store import Store

INDEX = "payments.payments_currency_at_idx"


@pytest.fixture
async def site(database: Database, store: Store, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(database, store, SystemClock(), tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEP_LOCK_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "STEP_LOCK_MAX_PAUSE_SECONDS", 0.02)


async def indexes(admin: psycopg.AsyncConnection, table: str = "payments.payments") -> dict[str, bool]:
    """The indexes of a table, and whether each is whole."""
    cursor = await admin.execute(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = %s::regclass", (table,)
    )
    return dict(await cursor.fetchall())


def created(site: Site, **more: object) -> Step:
    columns = ["currency", "created_at desc"]
    given = {"table": "payments.payments", "columns": columns, "name": "payments_currency_at_idx"}
    return Step(site, "index.create", **given | more)


async def test_an_index_is_built_found_whole_and_dropped_again(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    step, trial = created(site, where="amount > 0", include=["amount"]), Trial()
    before = await indexes(admin)
    assert await step.stands_in_the_way() == []
    evidence = await step.run(trial)
    assert await indexes(admin) == before | {INDEX: True}
    assert evidence["definition"].endswith(
        "(currency, created_at DESC) INCLUDE (amount) WHERE (amount > 0)"
    ), evidence
    assert await step.faults(evidence) == []
    again = await step.run(
        Trial(trial.saved)
    )  # as after a kill between the building and its line in the journal
    assert again["definition"] == evidence["definition"]
    await step.undo(evidence)
    assert await indexes(admin) == before
    assert await step.faults(evidence) == ["index_missing"]
    await step.undo(evidence)


async def test_an_index_of_somebody_else_stops_the_step_and_is_left(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute(f"CREATE INDEX {INDEX.split('.')[1]} ON payments.payments (state)")
    step = created(site)
    assert await step.stands_in_the_way() == ["index_exists"]
    with pytest.raises(StepError, match="is there already"):
        await step.run()
    await step.undo({})  # it never began
    assert INDEX in await indexes(admin)


async def test_what_a_broken_off_build_left_is_taken_away_and_built_whole(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute(
        f"CREATE INDEX {INDEX.split('.')[1]} ON payments.payments (currency, created_at DESC)"
    )
    await admin.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", (INDEX,))
    step = created(site)
    assert await step.stands_in_the_way() == []
    assert await step.faults({}) == ["index_valid"]
    evidence = await step.run(Trial({"index": INDEX}))
    assert (await indexes(admin))[INDEX]
    assert await step.faults(evidence) == []


async def test_a_build_that_waits_for_a_transaction_can_be_cancelled_and_undone(
    site: Site, database: Database, admin: psycopg.AsyncConnection
) -> None:
    step, trial = created(site), Trial()
    async with await psycopg.AsyncConnection.connect(database.admin_url) as other:
        await other.execute("LOCK TABLE payments.payments IN ROW EXCLUSIVE MODE")
        working = asyncio.create_task(step.run(trial))
        while INDEX not in await indexes(admin):  # noqa: ASYNC110 - no bell rings
            await asyncio.sleep(0.02)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
    assert (await indexes(admin)).get(INDEX) is False
    await step.undo(trial.saved)
    assert INDEX not in await indexes(admin)


async def test_rows_that_break_a_unique_index_leave_none_behind(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute("CREATE TABLE payments.twins (a int)")
    await admin.execute("INSERT INTO payments.twins VALUES (1), (1)")
    step = Step(site, "index.create", table="payments.twins", columns=["a"], unique=True)
    with pytest.raises(StepError, match="could not be built"):
        await step.run()
    assert await indexes(admin, "payments.twins") == {}


async def test_what_is_missing_is_said_before(site: Site) -> None:
    step = Step(site, "index.create", table="payments.nothing", columns=["a"])
    assert await step.stands_in_the_way() == ["no_table"]
    step = Step(site, "index.create", table="payments.payments", columns=["state", "colour"])
    found = await step.preflight()
    assert "has no colour; it has id, kind" in found["no_column"].said


async def test_a_dropped_index_comes_back_as_it_was(site: Site, admin: psycopg.AsyncConnection) -> None:
    await created(site, where="amount > 0").run()
    step, trial = Step(site, "index.drop", index=INDEX), Trial()
    assert await step.stands_in_the_way() == []
    evidence = await step.run(trial)
    assert INDEX not in await indexes(admin)
    assert await step.faults(evidence) == []
    assert await step.run(Trial(trial.saved)) == evidence  # as after a kill
    back = await step.undo(evidence)
    assert back["definition"] == evidence["definition"]
    assert (await indexes(admin))[INDEX]
    assert await step.faults(evidence) == ["index_there"]


async def test_an_index_that_keeps_a_promise_is_not_dropped(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    step = Step(site, "index.drop", index="payments.payments_pkey")
    assert await step.stands_in_the_way() == ["index_needed"]
    with pytest.raises(StepError, match="keeps a promise"):
        await step.run()
    assert (await indexes(admin))["payments.payments_pkey"]


async def test_a_table_is_vacuumed_and_analyzed(site: Site, admin: psycopg.AsyncConnection) -> None:
    await admin.execute("CREATE TABLE payments.dusty AS SELECT n FROM generate_series(1, 5000) AS n")
    await admin.execute("DELETE FROM payments.dusty")
    for kind in ("table.vacuum", "table.analyze"):
        step = Step(site, kind, table="payments.dusty")
        assert await step.stands_in_the_way() == []
        evidence = await step.run()
        assert await step.faults(evidence) == []
        assert await step.undo(evidence) == {}
        if kind == "table.vacuum":
            assert evidence["bytes_before"] > evidence["bytes_after"], evidence
    cursor = await admin.execute(
        "SELECT pg_stat_force_next_flush(), vacuum_count, analyze_count FROM pg_stat_user_tables"
        " WHERE relname = 'dusty'"
    )
    assert (await cursor.fetchone() or ())[1:] == (1, 2)


async def test_a_lock_that_is_held_is_waited_for_in_short_tries_and_its_holder_named(
    site: Site, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STEP_LOCK_TRIES", 2)
    monkeypatch.setattr(limits, "STEP_BUILD_LOCK_TIMEOUT_MS", 50)
    step, trial = Step(site, "table.vacuum", table="payments.samples"), Trial()
    async with await psycopg.AsyncConnection.connect(
        database.admin_url, application_name="a long report"
    ) as other:
        await other.execute("LOCK TABLE payments.samples IN SHARE MODE")
        with pytest.raises(StepError, match=r"2 tries.*a long report"):
            await step.run(trial)
    assert trial.checkpoints == 2

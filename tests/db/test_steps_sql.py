"""Steps of SQL: expand, backfill, contract, archive: all or none, once, resumable, and what they may not do."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.postgres import Database
from tests.support.steps import Step, Trial, site_on
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.maintenance.steps import Aborted, Site, StepError
from tillkeeper.store import Store

ADD = ["ALTER TABLE payments.payments ADD COLUMN channel text", "CREATE TABLE payments.channels (name text)"]
TAKE = ["DROP TABLE payments.channels", "ALTER TABLE payments.payments DROP COLUMN channel"]


@pytest.fixture
async def site(database: Database, store: Store, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(database, store, SystemClock(), tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEP_LOCK_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "STEP_LOCK_MAX_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(limits, "STEP_SAVE_SECONDS", 0.0)


async def value(admin: psycopg.AsyncConnection, query: str) -> Any:
    row = await (await admin.execute(query.encode())).fetchone()
    assert row is not None
    return row[0]


def expanded(site: Site, statements: list[str] = ADD, undo: list[str] = TAKE) -> Step:
    return Step(site, "sql.expand", statements=statements, undo=undo)


async def has_channel(admin: psycopg.AsyncConnection) -> bool:
    found = await value(
        admin, "SELECT count(*) FROM information_schema.columns WHERE column_name = 'channel'"
    )
    return bool(found)


async def test_an_expansion_is_done_once_and_taken_back_whole(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    step, trial = expanded(site), Trial()
    evidence = await step.run(trial)
    assert evidence["added"] == [
        "column payments.channels.name text",
        "column payments.payments.channel text",
    ]
    assert await has_channel(admin)
    assert await step.faults(evidence) == []
    assert await step.run(Trial(trial.saved)) == evidence  # killed after the commit, before the journal knew
    undone = await step.undo(trial.saved, Trial(trial.saved))
    assert undone["removed"] == evidence["added"]
    assert not await has_channel(admin)
    assert await step.faults(evidence) == ["not_there", "not_there"]
    assert await step.undo(trial.saved) == {"removed": [], "added": []}
    assert await step.undo({}) == {"removed": [], "added": []}


async def test_one_bad_statement_leaves_nothing_of_the_others(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    trial = Trial()
    with pytest.raises(StepError, match="no_such_type"):
        await expanded(site, [*ADD, "CREATE TABLE payments.odd (a no_such_type)"]).run(trial)
    assert not await has_channel(admin)
    await expanded(site).undo(trial.saved)  # of a change that was never made: nothing happens


async def test_an_undo_that_leaves_something_is_refused_and_changes_nothing(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    step = expanded(site, undo=["DROP TABLE payments.channels"])
    evidence = await step.run()
    with pytest.raises(StepError, match=r"leave column payments.payments.channel text"):
        await step.undo(evidence)
    assert await value(admin, "SELECT to_regclass('payments.channels') IS NOT NULL")


async def test_a_rewrite_that_words_do_not_show_is_found_by_the_table_s_file_and_taken_back(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute(
        "CREATE FUNCTION payments.any_number() RETURNS float LANGUAGE sql AS 'SELECT random()'"
    )
    statement = "ALTER TABLE payments.payments ADD COLUMN channel float DEFAULT payments.any_number()"
    with pytest.raises(StepError, match=r"it rewrites payments\.payments"):
        await expanded(site, [statement]).run()
    assert not await has_channel(admin)


async def test_who_may_what_in_the_books_is_changed_by_no_plan(site: Site) -> None:
    for statement in (
        "GRANT UPDATE (amount) ON ledger.transfers TO till_app",
        "GRANT CREATE ON SCHEMA ledger TO till_app",
        "ALTER TABLE ledger.transfers OWNER TO till_app",
        "CREATE TRIGGER odd BEFORE UPDATE ON ledger.transfers EXECUTE FUNCTION unique_key_recheck()",
        "ALTER TABLE ledger.transfers ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE ledger.transfers ADD COLUMN note text",
    ):
        with pytest.raises(StepError, match="what no plan changes"):
            await expanded(site, [statement]).run()


async def test_a_right_is_given_and_taken_back(site: Site) -> None:
    for right in ("UPDATE (kind) ON payments.payments", "USAGE ON SCHEMA payments"):
        step, trial = (
            expanded(site, [f"GRANT {right} TO pg_monitor"], [f"REVOKE {right} FROM pg_monitor"]),
            Trial(),
        )
        evidence = await step.run(trial)
        assert evidence["added"]
        assert await step.faults(evidence) == []
        await step.undo(evidence, trial)


async def test_two_statements_in_one_are_refused(site: Site, admin: psycopg.AsyncConnection) -> None:
    statement = f"{ADD[0]}; DELETE FROM payments.samples"
    with pytest.raises(StepError, match="multiple commands"):
        await expanded(site, [statement]).run()
    assert not await has_channel(admin)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ledger.transfers ADD COLUMN channel text",
        "CREATE TRIGGER t BEFORE INSERT ON audit.events FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "GRANT DELETE ON ledger.transfers TO till_app",
    ],
)
async def test_books_and_audit_trail_are_no_steps_business(
    site: Site, admin: psycopg.AsyncConnection, statement: str
) -> None:
    with pytest.raises(StepError, match="changes what no plan changes"):
        await expanded(site, [statement]).run()
    assert not await has_channel(admin)
    assert not await value(admin, "SELECT has_table_privilege('till_app', 'ledger.transfers', 'DELETE')")


async def test_a_statement_that_holds_its_lock_too_long_is_ended(
    site: Site, monkeypatch: pytest.MonkeyPatch, admin: psycopg.AsyncConnection
) -> None:
    monkeypatch.setattr(limits, "STEP_STATEMENT_MS", 100)
    slow = "CREATE TABLE payments.channels AS SELECT pg_sleep(5)::text"
    with pytest.raises(StepError, match="longer than 100 ms"):
        await expanded(site, [ADD[0], slow]).run()
    assert not await has_channel(admin)


async def test_a_lock_is_waited_for_while_others_pass(site: Site, database: Database) -> None:
    step, trial = expanded(site), Trial()
    async with await psycopg.AsyncConnection.connect(database.admin_url) as other:
        await other.execute("SELECT FROM payments.payments")
        working = asyncio.create_task(step.run(trial))
        while not trial.told:  # noqa: ASYNC110 - no bell rings
            await asyncio.sleep(0.02)
        assert not working.done()
        async with asyncio.timeout(30), await psycopg.AsyncConnection.connect(database.admin_url) as reader:
            await reader.execute("SELECT FROM payments.payments")
    evidence = await working
    assert await step.faults(evidence) == []


async def test_a_contraction_goes_once_and_cannot_be_undone(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    await expanded(site).run()
    step, trial = Step(site, "sql.contract", statements=TAKE), Trial()
    evidence = await step.run(trial)
    assert not await has_channel(admin)
    assert await step.faults(evidence) == []
    assert await step.run(Trial(trial.saved)) == evidence
    assert not step.kind.reversible
    with pytest.raises(StepError, match="cannot be undone: what was dropped is in backups only"):
        await step.undo(evidence)


# -- backfill


async def filled(admin: psycopg.AsyncConnection, rows: int) -> None:
    await admin.execute(
        "CREATE TABLE payments.notes (id uuid PRIMARY KEY, n int NOT NULL, channel text, other text)"
    )
    await admin.execute(
        "INSERT INTO payments.notes SELECT gen_random_uuid(), n, CASE WHEN n %% 10 = 0 THEN 'web' END"
        " FROM generate_series(1, %s) AS n",
        (rows,),
    )


def backfill(site: Site, **more: Any) -> Step:
    given = {
        "table": "payments.notes",
        "set": "channel = 'app'",
        "done": "channel IS NOT NULL",
        "undo": "channel = NULL",
        "batch": 30,
        "rest": 0,
    }
    return Step(site, "sql.backfill", **given | more)


async def test_a_backfill_fills_every_row_up_to_its_bound_and_only_once(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    await filled(admin, 1000)
    step = backfill(site)
    assert await step.stands_in_the_way() == []
    stopped = Trial(stop_after=11)
    with pytest.raises(Aborted):
        await step.run(stopped)
    assert stopped.saved["rows"] == 330
    late = "ffffffff-ffff-ffff-ffff-ffffffffffff"  # beyond the bound: whoever wrote it knew the new column
    await admin.execute("INSERT INTO payments.notes VALUES (%s, 0)", (late,))
    evidence = await step.run(Trial(stopped.saved))
    assert evidence["rows"] == 900
    assert await step.faults(evidence) == []
    assert await value(admin, "SELECT count(*) FROM payments.notes WHERE channel = 'app'") == 900
    assert await value(admin, "SELECT count(*) FROM payments.notes WHERE channel IS NULL") == 1

    undoing = Trial(stopped.saved, stop_after=20)
    with pytest.raises(Aborted):
        await step.undo(evidence, undoing)
    undoing = Trial(undoing.saved)
    assert (await step.undo(evidence, undoing))["rows"] == 1000
    assert await value(admin, "SELECT count(*) FROM payments.notes WHERE channel IS NULL") == 1001
    assert await step.faults(evidence) == ["all_filled"]
    again = Trial(undoing.saved)
    assert (await step.run(again))["rows"] == 1001
    assert await step.faults(await step.run(again)) == []


async def test_rows_that_a_backfill_skips_are_counted(site: Site, admin: psycopg.AsyncConnection) -> None:
    await filled(admin, 100)
    step = backfill(site, set="channel = CASE WHEN n % 7 = 0 THEN NULL ELSE 'app' END")
    evidence = await step.run()
    (found,) = await step.kind.verify(site, step.given, evidence)
    assert not found.ok
    assert found.said.startswith("100 rows were filled, 13 up to") or "13 up to" in found.said, found


async def test_a_row_that_somebody_holds_is_waited_for_not_skipped(
    site: Site, database: Database, admin: psycopg.AsyncConnection
) -> None:
    await filled(admin, 50)
    async with await psycopg.AsyncConnection.connect(database.admin_url) as other:
        await other.execute("SELECT FROM payments.notes WHERE n = 7 FOR UPDATE")
        trial = Trial()
        working = asyncio.create_task(backfill(site).run(trial))
        while not trial.told:  # noqa: ASYNC110 - no bell rings
            await asyncio.sleep(0.02)
        assert not working.done()
    evidence = await working
    assert await backfill(site).faults(evidence) == []


async def test_what_a_backfill_cannot_do_is_said_before(site: Site, admin: psycopg.AsyncConnection) -> None:
    await filled(admin, 1)
    assert await backfill(site, key="n").stands_in_the_way() == ["key_not_unique"]
    assert await backfill(site, set="colour = 1").stands_in_the_way() == ["bad_expression"]
    assert await backfill(site, table="payments.nothing").stands_in_the_way() == ["no_table"]


async def test_an_empty_table_is_filled_at_once(site: Site, admin: psycopg.AsyncConnection) -> None:
    await filled(admin, 0)
    step = backfill(site)
    evidence = await step.run()
    assert evidence == {"bound": None, "rows": 0}
    assert await step.faults(evidence) == []
    assert await step.undo(evidence) == {"rows": 0}


# -- archive


async def test_old_news_goes_to_the_archive_and_comes_back(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute(
        "INSERT INTO store.outbox (at, topic, subject, payload)"
        " SELECT now() - n * interval '1 day', 'test', gen_random_uuid(), '{}' FROM generate_series(1, 200) AS n"
    )
    step = Step(site, "rows.archive", table="store.outbox", older_than_days=100, batch=30, rest=0)
    before = await value(admin, "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM store.outbox AS o")
    assert (await step.run())["rows"] == 0  # nobody has read it yet
    await admin.execute("INSERT INTO store.cursors SELECT 'reader', max(xid), 150 FROM store.outbox")
    assert "51 rows" in (await step.preflight())["old_rows"].said

    stopped = Trial(stop_after=2)
    with pytest.raises(Aborted):
        await step.run(stopped)
    evidence = await step.run(Trial(stopped.saved))
    assert evidence["rows"] == 51
    assert await step.faults(evidence) == []
    assert await value(admin, "SELECT count(*) FROM store.outbox") == 149
    assert await value(admin, "SELECT count(*) FROM archive.store_outbox") == 51
    assert await step.undo(stopped.saved) == {"rows": 51}
    assert await step.undo(evidence) == {"rows": 0}
    assert before == await value(
        admin, "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM store.outbox AS o"
    )
    assert await step.faults(evidence) == ["all_moved", "all_there"]

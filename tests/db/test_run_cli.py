"""`till run`: what it prints, what it does, its exit codes."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.command import Till, calling
from tests.support.counting import TABLES, Open, Quiet, asked, at_work, bare_site, counting, kinds
from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.runs import Worker
from tillkeeper.store import Store, as_owner


@pytest.fixture
def till(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: Database, tmp_path: Path
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)
    monkeypatch.setattr(limits, "RUN_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(limits, "RUN_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(limits, "RUN_IDLE_SECONDS", 0.02)
    return calling(capsys)


async def ask(database: Database, run: UUID) -> None:
    async with Store.opened(database.app_url, size=1) as store:
        await asked(store, run, counting(run, "one", "two"), SystemClock())


async def carry(database: Database, run: UUID) -> None:
    """An agent, until the run has ended."""
    async with Store.opened(database.app_url, size=3) as store:
        worker = Worker(bare_site(store, database.app_url, database.admin_url), kinds(), Open(), Quiet())
        async with at_work(worker), asyncio.timeout(20):
            while True:
                async with store.tx("look") as tx:
                    seen = await runs.view(tx, run)
                if seen is not None and seen.run.ended_at is not None:
                    return
                await asyncio.sleep(0.02)


async def prepare(database: Database) -> None:
    async with as_owner(database.admin_url, "test") as owner:
        for statement in filter(str.strip, TABLES.split(";")):
            await owner.run(statement)


def test_a_run_is_listed_steered_shown_and_watched(till: Till, database: Database) -> None:
    assert "There was no run yet" in till("run", "list").out
    assert till("run", "show").code == 2
    asyncio.run(prepare(database))
    run = new_id()
    public = to_typeid("run", run)
    asyncio.run(ask(database, run))
    assert till("run", "list", "--json").json[0]["state"] == "waiting"
    assert till("run", "pause", "--reason", "lunch", "--json").json["state"] == "paused"
    refused = till("run", "pause", public)
    assert (refused.code, "paused cannot be told to pause" in refused.err) == (2, True)
    shown = till("run", "show", public).out
    assert "rests and waits for a person" in shown
    assert "lunch" in shown
    assert till("run", "resume").out.startswith(f"{public} is waiting")
    asyncio.run(carry(database, run))
    watched = till("run", "watch")
    assert (watched.code, f"{public} succeeded: Done" in watched.out) == (0, True)
    assert till("run", "watch", "--json").json["last"]["kind"] == "ended"
    assert till("run", "undo", "--json").json["state"] == "undoing"
    asyncio.run(carry(database, run))
    assert till("run", "watch").code == 1
    for id_ in ("pay_01", to_typeid("run", new_id())):
        assert till("run", "show", id_).code == 2
    steps = till("run", "show", "--json").json["steps"]
    assert [step["state"] for step in steps] == ["undone", "undone"]

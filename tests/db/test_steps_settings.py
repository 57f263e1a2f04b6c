"""The step that changes a setting: by reload on the shared server, by restart on one of its own that may fall over."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Database
from tests.support.steps import Step, Trial, site_on
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.steps import Site, StepError
from tillkeeper.store import Store
from tillkeeper.store.embedded import EmbeddedServer

HARMLESS = "vacuum_cost_page_miss"


@pytest.fixture
async def site(database: Database, store: Store, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(database, store, SystemClock(), tmp_path) as made:
        yield made


async def shown(url: str, name: str) -> str:
    async with await psycopg.AsyncConnection.connect(url) as fresh:
        row = await (await fresh.execute("SELECT current_setting(%s)", (name,))).fetchone()
    assert row is not None
    return str(row[0])


async def ours(url: str) -> str:
    async with await psycopg.AsyncConnection.connect(url) as fresh:
        row = await (await fresh.execute("SELECT pg_read_file('postgresql.auto.conf')")).fetchone()
    assert row is not None
    return str(row[0])


async def alter(url: str, what: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"ALTER SYSTEM {what}".encode())


async def test_a_setting_is_changed_by_reload_and_put_back(site: Site) -> None:
    usual, untouched = await shown(site.admin_url, HARMLESS), await ours(site.admin_url)
    first, second = (Step(site, "setting.change", name=HARMLESS, value=value) for value in ("7", "9"))
    assert await first.stands_in_the_way() == []
    trial = Trial()
    evidence = await first.run(trial)
    assert await shown(site.admin_url, HARMLESS) == "7"
    assert await first.faults(evidence) == []
    assert (
        await first.run(Trial(trial.saved)) == evidence
    )  # the second try still knows what it was before the first

    more = await second.run()
    assert await second.faults(more) == []
    assert await first.faults(evidence) == ["setting_lost"]
    await second.undo(more)
    assert await shown(site.admin_url, HARMLESS) == "7"
    await first.undo(evidence)
    await first.undo(evidence)
    assert await shown(site.admin_url, HARMLESS) == usual
    assert await ours(site.admin_url) == untouched


async def test_what_a_setting_cannot_be_is_refused_and_changes_nothing(site: Site) -> None:
    untouched = await ours(site.admin_url)
    step = Step(site, "setting.change", name=HARMLESS, value="often'; --")
    with pytest.raises(StepError, match=HARMLESS):
        await step.run()
    assert await ours(site.admin_url) == untouched


async def test_what_stands_in_the_way_is_said_before(site: Site) -> None:
    for name, apply, code in (
        ("no_such_setting", "reload", "no_setting"),
        ("max_connections", "reload", "needs_restart"),
        ("max_connections", "restart", "foreign_server"),
        ("block_size", "reload", "fixed_setting"),
    ):
        step = Step(site, "setting.change", name=name, value="1", apply=apply)
        assert await step.stands_in_the_way() == [code]


async def test_a_restart_takes_a_setting_and_one_that_does_not_start_is_put_back(
    site: Site, tmp_path: Path
) -> None:
    async with EmbeddedServer(tmp_path / "home", durable=False).running() as server:
        site = replace(site, admin_url=server.admin_url, settings=Settings(home=server.home))
        step = Step(site, "setting.change", name="max_connections", value="40", apply="restart")
        assert await step.stands_in_the_way() == []
        evidence = await step.run()
        assert await shown(server.admin_url, "max_connections") == "40"
        assert await step.faults(evidence) == []

        # More than any machine has: it is a fault that only the start itself finds.
        impossible = Step(site, "setting.change", name="shared_buffers", value="900GB", apply="restart")
        trial = Trial()
        with pytest.raises(StepError, match="has its old settings again"):
            await impossible.run(trial)
        assert await shown(server.admin_url, "shared_buffers") == "256MB"
        assert await shown(server.admin_url, "max_connections") == "40"
        # The agent was killed when it had written that, and before the restart: the next one has nothing else to read.
        await alter(server.admin_url, "SET shared_buffers = '900GB'")
        with pytest.raises(StepError, match="has its old settings again"):
            await impossible.run(trial)
        assert await shown(server.admin_url, "shared_buffers") == "256MB"
        await impossible.undo(trial.saved)

        await step.undo(evidence)
        assert await shown(server.admin_url, "max_connections") == "100"

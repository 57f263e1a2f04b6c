"""Steps that order backups and drills of the agent: done, joined, failed, and ordered anew after the agent was killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Database
from tests.support.steps import Step, Trial, site_on
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.maintenance.backups import Backups, Keeper, Order, order
from tillkeeper.maintenance.steps import Site, StepError
from tillkeeper.store import Store

TAKEN = """
INSERT INTO maintenance.backups (id, kind, state, asked_by, begun_at, ended_at, bytes, database_bytes, timeline, start_lsn, end_lsn)
VALUES (gen_random_uuid(), 'full', 'done', 'agent', clock_timestamp(), clock_timestamp(), 7000, 9000, 1, '0/1', '0/2')
"""
DRILLED = """
INSERT INTO maintenance.drills (id, backup, target, passed, rpo_seconds, rto_seconds, checks, asked_by, begun_at, ended_at)
SELECT gen_random_uuid(), id, clock_timestamp(), %s, 1.5, 20.25, %s, 'agent', clock_timestamp(), clock_timestamp()
FROM maintenance.backups ORDER BY begun_at DESC LIMIT 1
"""


@pytest.fixture
async def site(
    database: Database, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    monkeypatch.setattr(limits, "STEP_TELL_SECONDS", 0.02)
    monkeypatch.setattr(limits, "BACKUP_LOOK_SECONDS", 0.02)
    async with site_on(database, store, SystemClock(), tmp_path) as made:
        yield replace(made, production=True)


class Agent:
    """The agent's keeper of backups, whose child processes are played. `broken`: a check that does not hold."""

    def __init__(self, admin: psycopg.AsyncConnection, fails: str = "", *, broken: bool = False) -> None:
        self.admin, self.fails, self.broken = admin, fails, broken
        self.done: list[str] = []

    async def carry_out(self, asked: Order) -> str:
        self.done.append(asked.kind)
        if self.fails:
            return self.fails
        checks = (
            '[{"name": "books", "state": "broken", "said": "1.00 CNY is missing"}]' if self.broken else "[]"
        )
        if asked.kind == "drill":
            await self.admin.execute(DRILLED, (not self.broken, checks))
        else:
            await self.admin.execute(TAKEN)
        return ""


@asynccontextmanager
async def working(site: Site, agent: Agent) -> AsyncIterator[None]:
    running = asyncio.create_task(Keeper(site.store, site.clock, "UTC", agent.carry_out).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_backup_is_taken_and_then_drilled(site: Site, admin: psycopg.AsyncConnection) -> None:
    take, drill = Step(site, "backup.take", full=True), Step(site, "backup.drill")
    assert await drill.stands_in_the_way() == ["no_backup"]
    agent = Agent(admin)
    async with working(site, agent):
        trial = Trial()
        evidence = await take.run(trial)
        assert (evidence["kind"], evidence["bytes"]) == ("full", 7000)
        assert await take.faults(evidence) == []
        assert await drill.stands_in_the_way() == []
        proof = await drill.run()
        assert (proof["rpo_seconds"], proof["rto_seconds"]) == (1.5, 20.25)
        assert await drill.faults(proof) == []
        await take.run(Trial(trial.saved))  # killed before the journal knew: not taken once more
    assert agent.done == ["full", "drill"]


async def test_a_drill_that_finds_something_broken_has_failed(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute(TAKEN)
    async with working(site, Agent(admin, broken=True)):
        with pytest.raises(StepError, match=r"books: 1\.00 CNY is missing"):
            await Step(site, "backup.drill").run()


async def test_what_fails_says_why(site: Site, admin: psycopg.AsyncConnection) -> None:
    async with working(site, Agent(admin, fails="the disk is full")):
        with pytest.raises(StepError, match="it failed: the disk is full"):
            await Step(site, "backup.take").run()


async def test_an_order_that_died_with_the_agent_is_given_anew_and_one_that_waits_is_joined(
    site: Site, admin: psycopg.AsyncConnection
) -> None:
    async with site.store.tx("test") as tx:
        waiting = await order(tx, "full", "anna", site.clock.now())
    trial = Trial()
    step = Step(site, "backup.take")
    first = asyncio.create_task(step.run(trial))
    while not trial.saved:  # noqa: ASYNC110 - no bell rings
        await asyncio.sleep(0.01)
    first.cancel()
    assert trial.saved == {"order": str(waiting)}
    await admin.execute("UPDATE maintenance.backup_orders SET state = 'running'")
    agent = Agent(admin)
    async with working(site, agent):  # the agent after the one that was killed
        await step.run(trial)
    assert agent.done == ["incremental"]
    assert [each.state for each in await Backups(site.store).orders()] == ["done", "failed"]

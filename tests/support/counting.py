"""A kind of step that counts what is done with it, and what else a run needs in a test.

`shop.calls` has a row for every call of run and undo, as it begins and as it ends; `shop.effects` what stands now.
"""

# ruff: noqa: ARG002 - every kind and gate is given what any may need

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from tillkeeper.base.clock import Clock, SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.plans import Guardrail, Plan, Step
from tillkeeper.maintenance.runs import Run, Worker, journal
from tillkeeper.maintenance.steps import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.monitoring import MoneyFault, MoneyLook
from tillkeeper.store import Store

TABLES: Final = """
CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO till_app;
CREATE TABLE shop.calls (number bigint GENERATED ALWAYS AS IDENTITY, run uuid, name text, said text,
    at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE shop.effects (run uuid, name text, PRIMARY KEY (run, name));
GRANT ALL ON shop.calls, shop.effects TO till_app;
"""
FAULT: Final = MoneyFault("displaced", "CNY", 700, "700 are missing")


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`fails`: so many times; `rests`: checkpoints of 10 ms on the way; `hangs`: never ends by itself;
    `needs`: the effect of another, before it begins."""

    name: str
    run: str
    fails: int = 0
    rests: int = 0
    hangs: bool = False
    needs: str = ""
    wrong: bool = False
    undo_fails: int = 0


class Count:
    """Has an effect once, and says so."""

    name = "test.count"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False
    kept: bool = False

    def __init__(self) -> None:
        self.failed: dict[str, int] = {}

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        needed = not given.needs or await _there(site, given.run, given.needs)
        return [
            Finding("counted", "it can be counted" if needed else f"{given.needs} is not there", ok=needed)
        ]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        await note(site, given, "run")
        await attempt.save({"begun": given.name})
        for rest in range(given.rests):
            await attempt.progress(rest / given.rests, "counting")
            await attempt.checkpoint()
            await asyncio.sleep(0.01)
        while given.hangs:  # noqa: ASYNC110 - for ever
            await asyncio.sleep(0.05)
        self._fail(f"run {given.name}", given.fails)
        async with site.store.tx("effect") as tx:
            await tx.run(
                b"INSERT INTO shop.effects VALUES (%(run)s, %(name)s) ON CONFLICT DO NOTHING", _who(given)
            )
        await note(site, given, "ran")
        return {"counted": given.name}

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        there = await _there(site, given.run, given.name)
        return [
            Finding(
                "there", "it is there" if there else "it is not there", ok=bool(there) and not given.wrong
            )
        ]

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        await note(site, given, "undo")
        await attempt.checkpoint()
        self._fail(f"undo {given.name}", given.undo_fails)
        async with site.store.tx("effect") as tx:
            await tx.run(b"DELETE FROM shop.effects WHERE run = %(run)s AND name = %(name)s", _who(given))
        await note(site, given, "undid")
        return {"undone": given.name}

    def _fail(self, what: str, times: int) -> None:
        if self.failed.get(what, 0) < times:
            self.failed[what] = self.failed.get(what, 0) + 1
            raise StepError(f"{what} failed")


class Lasting(Count):
    """The same, but it cannot be undone."""

    name = "test.final"
    reversible = False


class AtMoney(Count):
    """The same, where money is kept."""

    name = "test.money"
    money_risk = True


def kinds() -> dict[str, Any]:
    """Fresh ones: they remember how often they failed."""
    return {kind.name: kind for kind in (Count(), Lasting(), AtMoney())}


async def _there(site: Site, run: str, name: str) -> bool:
    """Whether an effect stands."""
    async with site.store.tx("effect") as tx:
        wanted = {"run": run, "name": name}
        counted = b"SELECT count(*) FROM shop.effects WHERE run = %(run)s AND name = %(name)s"
        return bool(await tx.value(counted, wanted))


def _who(given: Parameters) -> dict[str, str]:
    return {"run": given.run, "name": given.name}


async def note(site: Site, given: Parameters, said: str) -> None:
    async with site.store.tx("call") as tx:
        await tx.run(
            b"INSERT INTO shop.calls (run, name, said) VALUES (%(run)s, %(name)s, %(said)s)",
            _who(given) | {"said": said},
        )


class Quiet:
    """Books with the faults that a test plants."""

    def __init__(self) -> None:
        self.faults: tuple[MoneyFault, ...] = ()
        self.away = False
        self.looks = 0

    async def look(self) -> MoneyLook:
        self.looks += 1
        if self.away:
            raise TimeoutError("nobody answers")
        return MoneyLook(self.faults, 1.0, 10)


class Open:
    """A gate that lets everything pass, unless a test says otherwise."""

    def __init__(self) -> None:
        self.shut = ""
        self.until: datetime | None = None
        self.found: tuple[Finding, ...] = ()

    async def closed(self, plan_id: UUID, plan: Plan) -> str:
        return self.shut

    async def edge(self, plan_id: UUID, plan: Plan) -> datetime | None:
        return self.until

    async def findings(self, plan_id: UUID, plan: Plan) -> Sequence[Finding]:
        return self.found


def counting(run: UUID, *steps: Step | str, guardrails: tuple[Guardrail, ...] = ()) -> Plan:
    """A plan of counting steps; a step may be named only."""
    made = [
        each if isinstance(each, Step) else Step("test.count", {"name": each, "run": str(run)})
        for each in steps
    ]
    return Plan("Count", "to see that it counts", "anna", tuple(made), guardrails=guardrails)


def step(run: UUID, name: str, kind: str = "test.count", **parameters: Any) -> Step:
    """A counting step with parameters; `tries` and `timeout_seconds` are the step's own."""
    own = {key: parameters.pop(key) for key in ("tries", "timeout_seconds") if key in parameters}
    return Step(kind, {"name": name, "run": str(run), **parameters}, **own)


async def asked(store: Store, run: UUID, plan: Plan, clock: Clock) -> Run:
    """A run as somebody asked for it."""
    async with store.tx("ask") as tx:
        made = await journal.ask(tx, run, new_id(), plan, "anna", clock)
    assert made is not None
    return made


async def calls(admin: psycopg.AsyncConnection, run: UUID) -> list[str]:
    """What was called, in order: "run one"."""
    cursor = await admin.execute(
        "SELECT said || ' ' || name FROM shop.calls WHERE run = %s ORDER BY number", (run,)
    )
    return [row[0] for row in await cursor.fetchall()]


async def effects(admin: psycopg.AsyncConnection, run: UUID) -> list[str]:
    """What stands."""
    cursor = await admin.execute("SELECT name FROM shop.effects WHERE run = %s ORDER BY name", (run,))
    return [row[0] for row in await cursor.fetchall()]


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[None]:
    """The worker, for as long as the block lasts."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def bare_site(store: Store, app_url: str, admin_url: str) -> Site:
    """A site for steps that touch neither vault nor files."""
    settings = Settings(database_url=app_url, admin_database_url=admin_url)
    nothing: Any = None
    return Site(store, admin_url, SystemClock(), settings, nothing, nothing, production=True)

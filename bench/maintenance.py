"""What upkeep costs, and how soon it notices: a step's overhead, a guardrail's reaction, monitoring and the idle agent beside
payments. `bench backups` measures backup, restore and drill.
"""

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from bench import figures
from bench.machine import usage
from bench.payments import a_step, measure
from bench.stage import ACCOUNTS, Stage, api, populate, sql, staged
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.plans import Plan
from tillkeeper.maintenance.plans import Step as Planned
from tillkeeper.maintenance.runs import ENDS, RunView, Worker, journal, view
from tillkeeper.maintenance.steps import Attempt, Evidence, Finding, LockRisk, Site
from tillkeeper.monitoring import Books
from tillkeeper.store import Store
from tillkeeper.vault import Vault, root_of

STEPS: Final = 20
REACTIONS: Final = 5
CONNECTIONS: Final = 64
ROUNDS: Final = 4
IDLE_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.01
_DEADLINE: Final = 120.0
_CLOCK: Final = SystemClock()


class Nothing(msgspec.Struct, frozen=True):
    """`rests`: checkpoints of 50 ms each."""

    rests: int = 0


class Rest:
    """A step that does nothing, so that what is left is the run's own cost; or nothing for a while."""

    name = "bench.rest"
    parameters: type[msgspec.Struct] = Nothing
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, _: Site, __: Nothing) -> Sequence[Finding]:
        return []

    async def run(self, _: Site, given: Nothing, attempt: Attempt) -> Evidence:
        for _rest in range(given.rests):
            await attempt.checkpoint()
            await asyncio.sleep(0.05)
        return {}

    async def verify(self, _: Site, __: Nothing, ___: Evidence) -> Sequence[Finding]:
        return []

    async def undo(self, _: Site, __: Nothing, ___: Evidence, ____: Attempt) -> Evidence:
        return {}


class Always:
    """A gate that is open."""

    async def closed(self, _: UUID, __: Plan) -> str:
        return ""

    async def edge(self, _: UUID, __: Plan) -> datetime | None:
        return None

    async def findings(self, _: UUID, __: Plan) -> Sequence[Finding]:
        return []


class Cost(msgspec.Struct, frozen=True):
    """Of one round: payments a second, and the CPU that each of them cost us, µs."""

    agent: bool
    rate: float
    p99_ms: float
    own_us: float
    agent_share: float
    others: float


class Result(msgspec.Struct, frozen=True):
    """Overhead of steps and a durable insert, ms; reactions to money that is moved without a transfer, and until all was
    undone, seconds; rounds of payments with and without the agent; CPU shares of api and agent when nobody pays.
    """

    step_ms: list[float]
    insert_ms: list[float]
    reaction_s: list[float]
    undone_s: list[float]
    costs: list[Cost]
    idle: dict[str, float]


async def main(seconds: float) -> Result:
    """Measure, print, write bench/out/maintenance.json."""
    async with staged() as stage:
        people = await populate(stage, (2 * ROUNDS) * ACCOUNTS, 1000)
        async with _site(stage) as site:
            inserts = await _inserts(stage)
            steps = await _steps(site)
            reactions = [await _reaction(site, stage) for _ in range(REACTIONS)]
        costs, idle = [], {}
        async with api(stage) as pid:
            for place in range(2 * ROUNDS):
                with_agent = place % 2 == 1
                step = a_step(stage, people, place, connections=CONNECTIONS, hot=0.0, seconds=seconds)
                async with _agent(stage) if with_agent else _nobody() as agent:
                    before = usage({"agent": agent}) if agent else None
                    figure = await measure(stage, pid, step)
                    used = usage({"agent": agent}).since(before).groups["agent"] if agent and before else 0.0
                    own = figure.api_us + figure.postgres_us
                    costs.append(
                        Cost(
                            with_agent,
                            figure.measured.rate,
                            figure.measured.p99 * 1e3,
                            own,
                            used / seconds,
                            figure.others,
                        )
                    )
            async with _agent(stage) as agent:
                idle = await _idle({"api": pid, "agent": agent, "postgres": stage.postgres})
    result = Result(
        steps, inserts, [each[0] for each in reactions], [each[1] for each in reactions], costs, idle
    )
    show(result)
    figures.keep("maintenance", result)
    return result


@asynccontextmanager
async def _site(stage: Stage) -> AsyncIterator[Site]:
    root = root_of(stage.settings)
    async with (
        Store.opened(stage.urls.app) as store,
        Vault.opened(store, root, _CLOCK) as vault,
    ):
        yield Site(store, stage.urls.admin, _CLOCK, stage.settings, vault, root, production=True)


async def _inserts(stage: Stage) -> list[float]:
    """The yardstick: durable inserts of one row, one after the other, ms each."""
    found = []
    async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
        await admin.execute("CREATE TABLE bench_insert (n integer)")
        for n in range(10 * STEPS):
            began = _CLOCK.monotonic()
            await admin.execute("INSERT INTO bench_insert VALUES (%s)", (n,), prepare=True)
            found.append((_CLOCK.monotonic() - began) * 1e3)
    return found


async def _steps(site: Site) -> list[float]:
    """What each step of a run costs besides its work, ms: from its first line to its last, and the writing of the first."""
    plan = _plan(*[Planned("bench.rest")] * STEPS)
    async with _running(site, plan) as run:
        seen = await _until(site, run, lambda found: found.run.state in ENDS)
    assert seen.run.state == "succeeded", seen
    found = []
    for place in range(STEPS):
        of = {event.kind: event.at for event in seen.events if event.step == place}
        three = (of["step_verified"] - of["step_begun"]).total_seconds() * 1e3
        found.append(three * 1.5)  # two of its three lines lie between these moments
    return found


async def _reaction(site: Site, stage: Stage) -> tuple[float, float]:
    """Seconds from money moved without a transfer until the run knows that it must stop, and until all is undone."""
    plan = _plan(Planned("bench.rest"), Planned("bench.rest", {"rests": 1000}))
    async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
        async with _running(site, plan) as run:
            await _until(
                site, run, lambda found: found.steps[-1].state == "running" and len(found.lights) > 0
            )
            await asyncio.sleep(1.0)
            planted = _CLOCK.now()
            await admin.execute(sql.displace, {"amount": 1})
            seen = await _until(site, run, lambda found: found.run.state in ENDS)
        await admin.execute(sql.displace, {"amount": -1})
    assert seen.run.state == "failed", seen  # all is undone, but the money is still where it was moved to
    asked = next(event.at for event in seen.events if event.kind == "undo_asked")
    return (asked - planted).total_seconds(), (seen.events[-1].at - planted).total_seconds()


@asynccontextmanager
async def _running(site: Site, plan: Plan) -> AsyncIterator[UUID]:
    """A worker that carries the plan out, for the block."""
    run = new_id()
    async with site.store.tx("bench run") as tx:
        assert await journal.ask(tx, run, new_id(), plan, "bench", _CLOCK) is not None
    worker = Worker(
        site, {"bench.rest": Rest()}, Always(), Books(site.store, _CLOCK, share=limits.BOOKS_RUN_SHARE)
    )
    working = asyncio.create_task(worker.run())
    try:
        yield run
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def _plan(*steps: Planned) -> Plan:
    return Plan("Measure", "to know what it costs", "bench", steps)


async def _until(site: Site, run: UUID, there: Any) -> RunView:
    deadline = _CLOCK.monotonic() + _DEADLINE
    while _CLOCK.monotonic() < deadline:
        async with site.store.tx("bench run") as tx:
            seen = await view(tx, run)
        assert seen is not None
        if there(seen):
            return seen
        await asyncio.sleep(_POLL_SECONDS)
    raise TimeoutError(f"the run did not get there within {_DEADLINE:g} s")


@asynccontextmanager
async def _agent(stage: Stage) -> AsyncIterator[int]:
    """The agent's process, with nothing to do but what it always does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILL_")}
    environment["TILL_HOME"] = str(stage.settings.home)
    with (stage.settings.home / "agent.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tillkeeper", "serve", "agent", "--with-parent"),
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        await asyncio.sleep(3.0)
        assert process.returncode is None, (stage.settings.home / "agent.log").read_text()[-500:]
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), _DEADLINE)


@asynccontextmanager
async def _nobody() -> AsyncIterator[None]:
    yield None


async def _idle(groups: dict[str, int]) -> dict[str, float]:
    before = usage(groups)
    await asyncio.sleep(IDLE_SECONDS)
    used = usage(groups).since(before)
    return {name: seconds / IDLE_SECONDS for name, seconds in used.groups.items()}


def show(result: Result) -> None:
    """Print the tables."""
    insert = statistics.median(result.insert_ms)
    step = statistics.median(result.step_ms)
    print(
        f"a step's overhead: median {step:.2f} ms, worst {max(result.step_ms):.2f} ms; a durable insert {insert:.2f} ms"
    )
    reactions = ", ".join(f"{each:.2f}" for each in result.reaction_s)
    print(
        f"money moved without a transfer: noticed after {reactions} s; all undone after {max(result.undone_s):.2f} s at most"
    )
    figures.show("payments beside the agent", [_row(each) for each in result.costs])
    pairs = {agent: [each for each in result.costs if each.agent is agent] for agent in (False, True)}
    rates = {agent: statistics.median(each.rate for each in found) for agent, found in pairs.items()}
    print(
        f"payments with the agent: {figures.growth(rates[False], rates[True]):+.1f} % (medians of {ROUNDS} rounds each)"
    )
    print("nobody pays: " + ", ".join(f"{name} {share:.2%} of a core" for name, share in result.idle.items()))


def _row(cost: Cost) -> dict[str, str]:
    return {
        "agent": "beside" if cost.agent else "-",
        "payments/s": f"{cost.rate:,.0f}",
        "p99 ms": f"{cost.p99_ms:.1f}",
        "api + postgres µs": f"{cost.own_us:.0f}",
        "agent, of a core": f"{cost.agent_share:.1%}",
        "others": f"{cost.others:.0%}",
    }

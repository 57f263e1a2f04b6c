"""Caught before customers notice? Bad changes on a real platform under live payments: what catches each, how soon, who is hurt.

Each plan is first written and checked, then rehearsed on a restored copy, and then run all the same, as if nobody had looked at
what the rehearsal said: so that it shows what the guardrails do by themselves. The agent is the real one, in a process of its
own, with a careless colleague's kinds of steps beside the others (bench/fault_agent.py); the api is a process of its own.

    python -m bench faults [NAME …]
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from bench import figures
from bench.fault_agent import FAULTY
from bench.fault_field import CLOCK, CUSTOMERS, SLOW, Field, Sent, no_faults, planted_field, steadily, until
from bench.fault_plans import FAULTS, Fault
from bench.stage import populate, staged
from tillkeeper import ledger
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance import plans, reports, runs
from tillkeeper.maintenance.plans import Plan, Rehearsed
from tillkeeper.maintenance.runs import ENDS, Event, RunView, journal

BEFORE: Final = 6.0  # seconds of quiet payments before each


class Hurt(msgspec.Struct, frozen=True):
    """Of the payments sent meanwhile: all; those without an answer or answered 500; those told to come again (503, their key
    unused); those answered well but later than SLOW. `slow_before`: the share that was slow just before.
    """

    sent: int = 0
    failed: int = 0
    later: int = 0
    slow: int = 0
    slow_before: float = 0.0


class Row(msgspec.Struct, frozen=True):
    """What became of one bad change. `caught`: by what it is caught first, in the order in which a plan goes its way; `live`: by
    what when it ran all the same. `seconds`: from the step's beginning to the stop, until all was undone;
    `resumed_seconds`: from the start of a killed agent's successor until it had taken the run over.
    """

    name: str
    change: str
    written: str
    rehearsed: str
    live: str
    seconds_to_stop: float | None
    seconds_to_end: float | None
    outcome: str
    hurt: Hurt
    undone: bool | None
    balanced: bool
    said: str
    resumed_seconds: float | None = None

    @property
    def caught(self) -> str:
        """The first line that holds it."""
        if self.written:
            return "when written"
        if self.rehearsed.startswith("caught"):
            return "in rehearsal"
        return self.live or "NOT CAUGHT"


async def main(wanted: Sequence[str] = ()) -> list[Row]:
    """Plant each, print, write bench/out/faults.json."""
    chosen = [each for each in FAULTS if not wanted or each.name in wanted]
    async with staged() as stage:
        people = await populate(stage, CUSTOMERS, 100)
        async with planted_field(stage, people) as field:
            rows = []
            for fault in chosen:
                rows.append(await one(field, fault))
                show(rows[-1:])
                keep(rows)
            print(f"reports: {len(list(reports.folder_of(stage.settings).glob('*.json')))} written")
    show(rows)
    return rows


def keep(rows: Sequence[Row]) -> None:
    """Write what was measured beside what was measured before of the others."""
    file = figures.OUT / "faults.json"
    before = msgspec.json.decode(file.read_bytes(), type=list[Row]) if file.exists() else []
    known = {each.name: each for each in (*before, *rows)}
    figures.keep("faults", [known[fault.name] for fault in FAULTS if fault.name in known])


async def one(field: Field, fault: Fault) -> Row:
    """Write it, rehearse it, run it, and look what is left."""
    planned = await fault.steps(field)
    plan = Plan(fault.change, "bench", "bench", planned, guardrails=fault.rails(field))
    mistakes = plans.check(plan, FAULTY, CLOCK.now())
    if mistakes:
        said = mistakes[0].said
        return Row(
            fault.name,
            fault.change,
            said,
            "",
            "",
            None,
            None,
            "",
            Hurt(),
            None,
            await _balanced(field),
            said,
        )
    rehearsed = await _rehearse(field, plan)
    await asyncio.sleep(BEFORE)
    try:
        seen = await _run(field, plan, fault)
    except TimeoutError as error:
        return await _stuck(field, fault, rehearsed, str(error))
    return await _judge(field, fault, seen, rehearsed)


async def _stuck(field: Field, fault: Fault, rehearsed: str, said: str) -> Row:
    """It has not come to an end: a person ends the agent, and what is left is looked at."""
    await field.agent.kill()
    await field.agent.start()
    undone = await fault.undone(field) if fault.undone else None
    none, balanced = Hurt(), await _balanced(field)
    return Row(
        fault.name, fault.change, "", rehearsed, "", None, None, "no end", none, undone, balanced, said
    )


async def _rehearse(field: Field, plan: Plan) -> str:
    async with field.store.tx("bench plan") as tx:
        filed = await plans.submit(tx, plan, "bench", FAULTY, CLOCK)
    assert not isinstance(filed, Refusal), filed
    found = await runs.rehearse(field.stage.settings, filed, FAULTY, CLOCK, by="bench")
    if not isinstance(found, Rehearsed):
        return f"refused: {found.detail}"
    return "passed" if found.passed else f"caught: {found.said}"


async def _run(field: Field, plan: Plan, fault: Fault) -> RunView:
    """To its end. A pause is answered as a person would: undo it."""
    run = new_id()
    async with field.store.tx("bench run") as tx:
        assert await journal.ask(tx, run, new_id(), plan, "bench", CLOCK) is not None
    beside = asyncio.create_task(fault.meanwhile(field, run)) if fault.meanwhile else None
    seen = await until(field, run, lambda found: found.run.state in ENDS or found.run.state == "paused")
    if seen.run.state == "paused":
        await asyncio.sleep(1.0)
        async with field.store.tx("bench undo") as tx:
            await runs.command(tx, run, "undo" if _begun(seen.events) else "abort", "bench", CLOCK)
        seen = await until(field, run, lambda found: found.run.state in ENDS)
    if beside is not None:
        await beside
    await asyncio.sleep(3.0)  # whoever waits is answered
    return seen


def _begun(events: Sequence[Event]) -> bool:
    return any(each.kind == "begun" for each in events)


async def _judge(field: Field, fault: Fault, seen: RunView, rehearsed: str) -> Row:
    events = seen.events
    began = next((each.at for each in events if each.kind == "step_begun"), seen.run.asked_at)
    stop = next((each for each in events if each.kind in {"undo_asked", "paused", "step_failed"}), None)
    taken = next((each for each in events if each.kind == "taken_over"), None)
    ended = seen.run.ended_at
    assert ended is not None
    hurt = _hurt(
        field.load.between(began, ended + timedelta(seconds=1)),
        field.load.between(began - timedelta(seconds=BEFORE), began),
    )
    undone = await fault.undone(field) if fault.undone and stop is not None else None
    if fault.repair:
        await field.ask(fault.repair)
        await field.ask("DELETE FROM public.fault_marks")
    before = await _balanced(field) if not fault.repair or undone is not False else False
    return Row(
        fault.name,
        fault.change,
        "",
        rehearsed,
        _by(stop),
        round((stop.at - began).total_seconds(), 2) if stop else None,
        round((ended - began).total_seconds(), 2),
        seen.run.state,
        hurt,
        undone,
        before,
        str(stop.detail.get("said", "")) if stop else "",
        round((taken.at - field.agent.started_at).total_seconds(), 2) if taken else None,
    )


def _hurt(sent: Sequence[Sent], before: Sequence[Sent]) -> Hurt:
    later = sum(each.status == 503 for each in sent)
    failed = sum(each.status == 0 or (each.status >= 500 and each.status != 503) for each in sent)
    share = sum(map(_slow, before)) / len(before) if before else 0.0
    return Hurt(len(sent), failed, later, sum(map(_slow, sent)), round(share, 3))


def _slow(call: Sent) -> bool:
    return 200 <= call.status < 500 and call.took > SLOW


def _by(stop: Event | None) -> str:
    """What stopped it."""
    if stop is None:
        return ""
    if stop.kind == "step_failed":
        return "its own look" if stop.detail.get("findings") else "its own bound"
    if stop.kind == "paused":
        return f"paused: {stop.detail.get('cause', '')}"
    return f"guardrail {stop.detail.get('measure', '')}"


async def _balanced(field: Field) -> bool:
    return (await steadily(lambda: ledger.verify(field.store))).balanced and await no_faults(field)


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    figures.show("bad changes", [_shown(each) for each in rows])


def _shown(row: Row) -> dict[str, str]:
    yes = {True: "yes", False: "NO", None: "-"}
    return {
        "change": row.change,
        "caught": row.caught,
        "run all the same, stopped by": row.live or ("-" if row.written else "NOTHING"),
        "s to stop": "-" if row.seconds_to_stop is None else f"{row.seconds_to_stop:.1f}",
        "s to end": "-" if row.seconds_to_end is None else f"{row.seconds_to_end:.1f}",
        "end": row.outcome or "-",
        "sent": str(row.hurt.sent),
        "failed": str(row.hurt.failed),
        "503": str(row.hurt.later),
        "slow": str(row.hurt.slow),
        "undone": yes[row.undone],
        "books": "balance" if row.balanced else "DIFFER",
    }


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

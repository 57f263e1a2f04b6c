"""The journal of runs in the database: read whole, written line by line, by one agent at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance.plans import Plan
from tillkeeper.maintenance.runs.fold import Standing, apply, fold
from tillkeeper.maintenance.runs.types import AGENT, Event, EventKind, Now, Run
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")

PERSON: Final = 0
"""The fence of what is not written by the agent at work."""


class FencedError(Exception):
    """Another agent carries the runs out now: whoever gets this must stop at once."""


class Story(NamedTuple):
    """A run, its plan, how the moment stands, and its lines."""

    run: Run
    plan: Plan
    now: Now
    events: tuple[Event, ...]
    standing: Standing


async def take_fence(tx: Tx) -> int:
    """A token above all others: from the commit on only its owner writes."""
    token: int = await tx.value(_sql.take_fence)
    return token


def fresh(plan: Plan) -> Standing:
    """How a run stands of which nothing is written."""
    return fold(len(plan.steps), ())


async def ask(
    tx: Tx, id_: UUID, plan_id: UUID, plan: Plan, by: str, clock: Clock, *, rehearsal: bool = False
) -> Run | None:
    """A new run, waiting; None where one is open."""
    run = Run(id_, plan_id, plan.digest, rehearsal, "waiting", by, clock.now(), None, None)
    content = msgspec.json.encode(plan).decode()
    asked = {
        "id": run.id,
        "plan": plan_id,
        "digest": plan.digest,
        "content": content,
        "rehearsal": rehearsal,
        "by": by,
        "at": run.asked_at,
    }
    if await tx.value(_sql.ask, asked) is None:
        return None
    line = Event(0, run.id, run.asked_at, PERSON, "asked", None, None, by, {})
    assert await append(tx, line, fresh(plan)) is not None
    return run


async def append(tx: Tx, line: Event, standing: Standing) -> Standing | None:
    """One more line after those that `standing` has seen; what stands then.

    None: nothing was written, because there are lines that were not seen, or another agent has taken over.
    """
    event = msgspec.structs.replace(line, seq=standing.seen + 1)
    after = apply(standing, event)
    written = await tx.value(
        _sql.append,
        {
            "run": event.run,
            "seen": standing.seen,
            "at": event.at,
            "fence": event.fence,
            "kind": event.kind,
            "state": after.state,
            "step": event.step,
            "attempt": event.attempt,
            "by": event.by,
            "detail": msgspec.json.encode(event.detail).decode(),
        },
    )
    return after if written is not None else None


async def load(tx: Tx, run: UUID, *, lock: bool = False) -> Story | None:
    """All of a run; None if there is none. `lock`: nobody writes until the transaction ends."""
    if lock:
        await tx.run(_sql.lock_run, {"run": run})
    row = await tx.row(_sql.run, {"run": run})
    if row is None:
        return None
    plan = msgspec.json.decode(row.content, type=Plan)
    now = msgspec.json.decode(row.now, type=Now)
    events = tuple(await lines(tx, run))
    found = Run(*row[:9])
    return Story(found, plan, now, events, fold(len(plan.steps), events))


async def lines(tx: Tx, run: UUID, after: int = 0) -> list[Event]:
    """A run's journal after a line."""
    rows = await tx.tuples(_sql.lines, {"run": run, "after": after})
    return [Event(*[*row[:-1], msgspec.json.decode(row[-1])]) for row in rows]


async def open_run(tx: Tx, *, rehearsal: bool = False) -> Run | None:
    """The run that has not ended."""
    row = await tx.row(_sql.open_runs, {"rehearsal": rehearsal})
    return Run(*row) if row else None


async def other_run(tx: Tx, *, rehearsal: bool = False) -> Run | None:
    """The run that keeps another from being asked for; nobody else asks until the transaction ends."""
    await tx.run(_sql.lock_fence)
    return await open_run(tx, rehearsal=rehearsal)


def busy(other: Run) -> Refusal:
    """Says so."""
    return Refusal("run_open", f"{other.public} is {other.state}: wait for it, or abort it")


async def list_runs(
    tx: Tx,
    *,
    plan: UUID | None = None,
    rehearsal: bool | None = False,
    before: UUID | None = None,
    limit: int = 25,
) -> list[Run]:
    """Runs, the latest first. `rehearsal`: None for both kinds."""
    given = {"plan": plan, "rehearsal": rehearsal, "before": before, "limit": limit}
    return [Run(*row) for row in await tx.tuples(_sql.runs, given)]


async def goals(tx: Tx, runs: Sequence[UUID]) -> dict[UUID, str]:
    """What runs are for, as their plans say it."""
    return dict(await tx.tuples(_sql.goals, {"runs": list(runs)}))


async def note_now(tx: Tx, run: UUID, fence: int, now: Now) -> int | None:
    """Write how the moment stands; how many lines there are, None when another agent has taken over."""
    given = {"run": run, "fence": fence, "now": msgspec.json.encode(now).decode()}
    count: int | None = await tx.value(_sql.note_now, given)
    return count


async def is_inside(tx: Tx, fence: int) -> bool:
    """Whether nobody has taken over since."""
    return bool(await tx.value(_sql.is_inside, {"fence": fence}))


def line(
    run: UUID,
    kind: EventKind,
    clock: Clock,
    *,
    fence: int = PERSON,
    step: int | None = None,
    attempt: int | None = None,
    by: str = AGENT,
    detail: Mapping[str, Any] | None = None,
) -> Event:
    """A line to be written; it gets its place when it is."""
    return Event(0, run, clock.now(), fence, kind, step, attempt, by, dict(detail or {}))

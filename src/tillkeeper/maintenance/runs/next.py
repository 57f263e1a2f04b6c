"""What a run needs next: a pure decision from its plan, its standing, and the time. The executor does it and asks again."""

from datetime import datetime, timedelta

import msgspec

from tillkeeper.base import limits
from tillkeeper.maintenance.plans import Plan, overrun
from tillkeeper.maintenance.runs.fold import Standing, StepStanding
from tillkeeper.maintenance.runs.types import ENDS, RunState


class Rest(msgspec.Struct, frozen=True):
    """Nothing but to keep measuring: it is paused, or a step settles, or its window has not come."""

    said: str = ""


class Preflight(msgspec.Struct, frozen=True):
    """Look whether anything stands in the way."""


class Begin(msgspec.Struct, frozen=True):
    """Note what is usual, and begin."""


class Do(msgspec.Struct, frozen=True):
    """Run a step, or the rest of it."""

    step: int
    attempt: int


class Verify(msgspec.Struct, frozen=True):
    """Look whether a finished step did what it should."""

    step: int


class Undo(msgspec.Struct, frozen=True):
    """Put a step's work back."""

    step: int
    attempt: int


class Pause(msgspec.Struct, frozen=True):
    """Wait for a person."""

    cause: str
    said: str


class PutBack(msgspec.Struct, frozen=True):
    """Begin to undo everything."""

    said: str


class End(msgspec.Struct, frozen=True):
    """It is over."""

    state: RunState
    said: str


Action = Rest | Preflight | Begin | Do | Verify | Undo | Pause | PutBack | End

AT_WORK = ("running", "failed", "done", "undoing")
"""States of a step that has, or may have, done something."""


def decide(
    plan: Plan, standing: Standing, now: datetime, closed: str = "", edge: datetime | None = None
) -> Action | None:
    """What to do now; None: the run has ended. `closed`: why the calendar does not let it begin now; `edge`: where the time
    for it ends, once it has begun.
    """
    if standing.state in ENDS:
        return None
    if standing.state == "undoing":
        return _undo(standing)
    if not standing.begun:
        return _before(plan, standing, now, closed)
    if (late := _overrun(plan, standing, now, edge)) is not None:
        return late
    return Rest(standing.said) if standing.state == "paused" else _go_on(plan, standing, now)


def _before(plan: Plan, standing: Standing, now: datetime, closed: str) -> Action:
    if plan.window is not None and now >= plan.window.end:
        return End("aborted", "its window was over before it could begin")
    if standing.state == "paused" or closed:
        return Rest(closed or standing.said)
    return Begin() if standing.ready else Preflight()


def settle_seconds(plan: Plan) -> float:
    """How long a step is measured after it, before the next begins: a measure's window, or some looks at the money."""
    return max((each.seconds for each in plan.guardrails), default=limits.RUN_SETTLE_SECONDS)


def _go_on(plan: Plan, standing: Standing, now: datetime) -> Action:
    for place, step in enumerate(standing.steps):
        if step.state == "done" and step.verified_at is None:
            return Verify(place)
        if step.verified_at is not None:
            settled = step.verified_at + timedelta(seconds=settle_seconds(plan))
            if now < settled:
                return Rest()
            continue
        return _try(plan, place, step)
    return End("succeeded", "")


def _try(plan: Plan, place: int, step: StepStanding) -> Action:
    if step.failures >= plan.steps[place].tries:
        return Pause("step", step.said)
    if step.interrupted >= limits.RUN_INTERRUPTIONS:
        return Pause("interrupted", f"step {place + 1} was cut off {step.interrupted} times")
    return Do(place, step.attempts + 1)


def _overrun(plan: Plan, standing: Standing, now: datetime, edge: datetime | None) -> Action | None:
    """What the plan wants when its time is over and it is not."""
    if all(step.verified_at is not None for step in standing.steps):
        return None
    said = "the time for it is over"
    match overrun(plan.window.overrun if plan.window else "pause", edge, now):
        case "undo":
            return PutBack(said)
        case "pause" if standing.state != "paused" and not standing.overran:
            return Pause("window", said)
        case _:
            return None


def _undo(standing: Standing) -> Action:
    for place in reversed(range(len(standing.steps))):
        step = standing.steps[place]
        if step.state not in AT_WORK:
            continue
        if step.undo_failures >= limits.RUN_UNDO_TRIES or step.undo_cut >= limits.RUN_INTERRUPTIONS:
            return End("failed", f"step {place + 1} could not be undone: {step.said}")
        return Undo(place, step.undo_attempts + 1)
    return End(standing.wish, standing.said)

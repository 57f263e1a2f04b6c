"""What a run's journal says: a pure fold over its lines. Nothing else is remembered of a run."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tillkeeper.maintenance.runs.types import Event, EventKind, RunState, StepState

replace = msgspec.structs.replace


class StepStanding(msgspec.Struct, frozen=True):
    """How far a step is. `attempts`: begun so far; `failures`: of them, those that failed since a person last said "go on";
    `finished`: its work is done, and only looking at it may be left. `undo_cut`: tries to undo it
    that neither worked nor failed.
    """

    state: StepState = "waiting"
    attempts: int = 0
    failures: int = 0
    interrupted: int = 0
    finished: bool = False
    verified_at: datetime | None = None
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    saved: dict[str, Any] = {}
    evidence: dict[str, Any] = {}
    undo_attempts: int = 0
    undo_cut: int = 0
    undo_failures: int = 0
    said: str = ""


class Standing(msgspec.Struct, frozen=True):
    """How far a run is. `seen`: journal lines read; `reversible`, by step, and `baseline`, by measure, are known once it has
    begun. `cause`: why it is paused; `ready`: the last preflight found nothing. `waived`: measures that a person lets be
    inconclusive; `overran`: a person lets it go on after its window. `wish`: how it is to end when all is undone.
    """

    steps: tuple[StepStanding, ...]
    seen: int = 0
    state: RunState = "waiting"
    begun: bool = False
    ready: bool = False
    reversible: tuple[bool, ...] = ()
    baseline: dict[str, float] = {}
    cause: str = ""
    said: str = ""
    doubtful: tuple[str, ...] = ()
    waived: frozenset[str] = frozenset()
    overran: bool = False
    wish: RunState = "undone"
    verdicts: dict[str, str] = {}


def fold(steps: int, events: Iterable[Event]) -> Standing:
    """The standing of a run of so many steps after these lines."""
    standing = Standing(tuple(StepStanding() for _ in range(steps)))
    for event in events:
        standing = apply(standing, event)
    return standing


def apply(standing: Standing, event: Event) -> Standing:
    """The standing after one more line."""
    standing = replace(standing, seen=event.seq)
    if event.step is None:
        return _of_run(standing, event)
    step = _of_step(standing.steps[event.step], event)
    steps = (*standing.steps[: event.step], step, *standing.steps[event.step + 1 :])
    return replace(standing, steps=steps)


def _of_step(step: StepStanding, event: Event) -> StepStanding:
    change = _STEP.get(event.kind)
    if change is None:
        return step
    after = change(step, event)
    # It was at work when all was to be undone, and what became of it is written down later: it is kept all the same.
    return replace(after, state="kept") if step.state == "kept" else after


def _step_begun(step: StepStanding, event: Event) -> StepStanding:
    fresh = StepStanding(saved=step.saved) if step.state == "undone" else step
    return replace(
        fresh,
        state="running",
        attempts=event.attempt or 0,
        interrupted=step.interrupted + (step.state == "running"),
        finished=False,
        begun_at=fresh.begun_at or event.at,
        ended_at=None,
    )


def _step_failed(step: StepStanding, event: Event) -> StepStanding:
    failures, said = step.failures + 1, event.detail.get("said", "")
    return replace(step, state="failed", finished=False, failures=failures, said=said, ended_at=event.at)


def _undo_failed(step: StepStanding, event: Event) -> StepStanding:
    failures, said = step.undo_failures + 1, event.detail.get("said", "")
    return replace(step, state="failed", undo_failures=failures, said=said)


_STEP: Final[Mapping[EventKind, Callable[[StepStanding, Event], StepStanding]]] = {
    "step_begun": _step_begun,
    "step_saved": lambda step, event: replace(step, saved=event.detail),
    "step_done": lambda step, event: replace(
        step, state="done", finished=True, evidence=event.detail, ended_at=event.at, said=""
    ),
    "step_verified": lambda step, event: replace(step, verified_at=event.at),
    "step_failed": _step_failed,
    "undo_begun": lambda step, event: replace(
        step,
        state="undoing",
        undo_attempts=event.attempt or 0,
        undo_cut=step.undo_cut + (step.state == "undoing"),
    ),
    "undo_done": lambda step, event: replace(
        step, state="undone", finished=False, verified_at=None, ended_at=step.ended_at or event.at
    ),
    "undo_failed": _undo_failed,
}


def _of_run(standing: Standing, event: Event) -> Standing:
    change = _RUN.get(event.kind)
    return change(standing, event) if change else standing


def _begun(standing: Standing, event: Event) -> Standing:
    reversible, baseline = tuple(event.detail.get("reversible", ())), event.detail.get("baseline", {})
    return replace(standing, state="running", begun=True, reversible=reversible, baseline=baseline)


def _verdict(standing: Standing, event: Event) -> Standing:
    measure, verdict = event.detail["measure"], event.detail["verdict"]
    waived = standing.waived - {measure} if verdict == "pass" else standing.waived
    return replace(standing, verdicts={**standing.verdicts, measure: verdict}, waived=waived)


def _paused(standing: Standing, event: Event) -> Standing:
    detail = event.detail
    doubtful = tuple(detail.get("doubtful", ()))
    return replace(
        standing, state="paused", cause=detail["cause"], said=detail.get("said", ""), doubtful=doubtful
    )


def _resumed(standing: Standing, _: Event) -> Standing:
    """A person has looked: what failed may be tried as often again, and what stood in the way is looked at anew."""
    steps = tuple(replace(step, failures=0, interrupted=0) for step in standing.steps)
    return replace(
        standing,
        state="running" if standing.begun else "waiting",
        steps=steps,
        ready=False,
        cause="",
        said="",
        doubtful=(),
        waived=standing.waived.union(standing.doubtful),
        overran=standing.overran or standing.cause == "window",
    )


def _undoing(standing: Standing, event: Event) -> Standing:
    wish: RunState = "aborted" if event.kind == "abort_asked" else "undone"
    steps = tuple(_left(step, standing, place) for place, step in enumerate(standing.steps))
    said = event.detail.get("said", "")
    return replace(standing, state="undoing", wish=wish, steps=steps, said=said, cause="", doubtful=())


def _left(step: StepStanding, standing: Standing, place: int) -> StepStanding:
    """A step as the undoing finds it: what cannot be undone is kept, tries begin anew."""
    kept = step.state in {"running", "done", "failed"} and not standing.reversible[place]
    return replace(step, state="kept" if kept else step.state, undo_failures=0, undo_cut=0)


_RUN: Final[Mapping[EventKind, Callable[[Standing, Event], Standing]]] = {
    "preflight": lambda standing, event: replace(standing, ready=bool(event.detail.get("ok"))),
    "begun": _begun,
    "verdict": _verdict,
    "paused": _paused,
    "resumed": _resumed,
    "abort_asked": _undoing,
    "undo_asked": _undoing,
    "taken_over": lambda standing, _: replace(standing, ready=False),
    "ended": lambda standing, event: replace(
        standing, state=event.detail["state"], said=event.detail.get("said", "")
    ),
}

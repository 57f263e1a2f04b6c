"""What a run's journal tells a reader: the tries of each step, what the guardrails said, and the turns of the run. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from tillkeeper.maintenance.plans import Rehearsed
from tillkeeper.maintenance.reports.types import Attempted, Happened, Judged, StepPart
from tillkeeper.maintenance.runs import Event, EventKind, Light, StepView

_BEGINS: Final[Mapping[EventKind, Literal["run", "undo"]]] = {"step_begun": "run", "undo_begun": "undo"}
_ENDS: Final[Mapping[EventKind, str]] = {
    "step_done": "done",
    "step_failed": "failed",
    "undo_done": "done",
    "undo_failed": "failed",
}
_TURNS: Final = frozenset[EventKind](
    {"asked", "begun", "preflight", "paused", "resumed", "abort_asked", "undo_asked", "taken_over", "ended"}
)
BROKEN_OFF: Final = "broken off"


def step_part(view: StepView, events: Sequence[Event], rehearsed: Rehearsed | None) -> StepPart:
    """A step as it went."""
    known = {each.place: each.seconds for each in rehearsed.steps} if rehearsed else {}
    return StepPart(
        view.place,
        view.kind,
        view.title,
        view.state,
        tuple(attempts(each for each in events if each.step == view.place)),
        view.seconds,
        known.get(view.place),
        view.expected_seconds,
        view.evidence,
    )


def attempts(events: Iterator[Event]) -> Iterator[Attempted]:
    """The tries in the lines about one step; one that the next begins without its end was broken off by a crash or a stop.

    A step that was done and then did not hold what it promised has failed, and says why.
    """
    begun: Attempted | None = None
    for event in events:
        if (kind := _BEGINS.get(event.kind)) is not None:
            if begun is not None:
                yield begun
            begun = Attempted(kind, event.attempt or 1, event.at, None, BROKEN_OFF)
        elif begun is not None and (outcome := _ENDS.get(event.kind)) is not None:
            said = str(event.detail.get("said", "")) if outcome == "failed" else ""
            begun = msgspec.structs.replace(begun, ended_at=event.at, outcome=outcome, said=said)
    if begun is not None:
        yield begun


def judged(events: Sequence[Event]) -> Iterator[Judged]:
    """What the guardrails said; the journal has their changes only."""
    for event in events:
        if event.kind == "verdict":
            light = msgspec.convert(event.detail, Light)
            yield Judged(
                event.at,
                light.measure,
                light.verdict,
                light.value,
                light.usual,
                light.limit,
                light.samples,
                light.said,
            )


def happened(events: Sequence[Event]) -> Iterator[Happened]:
    """The turns of the run, and by whom."""
    for event in events:
        if event.kind in _TURNS:
            yield Happened(event.at, event.kind, event.by, _said(event))


def _said(event: Event) -> str:
    """What a line says in words: of a look at what stands in the way only that which does."""
    if event.kind == "preflight":
        found = event.detail.get("findings", ())
        return "; ".join(str(each["said"]) for each in found if not each["ok"])
    return str(event.detail.get("said") or event.detail.get("state", ""))

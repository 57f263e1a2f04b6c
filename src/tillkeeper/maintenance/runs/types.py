"""A run, as its journal tells it."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.base.ids import to_typeid
from tillkeeper.maintenance.plans import Plan

RunState = Literal["waiting", "running", "paused", "undoing", "succeeded", "undone", "failed", "aborted"]
"""waiting: for its window, its approval's last checks or its preflight. The last four are ends; `failed`: it could not be
undone wholly, a person must look. `undone` and `aborted`: all that was reversible is put back."""

StepState = Literal["waiting", "running", "done", "failed", "undoing", "undone", "kept"]
"""kept: done, not reversible, so left as it is when the rest was undone."""

EventKind = Literal[
    "asked", "begun", "preflight",
    "step_begun", "step_saved", "step_done", "step_failed", "step_verified",
    "undo_begun", "undo_done", "undo_failed",
    "verdict", "paused", "resumed", "abort_asked", "undo_asked", "taken_over", "ended",
]  # fmt: skip

Wish = Literal["pause", "resume", "abort", "undo"]
"""What a person may want of a run. abort: stop at once and put everything back; undo: the same, also after the end."""

ENDS: Final = frozenset[RunState]({"succeeded", "undone", "failed", "aborted"})
AGENT: Final = "agent"
"""Who writes what no person asked for."""

Verdict = Literal["pass", "fail", "inconclusive"]


class Event(msgspec.Struct, frozen=True):
    """One line of the journal: append-only. `step`: place in the plan from 0. `by`: a person, or "agent".

    `fence`: the token of the agent that wrote it; an older token can write nothing more.
    """

    seq: int
    run: UUID
    at: datetime
    fence: int
    kind: EventKind
    step: int | None
    attempt: int | None
    by: str
    detail: dict[str, Any]


class StepView(msgspec.Struct, frozen=True):
    """A step as it stands now."""

    place: int
    kind: str
    title: str
    state: StepState
    attempts: int
    share: float
    said: str
    seconds: float | None
    expected_seconds: float | None
    evidence: dict[str, Any]


class Light(msgspec.Struct, frozen=True):
    """A guardrail as it stands: value, what it is compared with, and how many samples said so."""

    measure: str
    verdict: Verdict
    value: float | None
    usual: float | None
    limit: float | None
    samples: int
    said: str
    at: datetime


class Run(msgspec.Struct, frozen=True):
    """A run's own row. `rehearsal`: on a copy. `state` is what its journal says, kept for lists."""

    id: UUID
    plan: UUID
    digest: bytes
    rehearsal: bool
    state: RunState
    asked_by: str
    asked_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None

    @property
    def public(self) -> str:
        """Its public id."""
        return to_typeid("run", self.id)


class Now(msgspec.Struct, frozen=True):
    """How the present step and the guardrails stand, written over every second; not part of the journal.

    `said`: one line about the step. `at`: when the agent that carries the run out wrote it last.
    """

    at: datetime | None = None
    share: float = 0.0
    said: str = ""
    lights: tuple["Light", ...] = ()


class RunView(msgspec.Struct, frozen=True):
    """Everything about a run, for pages and reports. `pause_reason`: why it does not go on, or not begin. `seen_at`: when the agent that carries it out wrote last."""

    run: Run
    plan: Plan
    steps: tuple[StepView, ...]
    lights: tuple[Light, ...]
    pause_reason: str
    events: tuple[Event, ...]
    seen_at: datetime | None = None

    @property
    def at_work(self) -> StepView | None:
        """The step that is being done or undone now."""
        return next((step for step in self.steps if step.state in {"running", "undoing"}), None)

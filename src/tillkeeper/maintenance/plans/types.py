"""What a plan is. A plan never changes: another text is another plan, with another hash."""

import hashlib
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.base.ids import to_typeid
from tillkeeper.maintenance.steps import Finding

Overrun = Literal["finish", "pause", "undo"]
"""What happens to a run that has not ended when its window has: it goes on, waits for a person, or is undone."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step: a kind by name, and its parameters. `expected_seconds`: what the author thinks; a rehearsal knows better."""

    kind: str
    parameters: dict[str, Any] = {}
    title: str = ""
    expected_seconds: float | None = None
    tries: int = 1
    timeout_seconds: float | None = None


class Guardrail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A measure that must stay good while the plan runs. Those on money are always there and cannot be left out.

    `measure`: one of monitoring's measures. It fails when it is worse than `usual`, the same hour's baseline, by more than
    `worse_by` (percentage points for rates in percent; a factor for durations: 2.0 is twice as long), or beyond `limit`,
    absolute. It is inconclusive with fewer than `samples` in `seconds`.
    """

    measure: str
    worse_by: float | None = None
    limit: float | None = None
    seconds: float = 10.0
    samples: int = 20


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the run may begin and should have ended; UTC. `last_start`: the last moment to begin; unset: what the
    expected duration leaves.
    """

    begin: datetime
    end: datetime
    overrun: Overrun = "pause"
    last_start: datetime | None = None


class NoticeText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What customers and merchants are told, by language (`en`, `zh-CN`); unset fields are drafted from the plan.

    `lead_hours`: how long before the window it is published. `expect`: what they will notice. `spare_minutes`: kept free
    after the window, should it take longer.
    """

    expect: Literal["nothing", "slower", "interruption"] = "nothing"
    lead_hours: float = 0.0
    spare_minutes: int = 60
    title: dict[str, str] = {}
    text: dict[str, str] = {}


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What shall be done, why, when, guarded by what."""

    goal: str
    reason: str
    owner: str
    steps: tuple[Step, ...]
    touches: tuple[str, ...] = ()
    window: Window | None = None
    guardrails: tuple[Guardrail, ...] = ()
    notice: NoticeText | None = None
    expected_seconds: float | None = None

    @property
    def content(self) -> bytes:
        """The plan as it is kept: JSON with sorted keys."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def digest(self) -> bytes:
        """What approvals, rehearsals and runs are bound to: SHA-256 over the content."""
        return hashlib.sha256(self.content).digest()


PREFIX: Final = "pln"

PlanState = Literal["draft", "submitted", "rehearsed", "approved", "withdrawn", "expired", "done"]
"""rehearsed: the latest rehearsal of exactly this plan passed, and a second person is asked. The last three are ends;
`done`: its run has ended, whatever became of it."""

OPEN: Final[tuple[PlanState, ...]] = ("draft", "submitted", "rehearsed", "approved")


class Filed(msgspec.Struct, frozen=True):
    """A plan as it was filed, and how far it has come. `replaces`: the draft that it was before. `run`: a plan is run once."""

    id: UUID
    plan: Plan
    digest: bytes
    author: str
    replaces: UUID | None
    made_at: datetime
    state: PlanState
    submitted_at: datetime | None
    approval: UUID | None
    approved_by: str | None
    approved_at: datetime | None
    approved_until: datetime | None
    run: UUID | None
    ended_at: datetime | None
    ended_by: str | None

    @property
    def public_id(self) -> str:
        """As people and addresses name it: pln_…"""
        return to_typeid(PREFIX, self.id)


class StepRehearsed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rehearsal found out about one step. Unset figures were not measured.

    `waited_ms`: the longest that somebody waited for a lock it held; `held_ms`: the longest it held one that others wait for.
    `undone`: whether it was undone and found as before; None: it is not reversible.
    """

    place: int
    kind: str
    ok: bool
    seconds: float
    said: str = ""
    undone: bool | None = None
    undo_seconds: float | None = None
    held_ms: float | None = None
    waited_ms: float | None = None
    size_change_bytes: int | None = None
    findings: tuple[Finding, ...] = ()
    evidence: dict[str, Any] = {}


class Rehearsed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rehearsal found. `said`: in one line, why it did not pass. `backup`: the one that was restored, and `backup_at`
    of when. `payments`: sent again under it; `books`: findings on the money before, between and after the steps.
    """

    passed: bool
    begun_at: datetime
    ended_at: datetime
    steps: tuple[StepRehearsed, ...]
    said: str = ""
    backup: str = ""
    backup_at: datetime | None = None
    copy_seconds: float | None = None
    payments: int = 0
    payments_failed: int = 0
    books: tuple[Finding, ...] = ()
    detail: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        """How long the steps took, without their undoing."""
        return sum(step.seconds for step in self.steps)


class Rehearsal(msgspec.Struct, frozen=True):
    """A rehearsal of the plan with this digest, as it was noted."""

    id: UUID
    digest: bytes
    passed: bool
    evidence: Rehearsed
    by: str
    at: datetime


class RehearsalOrder(msgspec.Struct, frozen=True):
    """A rehearsal that the agent was asked for. `said`: why it came to nothing."""

    id: UUID
    plan: UUID
    asked_by: str
    asked_at: datetime
    state: Literal["waiting", "running", "done", "failed"]
    ended_at: datetime | None
    said: str


class Freeze(msgspec.Struct, frozen=True):
    """A time in which no run begins."""

    id: UUID
    begins: datetime
    ends: datetime
    reason: str
    made_by: str
    made_at: datetime
    lifted_at: datetime | None = None
    lifted_by: str | None = None


class Override(msgspec.Struct, frozen=True):
    """Leave of two people to run a plan although the calendar says no."""

    id: UUID
    plan: UUID
    reason: str
    asked_by: str
    given_by: str
    given_at: datetime
    expires_at: datetime

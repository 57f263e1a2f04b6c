"""What a report says. Only what is here is signed; both pages are drawn from it and from nothing else."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.maintenance.plans import Plan
from tillkeeper.maintenance.runs import RunState, StepState, Verdict

FORMAT: Final = "tillkeeper-report/1"

TaskState = Literal["open", "done"]


class Agreed(msgspec.Struct, frozen=True):
    """Somebody agreed to something: to the plan (`plan.approve`), or to leave a freeze aside."""

    deed: str
    asked_by: str
    given_by: str
    at: datetime
    remark: str = ""


class Attempted(msgspec.Struct, frozen=True):
    """One try of a step, or of undoing it. `ended_at` is unset where a crash ended it."""

    kind: Literal["run", "undo"]
    number: int
    begun_at: datetime
    ended_at: datetime | None
    outcome: str
    said: str = ""


class StepPart(msgspec.Struct, frozen=True):
    """A step as it went. Seconds: really, in the rehearsal, and as the author thought."""

    place: int
    kind: str
    title: str
    state: StepState
    attempts: tuple[Attempted, ...]
    seconds: float | None
    rehearsed_seconds: float | None
    expected_seconds: float | None
    evidence: dict[str, Any]


class Judged(msgspec.Struct, frozen=True):
    """A verdict of a guardrail that differs from the one before it."""

    at: datetime
    measure: str
    verdict: Verdict
    value: float | None
    usual: float | None
    limit: float | None
    samples: int
    said: str


class Happened(msgspec.Struct, frozen=True):
    """A turn of the run: begun, paused, resumed, taken over, undone, ended; and by whom."""

    at: datetime
    what: str
    by: str
    said: str = ""


class Slot(msgspec.Struct, frozen=True):
    """A slot of `seconds` from `at` on: calls answered well (a decline is an answer), calls that failed, and the median of
    its seconds' p50 and p99 in milliseconds. `measured`: no process wrote down that nothing happened, if it is false.
    """

    at: datetime
    seconds: int
    answered: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    measured: bool


class Stretch(msgspec.Struct, frozen=True):
    """A stretch of time in figures; None where nothing was measured."""

    seconds: float
    answered: int
    failed: int
    per_second: float | None
    p50_ms: float | None
    p99_ms: float | None


class Effect(msgspec.Struct, frozen=True):
    """What the run did to payments.

    `by_state`: payments that arrived while it ran, by what became of them until the report. `failed_because`: calls that
    failed beyond the share that failed before. `downtime_seconds`: None where nothing was measured.
    """

    before: Stretch
    during: Stretch
    after: Stretch
    by_state: dict[str, int]
    failed_because: int
    downtime_seconds: float | None


class Sides(msgspec.Struct, frozen=True):
    """A currency's books: both sides as they were before the run and are after it, recomputed from transfers; minor units."""

    currency: str
    debit_before: int
    credit_before: int
    debit_after: int
    credit_after: int
    stored_debit: int
    stored_credit: int


class Money(msgspec.Struct, frozen=True):
    """The books, recomputed wholly after the run. `differences`: what an auditor would find, in words; empty: nothing."""

    sides: tuple[Sides, ...]
    transfers: int
    differences: tuple[str, ...]
    difference_count: int

    @property
    def balanced(self) -> bool:
        """Whether nothing differs."""
        return self.difference_count == 0


class Deviation(msgspec.Struct, frozen=True):
    """Where the run was not what its rehearsal or its plan said. `code` has words; values in `unit`."""

    code: str
    step: int | None
    expected: float | None
    found: float | None
    unit: str = ""


class Item(msgspec.Struct, frozen=True):
    """Something to be done about it. `code` has words, `detail` fills them."""

    code: str
    detail: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a run; times are UTC, `timezone` is where pages read them. `digest`: SHA-256 of
    the plan, hexadecimal.
    """

    format: str = FORMAT
    run: str
    plan_id: str
    plan: Plan
    digest: str
    timezone: str
    made_at: datetime
    outcome: RunState
    asked_by: str
    asked_at: datetime
    begun_at: datetime | None
    ended_at: datetime
    agreed: tuple[Agreed, ...]
    rehearsal: dict[str, Any] | None
    steps: tuple[StepPart, ...]
    judged: tuple[Judged, ...]
    happened: tuple[Happened, ...]
    slots: tuple[Slot, ...]
    effect: Effect
    money: Money
    deviations: tuple[Deviation, ...]
    items: tuple[Item, ...]


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ed25519 over the report's bytes, by a key of the audit ring; hexadecimal."""

    key: str
    public: str
    value: str


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: the report's very bytes, and their signature."""

    report: msgspec.Raw
    signature: Signature


class Review(msgspec.Struct, frozen=True):
    """Somebody has read it and said what they think."""

    person: str
    remark: str
    at: datetime


class Listed(msgspec.Struct, frozen=True):
    """A report in a list. `owner` is asked to review it."""

    id: UUID
    run: UUID
    plan: UUID
    goal: str
    owner: str
    outcome: str
    made_at: datetime
    review: Review | None
    open_tasks: int


class Task(msgspec.Struct, frozen=True):
    """An item that somebody is to see to. `plan`: the draft it became."""

    id: UUID
    report: UUID
    code: str
    detail: str
    owner: str
    state: TaskState
    made_at: datetime
    done_at: datetime | None
    done_by: str | None
    plan: UUID | None

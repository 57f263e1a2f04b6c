"""Frozen values of cases. Money is in minor units; an expected loss in those of the currency that the rules count in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.base.ids import to_typeid

PREFIX: Final = "case"

SubjectKind = Literal["customer", "merchant"]
"""A case is about a customer whose payments or logins look wrong, or about a merchant that is paid wrongly."""

State = Literal["open", "closed"]
Severity = Literal["low", "medium", "high", "critical"]
VerdictKind = Literal["fraud", "genuine", "unclear"]
EventKind = Literal[
    "opened",
    "raised",
    "claimed",
    "released",
    "handed_over",
    "noted",
    "overdue",
    "decided",
    "reopened",
    "listed",
]

SEVERITIES: Final[tuple[Severity, ...]] = ("low", "medium", "high", "critical")
VERDICTS: Final[tuple[VerdictKind, ...]] = ("fraud", "genuine", "unclear")


class CaseAlert(msgspec.Struct, frozen=True):
    """Why a person should look at a subject: a payment, a login, or what a detector saw (a signal).

    `at`: when it happened. `outcome`: what was decided about the payment or login ("": nothing). `reasons`: rules that hit.
    `amount` and `expected_loss`: minor units of `currency`; `probability_ppm`: of fraud, in millionths.
    """

    id: UUID
    kind: str
    at: datetime
    payment: UUID | None
    login: UUID | None
    signal: UUID | None
    outcome: str
    reasons: Sequence[str]
    amount: int
    currency: str
    probability_ppm: int
    expected_loss: int


class Waiting(msgspec.Struct, frozen=True):
    """An alert that belongs to no case yet."""

    id: UUID
    subject_kind: SubjectKind
    subject: UUID
    at: datetime
    currency: str


class Case(msgspec.Struct, frozen=True):
    """A case as it stands. `alerts`: how many it is made of; `alerted_at`: the newest of them. `overdue_at`: when it was
    seen to be late. `claimed_by` works on it until `claimed_until`, or until they give it back.
    """

    id: UUID
    subject_kind: SubjectKind
    subject: UUID
    state: State
    severity: Severity
    expected_loss: int
    currency: str
    alerts: int
    opened_at: datetime
    alerted_at: datetime
    due_at: datetime
    overdue_at: datetime | None = None
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    verdict: VerdictKind | None = None
    closed_by: str | None = None
    closed_at: datetime | None = None

    @property
    def public_id(self) -> str:
        """The id as people see it."""
        return to_typeid(PREFIX, self.id)

    def claimant(self, now: datetime) -> str | None:
        """Who works on it now; a claim that is over is nobody's."""
        if self.claimed_until is None or self.claimed_until <= now:
            return None
        return self.claimed_by

    def is_late(self, now: datetime) -> bool:
        """Whether it is open past its due time."""
        return self.state == "open" and self.due_at <= now


class CaseEvent(msgspec.Struct, frozen=True):
    """What became of a case. `person`: "" where the platform did it."""

    id: UUID
    at: datetime
    kind: EventKind
    person: str
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """What somebody decided about a case, why, and about which payments."""

    id: UUID
    at: datetime
    person: str
    verdict: VerdictKind
    reason: str
    payments: Sequence[UUID]


class Counts(msgspec.Struct, frozen=True):
    """The queue in figures, counted up to CASES_COUNTED: open cases, those past their due time, those that somebody works on,
    one's own; and what may be lost in all of them, by currency.
    """

    open: int
    late: int
    claimed: int
    mine: int
    losses: Mapping[str, int]


class QueuePage(msgspec.Struct, frozen=True):
    """Cases, the largest expected loss first, and where the list goes on ("" at its end)."""

    rows: Sequence[Case]
    after: str

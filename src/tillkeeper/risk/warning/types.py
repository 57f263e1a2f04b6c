"""What the watch reads and what it finds."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

AboutKind = Literal["", "rule", "customer", "merchant", "device", "ip", "network"]
Severity = Literal["page", "ticket", "info"]
Direction = Literal["up", "down"]
SubjectKind = Literal["customer", "merchant"]

PREFIX: Final = "sig"
"""Of a signal's public id."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A decision. `worth`: its amount in minor units of the reference currency. `score`: the champion's probability of fraud,
    None where none scored. `new_device`: the customer, who has others, never used it before; None: not known. So are what
    follows: the customer did not pay this payee within 30 days, made so many payments, the payee received so many, and the
    customer first used the device so many seconds ago.
    """

    id: UUID
    at_us: int
    kind: str
    customer: UUID
    payee: UUID
    worth: int
    device: str | None
    ip: str | None
    outcome: str
    reasons: tuple[str, ...]
    rule_set: int
    score: float | None = None
    new_device: bool | None = None
    payee_new: bool | None = None
    count_30d: int | None = None
    payee_count_30d: int | None = None
    device_age_s: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether no money went, or not yet."""
        return self.outcome != "allow"

    @property
    def is_sale(self) -> bool:
        """Whether it goes to a merchant."""
        return self.kind == "payment"

    @property
    def leaves(self) -> bool:
        """Whether money leaves the customer's wallet for a person's wallet or a bank account."""
        return self.kind in ("send", "withdrawal")


class SeenLogin(msgspec.Struct, frozen=True, gc=False):
    """A try to log in."""

    id: UUID
    at_us: int
    customer: UUID
    succeeded: bool
    outcome: str
    score: float
    reasons: tuple[str, ...]
    ip: str | None
    network: str | None
    device: str | None


class SeenLabel(msgspec.Struct, frozen=True, gc=False):
    """What a payment turned out to be, with what had been decided about it. `known_us`: since when that is known."""

    payment: UUID
    known_us: int
    fraud: bool
    worth: int
    reasons: tuple[str, ...]


class Finding(msgspec.Struct, frozen=True):
    """Something out of its band, or an attack, as it stands after what was just seen. `lasts` False: it is over.

    `subjects`: whom to alert about, with what is at stake for each (minor units of the reference) and how probable it is.
    """

    kind: str
    about_kind: AboutKind
    about: str
    severity: Severity
    begun_us: int
    at_us: int
    value: float
    usual: float | None
    events: int
    money: int
    evidence: dict[str, Any]
    direction: Direction = "up"
    log_e: float = 0.0
    log_bound: float = 0.0
    lasts: bool = True
    subjects: tuple["Subject", ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """The same trouble has the same key."""
        return self.kind, self.about_kind, self.about


class Subject(msgspec.Struct, frozen=True):
    """A customer or merchant that somebody should look at. `ppm`: probability of fraud in millionths."""

    kind: SubjectKind
    id: UUID
    stake: int
    ppm: int


class Alert(msgspec.Struct, frozen=True):
    """A subject that somebody should look at, and why. See risk.alerts."""

    id: UUID
    kind: str
    subject_kind: SubjectKind
    subject: UUID
    at: datetime
    found_at: datetime
    payment: UUID | None
    login: UUID | None
    signal: UUID | None
    outcome: str
    reasons: tuple[str, ...]
    amount: int
    currency: str
    probability_ppm: int
    expected_loss: int
    queued: bool


class Signal(msgspec.Struct, frozen=True):
    """A trouble of the platform, from when it was found until it is over. See risk.signals."""

    id: UUID
    kind: str
    about_kind: AboutKind
    about: str
    severity: Severity
    direction: Direction
    begun_at: datetime
    found_at: datetime
    seen_at: datetime
    over_at: datetime | None
    value: float
    usual: float | None
    log_e: float
    log_bound: float
    events: int
    money: int
    currency: str
    evidence: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """The same trouble has the same key."""
        return self.kind, self.about_kind, self.about


class Remedy(msgspec.Struct, frozen=True):
    """A short-lived rule that the machine proposes against a signal: the text of its [[rule]], of two where one stops only half."""

    id: UUID
    signal: UUID
    at: datetime
    name: str
    rule: str
    until: datetime


class Act(msgspec.Struct, frozen=True):
    """What a person did about a signal."""

    signal: UUID
    at: datetime
    person: str
    act: Literal["closed", "proposed"]
    reason: str
    proposal: str

"""What can be asked of the turn. A command is checked for form before it comes here; the flows judge it."""

from datetime import datetime
from uuid import UUID

import msgspec


class Context(msgspec.Struct, frozen=True):
    """Where a payment comes from: the payer's device and address, and the place in degrees."""

    device: str | None = None
    ip: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class Pay(msgspec.Struct, frozen=True):
    """Pay a merchant. `manual`: only reserve; the merchant captures later. `event_at`: None for now."""

    payer: UUID
    merchant: UUID
    amount: int
    currency: str
    manual: bool = False
    qr: UUID | None = None
    reference: str | None = None
    note: str | None = None
    context: Context = Context()
    event_at: datetime | None = None


class SendMoney(msgspec.Struct, frozen=True):
    """Pay a person."""

    payer: UUID
    payee: UUID
    amount: int
    currency: str
    note: str | None = None
    context: Context = Context()
    event_at: datetime | None = None


class TopUp(msgspec.Struct, frozen=True):
    """Bring money from the bank into a customer's wallet. `instruction` goes to the rail."""

    customer: UUID
    amount: int
    currency: str
    instruction: str = ""


class BringIn(msgspec.Struct, frozen=True):
    """Money of a customer's that is at our bank already, as when histories move in from elsewhere.

    Booked at once; no rail is asked.
    """

    customer: UUID
    amount: int
    currency: str
    reference: str | None = None
    event_at: datetime | None = None


class Withdraw(msgspec.Struct, frozen=True):
    """Send money from an owner's wallet to their bank."""

    owner: UUID
    amount: int
    currency: str
    instruction: str = ""
    context: Context = Context()


class Capture(msgspec.Struct, frozen=True):
    """Take what an authorized payment reserves, or less; the rest is released."""

    payment: UUID
    amount: int | None = None


class Void(msgspec.Struct, frozen=True):
    """Release what an authorized payment reserves."""

    payment: UUID


class RefundPayment(msgspec.Struct, frozen=True):
    """Give back what is left of a payment, or part of it. `seen`: its version that was approved, if it was."""

    payment: UUID
    amount: int | None = None
    reason: str = ""
    seen: str | None = None


class AnswerChallenge(msgspec.Struct, frozen=True):
    """The payer's one-time code."""

    payment: UUID
    code: str


class Review(msgspec.Struct, frozen=True):
    """A person's verdict on a payment that risk held, and where they are.

    Of one that took four eyes: `seen` is the version of the payment that was approved, `asked_by` the first person, and
    `approval` says under which.
    """

    payment: UUID
    release: bool
    reviewer: str
    reason: str
    seen: str | None = None
    origin: str = ""
    asked_by: str = ""
    approval: str = ""


class SettleRail(msgspec.Struct, frozen=True):
    """The bank's final word on an attempt."""

    attempt: UUID
    payment: UUID
    accepted: bool
    answer: str = ""


class Expire(msgspec.Struct, frozen=True):
    """Nobody came: end a waiting payment whose time is over."""

    payment: UUID

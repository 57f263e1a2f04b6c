"""The values of payments: orders, and what happens to them."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

NO_END = datetime(9999, 12, 31, tzinfo=UTC)
"""A moment that does not come."""


class Payment(msgspec.Struct, frozen=True):
    """A payment order of any kind. Amounts are minor units of `currency`; times are UTC.

    `fee_bps` is the platform's share agreed at the order, in hundredths of a percent; `fee` what it came to.
    `captured` is what has moved to the payee, `refunded` what went back. `risk` is the outcome of the decision,
    `failure` a code of base.results. `expires_at` bounds the waiting states.
    """

    id: UUID
    kind: str
    state: str
    payer: UUID
    payee: UUID
    amount: int
    currency: str
    fee_bps: int
    fee: int
    captured: int
    refunded: int
    manual: bool
    risk: str | None
    failure: str | None
    hold: UUID | None
    reference: str | None
    note: str | None
    event_at: datetime
    created_at: datetime
    changed_at: datetime
    expires_at: datetime | None

    @property
    def version(self) -> str:
        """What is another after every change of the payment."""
        return f"{self.state} {self.captured} {self.refunded} {self.changed_at.isoformat()}"


class Located(msgspec.Struct, frozen=True):
    """A payment that stands, locked for this turn, with the ledger accounts of both sides."""

    payment: Payment
    payer_account: UUID
    payee_account: UUID


class Move(msgspec.Struct, frozen=True):
    """A change of state after the first. `actor` is a person, "customer", "bank" or "clock"."""

    id: UUID
    payment: UUID
    from_state: str
    to_state: str
    amount: int
    actor: str
    reason: str
    at: datetime


class Refund(msgspec.Struct, frozen=True):
    """Money that went back to the payer; `fee_returned` is the part of the platform's fee given back with it."""

    id: UUID
    payment: UUID
    amount: int
    fee_returned: int
    reason: str
    created_at: datetime


class Challenge(msgspec.Struct, frozen=True):
    """A one-time code the payer must give. `tries` counts the wrong ones."""

    payment: UUID
    code_hash: bytes
    tries: int


class RailOrder(msgspec.Struct, frozen=True):
    """What a bank is asked to do, written before it is asked. `direction` "in" is money coming to us.

    `due`: when it is asked first; NO_END while a person has yet to let it go.
    """

    id: UUID
    payment: UUID
    rail: str
    direction: str
    amount: int
    currency: str
    instruction: str
    at: datetime
    due: datetime


class QrCode(msgspec.Struct, frozen=True):
    """What a merchant shows. With an amount it is paid once; without, any number of times."""

    id: UUID
    merchant: UUID
    currency: str
    amount: int | None
    reference: str | None
    created_at: datetime
    expires_at: datetime | None
    paid_by: UUID | None


class Wallet(msgspec.Struct, frozen=True):
    """An owner's ledger account in one currency."""

    owner: UUID
    currency: str
    purpose: str
    account: UUID

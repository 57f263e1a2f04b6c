"""The ledger's values: accounts, entries to post, their outcomes, holds, lines of a statement."""

from datetime import date, datetime
from enum import IntEnum
from uuid import UUID

import msgspec


class Op(IntEnum):
    """What an entry does."""

    POST = 1  # move money now
    HOLD = 2  # reserve money for a later capture
    CAPTURE = 3  # move part of what a hold reserves; the hold stays open for the rest
    SETTLE = 4  # move part of what a hold reserves and release the rest
    VOID = 5  # release what a hold reserves
    EXPIRE = 6  # the same, because its time is over


class Outcome(IntEnum):
    """What became of an entry; the numbers are the order of the checks (see ledger.post_v1)."""

    OK = 0
    AMOUNT_NOT_POSITIVE = 1
    SAME_ACCOUNT = 2
    DEBIT_ACCOUNT_NOT_FOUND = 3
    CREDIT_ACCOUNT_NOT_FOUND = 4
    CURRENCY_DIFFERS = 5
    HOLD_NOT_FOUND = 6
    HOLD_ACCOUNTS_DIFFER = 7
    HOLD_CLOSED = 8
    EXCEEDS_HOLD = 9
    TRANSFER_NOT_FOUND = 10
    REVERSAL_DIFFERS = 11
    ALREADY_REVERSED = 12
    DAY_LIMIT_EXCEEDED = 13
    INSUFFICIENT_FUNDS = 14
    LINKED_FAILED = 15


class NewAccount(msgspec.Struct, frozen=True):
    """An account to open. `side` is "credit" for what we owe (wallets), "debit" for what we have (bank).

    `lower_limit` and `day_limit` are minor units; None means no limit. A hold is only possible on an account of the
    credit side, in favour of another one or of an account without a lower limit.
    """

    id: UUID
    currency: str
    side: str
    purpose: str
    lower_limit: int | None = 0
    day_limit: int | None = None


class Account(msgspec.Struct, frozen=True):
    """An account now. `balance` is counted on its own side; `available` is what may still leave it."""

    id: UUID
    currency: str
    side: str
    purpose: str
    lower_limit: int | None
    day_limit: int | None
    balance: int
    held: int
    version: int
    day: date | None
    day_spent: int
    opened_at: datetime

    @property
    def available(self) -> int:
        """The balance without what holds reserve."""
        return self.balance - self.held


class Entry(msgspec.Struct, frozen=True):
    """One line of a batch. `amount` in minor units; VOID and EXPIRE release the whole rest and take 0.

    `linked`: this entry and the next go together, all or none. `day`: the business day whose limit of the debit
    account it counts against. `event_at`: when it happened (booking time is the batch's).
    """

    id: UUID
    op: Op
    debit: UUID
    credit: UUID
    amount: int
    kind: str
    payment: UUID
    event_at: datetime
    hold: UUID | None = None
    reverses: UUID | None = None
    linked: bool = False
    expires_at: datetime | None = None
    day: date | None = None


class Transfer(msgspec.Struct, frozen=True):
    """A booked transfer with the running balances of both sides after it."""

    id: UUID
    debit_account: UUID
    credit_account: UUID
    amount: int
    kind: str
    payment: UUID
    hold: UUID | None
    reverses: UUID | None
    debit_balance: int
    credit_balance: int
    event_at: datetime
    booked_at: datetime


class Hold(msgspec.Struct, frozen=True):
    """A reservation: `amount` of the debit account, of which `captured` has moved."""

    id: UUID
    debit_account: UUID
    credit_account: UUID
    amount: int
    captured: int
    state: str
    payment: UUID
    expires_at: datetime
    held_at: datetime
    closed_at: datetime | None


class Line(msgspec.Struct, frozen=True):
    """A line of an account's statement: a transfer and the account's balance after it. `version` is its place."""

    id: UUID
    debit_account: UUID
    credit_account: UUID
    amount: int
    kind: str
    payment: UUID
    balance: int
    event_at: datetime
    booked_at: datetime
    version: int


class Total(msgspec.Struct, frozen=True):
    """What a currency's accounts add up to on either side."""

    currency: str
    debit_side: int
    credit_side: int
    accounts: int

    @property
    def balanced(self) -> bool:
        """Whether the books balance in this currency."""
        return self.debit_side == self.credit_side

"""What a flow makes of a command: entries for the ledger and, for either outcome, what to write and answer. Pure."""

from collections.abc import Callable
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.ledger import Entry, Outcome
from tillkeeper.parties import Standing
from tillkeeper.payments.render import Reason
from tillkeeper.payments.types import Challenge, Located, Move, Payment, QrCode, RailOrder, Refund
from tillkeeper.risk import Decision
from tillkeeper.store import Answer, News


class Needs(msgspec.Struct, frozen=True):
    """What a command must know. The payment and the QR code it changes are locked; a turn changes each only once.

    `firm`: who takes part in the payment is neither frozen nor closed between the look and the commit.
    """

    parties: tuple[UUID, ...] = ()
    wallets: tuple[tuple[UUID, str], ...] = ()
    payment: UUID | None = None
    qr: UUID | None = None
    firm: bool = False


class Facts(msgspec.Struct, frozen=True):
    """What is known in a turn. `zone` is the business time zone.

    `wallets` are accounts by (owner, currency), others' among them, `house` the platform's own by (currency, purpose): "bank", "fees".
    """

    now: datetime
    zone: ZoneInfo
    standings: dict[UUID, Standing]
    wallets: dict[tuple[UUID, str], UUID]
    house: dict[tuple[str, str], UUID]
    payments: dict[UUID, Located]
    challenges: dict[UUID, Challenge]
    qr_codes: dict[UUID, QrCode]

    def day(self, event_at: datetime | None = None) -> date:
        """The business day of an event, by default of now."""
        return (event_at or self.now).astimezone(self.zone).date()


class Act(msgspec.Struct, frozen=True):
    """What the audit trail says of a person's command."""

    actor: str
    action: str
    subject: str
    reason: str
    origin: str


class Result(msgspec.Struct, frozen=True):
    """What a command comes to: rows to write, news to tell, the answer to give. Empty but for a refusal."""

    answer: Answer
    new: Payment | None = None
    changed: Payment | None = None
    move: Move | None = None
    refund: Refund | None = None
    challenge: Challenge | None = None
    rail_order: RailOrder | None = None
    rail_answer: tuple[UUID, bool, str] | None = None
    rail_go: UUID | None = None
    qr_paid: tuple[UUID, UUID] | None = None
    qr_freed: UUID | None = None
    news: News | None = None
    act: Act | None = None


class Plan(msgspec.Struct, frozen=True):
    """Entries to post together; their ids are in their order, as the books are read later.

    `done` is the result if they pass; `failed` makes one of the outcome if not.
    """

    done: Result
    entries: tuple[Entry, ...] = ()
    failed: Callable[[Outcome], Result] | None = None


class Asked(msgspec.Struct, frozen=True):
    """A command's own circumstances: its id, given in order of arrival, and the decision, if one was needed."""

    id: UUID
    decision: Decision | None = None
    reasons: tuple[Reason, ...] = ()

"""Payments and refusals as the API shows them. The same bytes are answered, stored for repetition, and told as news."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import PROBLEMS, Refusal
from tillkeeper.payments.types import Payment, Refund
from tillkeeper.store import Answer

_encode: Final = msgspec.json.Encoder().encode

# Who stands on either side of each kind of payment; None is the bank.
PAYER_PREFIX: Final = {"payment": "cus", "send": "cus", "top_up": None, "withdrawal": "cus", "payout": "mer"}
PAYEE_PREFIX: Final = {"payment": "mer", "send": "cus", "top_up": "cus", "withdrawal": None, "payout": None}


class Reason(msgspec.Struct, frozen=True):
    """A rule that spoke, and what it says."""

    rule: str
    text: str


class Failure(msgspec.Struct, frozen=True):
    """Why a payment came to nothing."""

    code: str
    title: str


class ChallengeView(msgspec.Struct, frozen=True):
    """A code is asked for. In the sandbox the code is shown instead of sent."""

    expires_at: datetime
    sandbox_code: str


class RefundView(msgspec.Struct, frozen=True):
    """A refund as the API shows it."""

    id: str
    amount: int
    fee_returned: int
    reason: str
    created_at: datetime


class PaymentView(msgspec.Struct, frozen=True):
    """A payment as the API shows it."""

    id: str
    kind: str
    state: str
    amount: int
    currency: str
    fee: int
    captured: int
    refunded: int
    payer: str | None
    payee: str | None
    reference: str | None
    note: str | None
    risk: str | None
    reasons: Sequence[Reason]
    failure: Failure | None
    challenge: ChallengeView | None
    event_at: datetime
    created_at: datetime
    changed_at: datetime
    expires_at: datetime | None
    refund: RefundView | None = None


class ProblemView(msgspec.Struct, frozen=True):
    """RFC 9457 problem details with our stable `code`, the `field` at fault, and the id of the `approval` that is needed."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None
    approval: str | msgspec.UnsetType = msgspec.UNSET


def payment_view(
    payment: Payment,
    reasons: Sequence[Reason],
    challenge: ChallengeView | None = None,
    refund: Refund | None = None,
) -> PaymentView:
    """The public form of a payment."""
    failure = payment.failure
    return PaymentView(
        to_typeid("pay", payment.id),
        payment.kind,
        payment.state,
        payment.amount,
        payment.currency,
        payment.fee,
        payment.captured,
        payment.refunded,
        party_id(PAYER_PREFIX[payment.kind], payment.payer),
        party_id(PAYEE_PREFIX[payment.kind], payment.payee),
        payment.reference,
        payment.note,
        payment.risk,
        reasons,
        Failure(failure, PROBLEMS[failure][1]) if failure else None,
        challenge,
        payment.event_at,
        payment.created_at,
        payment.changed_at,
        payment.expires_at,
        refund_view(refund) if refund else None,
    )


def refund_view(refund: Refund) -> RefundView:
    """The public form of a refund."""
    return RefundView(
        to_typeid("ref", refund.id), refund.amount, refund.fee_returned, refund.reason, refund.created_at
    )


def payment_body(view: PaymentView) -> bytes:
    """JSON of a payment."""
    return _encode(view)


def problem(refusal: Refusal) -> Answer:
    """A refusal as an HTTP answer with problem details."""
    status, title = PROBLEMS[refusal.code]
    view = ProblemView(
        f"urn:tillkeeper:problem:{refusal.code}",
        title,
        status,
        refusal.code,
        refusal.detail,
        refusal.field,
        refusal.approval or msgspec.UNSET,
    )
    return Answer(status, _encode(view))


def party_id(prefix: str | None, party: UUID) -> str | None:
    """The public id of a party; the bank, which has none, is None."""
    return to_typeid(prefix, party) if prefix else None

"""What of payments takes four eyes: releasing a large held one, a large refund, a large withdrawal."""

from typing import Any, Final

import msgspec

from tillkeeper import access, parties
from tillkeeper.access import Approval
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.payments import rows
from tillkeeper.payments.commands import Review
from tillkeeper.payments.flows.common import taking_part
from tillkeeper.payments.render import ProblemView
from tillkeeper.payments.states import PAID
from tillkeeper.payments.turn import Till
from tillkeeper.payments.types import Payment
from tillkeeper.store import Key, Tx

_DONE: Final = 200


class Release(msgspec.Struct, frozen=True):
    """Terms: let a held payment go on. `as_of`: its version."""

    payment: str
    amount: int
    currency: str
    reason: str
    as_of: str


class LargeRefund(msgspec.Struct, frozen=True):
    """Terms: give so much of a payment back. `as_of`: its version."""

    payment: str
    amount: int
    currency: str
    reason: str
    as_of: str


class LargeWithdrawal(msgspec.Struct, frozen=True):
    """Terms: send so much of an owner's money to their bank."""

    owner: str
    amount: int
    currency: str
    instruction: str


def release_of(payment: Payment, reason: str) -> Release:
    """The terms of releasing a payment as it stands."""
    return Release(to_typeid("pay", payment.id), payment.amount, payment.currency, reason, payment.version)


def refund_of(payment: Payment, amount: int, reason: str) -> LargeRefund:
    """The terms of refunding so much of a payment as it stands."""
    return LargeRefund(to_typeid("pay", payment.id), amount, payment.currency, reason, payment.version)


def release(till: Till) -> access.approvals.Deed:
    """Releasing a held payment, by a till, as soon as a second person agrees."""

    async def carry_out(_: Tx, approval: Approval, terms: Release) -> Refusal | None:
        """Bound to the approval as its idempotency key: after a crash the till gives the same answer again."""
        command = Review(
            from_typeid("pay", terms.payment),
            True,
            approval.decided_by or "",
            terms.reason,
            terms.as_of,
            approval.origin,
            approval.asked_by,
            access.approvals.approval_id(approval),
        )
        answer = await till.submit(command, Key(approval.id, "four eyes", approval.digest))
        if answer.status == _DONE:
            return None
        problem = msgspec.json.decode(answer.body, type=ProblemView)
        return Refusal(problem.code, problem.detail)

    return access.approvals.Deed("payment.release", Release, _present_of_release, carry_out)


async def _present_of_release(tx: Tx, terms: Release) -> Any:
    found = await rows.payment(tx, from_typeid("pay", terms.payment))
    if found is None:
        return Refusal("unknown_payment", "check the id", "payment")
    if found.state != "in_review":
        return Refusal("wrong_state", f"the payment is {found.state}")
    standings = await parties.standings(await parties.send_standings(tx, [found.payer, found.payee]))
    return taking_part(standings, found) or found.version


async def _present_of_refund(tx: Tx, terms: LargeRefund) -> Any:
    found = await rows.payment(tx, from_typeid("pay", terms.payment))
    if found is None:
        return Refusal("unknown_payment", "check the id", "payment")
    if found.kind != "payment" or found.state not in PAID:
        return Refusal("wrong_state", f"a {found.kind} that is {found.state} cannot be refunded")
    left = found.captured - found.refunded
    if terms.amount > left:
        said = f"{left} of {found.captured} can still be refunded"
        return Refusal("exceeds_captured", said, "amount")
    return found.version


async def _present_of_withdrawal(tx: Tx, terms: LargeWithdrawal) -> Any:
    kind = "merchant" if terms.owner.startswith("mer_") else "customer"
    owner = from_typeid(terms.owner[:3], terms.owner)
    standing = (await parties.standings(await parties.send_standings(tx, [owner]))).get(owner)
    if standing is None or standing.merchant != (kind == "merchant"):
        return Refusal(f"unknown_{kind}", "check the id", "owner")
    if not standing.active:
        code = "merchant_closed" if kind == "merchant" else "customer_frozen"
        return Refusal(code, "it takes part in nothing now", "owner")
    return kind


REFUND: Final = access.approvals.Deed("payment.refund", LargeRefund, _present_of_refund)
WITHDRAWAL: Final = access.approvals.Deed("payment.withdraw", LargeWithdrawal, _present_of_withdrawal)

"""Give money back: never more than was paid, and the platform's fee with it in proportion."""

from msgspec.structs import replace

from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Entry, Op, Outcome
from tillkeeper.payments.commands import RefundPayment
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Plan, Result
from tillkeeper.payments.states import PAID
from tillkeeper.payments.types import Located, Payment, Refund


def plan(asked: Asked, command: RefundPayment, facts: Facts) -> Plan | Refusal:
    """From the merchant back to the payer."""
    found = common.located(facts, command.payment, PAID, "a refund")
    if isinstance(found, Refusal):
        return found
    if refusal := common.unseen(found, command.seen):
        return refusal
    payment = found.payment
    if payment.kind != "payment":
        return Refusal("wrong_state", f"a {payment.kind} cannot be refunded")
    if facts.standings[payment.payer].erased:
        return Refusal("customer_erased", "nobody could take the money out of that wallet", "payment")
    left = payment.captured - payment.refunded
    amount = command.amount or left
    if amount > left:
        return Refusal("exceeds_captured", f"{left} of {payment.captured} can still be refunded", "amount")
    refund = Refund(asked.id, payment.id, amount, fee_returned(payment, amount), command.reason, facts.now)
    refunded = payment.refunded + amount
    state = "refunded" if refunded == payment.captured else "partially_refunded"
    after = replace(payment, state=state, refunded=refunded, changed_at=facts.now)
    result = common.changed(payment, after, "merchant", command.reason, refund)
    return Plan(result, _entries(found, refund, facts), _failed)


def fee_returned(payment: Payment, amount: int) -> int:
    """The part of the fee that goes back with a refund. Whatever the parts, a full refund returns the whole fee."""
    before = payment.fee * payment.refunded // payment.captured
    return payment.fee * (payment.refunded + amount) // payment.captured - before


def _entries(found: Located, refund: Refund, facts: Facts) -> tuple[Entry, ...]:
    payment, now = found.payment, facts.now
    entries = []
    if refund.fee_returned:
        # The fee comes back first: a merchant may need it to give the payer the whole amount.
        fees = facts.house[payment.currency, "fees"]
        entries.append(
            Entry(
                new_id(),
                Op.POST,
                fees,
                found.payee_account,
                refund.fee_returned,
                "fee_return",
                payment.id,
                now,
                linked=True,
            )
        )
    entries.append(
        Entry(
            new_id(),
            Op.POST,
            found.payee_account,
            found.payer_account,
            refund.amount,
            "refund",
            payment.id,
            now,
        )
    )
    return tuple(entries)


def _failed(outcome: Outcome) -> Result:
    code = common.failure_of(outcome)
    return common.refused(Refusal(code, "the merchant's balance does not cover the refund", "amount"))

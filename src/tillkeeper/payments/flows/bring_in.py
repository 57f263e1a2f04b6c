"""Money brought along from elsewhere: it is at our bank already, so it is booked at once and no rail is asked."""

from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Entry, Op
from tillkeeper.payments.commands import BringIn
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Needs, Plan
from tillkeeper.payments.types import Payment


def needs(command: BringIn) -> Needs:
    """The customer and the wallet."""
    return Needs((command.customer,), ((command.customer, command.currency),))


def plan(asked: Asked, command: BringIn, facts: Facts) -> Plan | Refusal:
    """A top-up that has succeeded. The bank's account has no limit, so it cannot fail."""
    if refusal := (
        common.customer(facts, command.customer, "customer")
        or common.wallet(facts, command.customer, command.currency, "customer")
    ):
        return refusal
    payment = _succeeded(asked, command, facts)
    entry = Entry(
        new_id(),
        Op.POST,
        facts.house[command.currency, "bank"],
        facts.wallets[command.customer, command.currency],
        payment.amount,
        payment.kind,
        payment.id,
        payment.event_at,
    )
    return Plan(common.created(payment, asked), (entry,))


def _succeeded(asked: Asked, command: BringIn, facts: Facts) -> Payment:
    return Payment(
        id=asked.id,
        kind="top_up",
        state="succeeded",
        payer=NIL,
        payee=command.customer,
        amount=command.amount,
        currency=command.currency,
        fee_bps=0,
        fee=0,
        captured=command.amount,
        refunded=0,
        manual=False,
        risk=None,
        failure=None,
        hold=None,
        reference=command.reference,
        note=None,
        event_at=command.event_at or facts.now,
        created_at=facts.now,
        changed_at=facts.now,
        expires_at=None,
    )

"""Money from and to the bank: ordered here, carried out by a rail outside any transaction, settled here."""

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from msgspec.structs import replace

from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Entry, Op, Outcome
from tillkeeper.payments.commands import SettleRail, TopUp, Withdraw
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Needs, Plan, Result
from tillkeeper.payments.types import Located, Payment, RailOrder

RAIL = "sandbox"
_PENDING = frozenset({"pending"})
# A withdrawal's hold ends with the bank's word, never by the clock.
_NO_END = datetime(9999, 12, 31, tzinfo=UTC)


def needs_of_top_up(command: TopUp) -> Needs:
    """The customer and the wallet."""
    return Needs((command.customer,), ((command.customer, command.currency),))


def needs_of_withdraw(command: Withdraw) -> Needs:
    """The owner and the wallet."""
    return Needs((command.owner,), ((command.owner, command.currency),))


def top_up(asked: Asked, command: TopUp, facts: Facts) -> Plan | Refusal:
    """Ask the bank; nothing is booked before it says yes."""
    if refusal := (
        common.customer(facts, command.customer, "customer")
        or common.wallet(facts, command.customer, command.currency, "customer")
    ):
        return refusal
    payment = _order(asked.id, "top_up", NIL, command.customer, command, facts)
    return Plan(_ordered(payment, asked, "in", command.instruction))


def withdraw(asked: Asked, command: Withdraw, facts: Facts) -> Plan | Refusal:
    """Hold the money, then ask the bank."""
    standing = facts.standings.get(command.owner)
    check = common.merchant if standing and standing.merchant else common.customer
    if refusal := (
        check(facts, command.owner, "owner") or common.wallet(facts, command.owner, command.currency, "owner")
    ):
        return refusal
    kind = "payout" if standing and standing.merchant else "withdrawal"
    hold = new_id()
    order = _order(asked.id, kind, command.owner, NIL, command, facts)
    entry = Entry(
        hold,
        Op.HOLD,
        facts.wallets[command.owner, command.currency],
        facts.house[command.currency, "bank"],
        command.amount,
        kind,
        asked.id,
        facts.now,
        expires_at=_NO_END,
        day=facts.day(),
    )
    return Plan(
        _ordered(replace(order, hold=hold), asked, "out", command.instruction),
        (entry,),
        partial(_failed, order, asked),
    )


def settle(_: Asked, command: SettleRail, facts: Facts) -> Plan | Refusal:
    """The bank's final word. Said twice, the second finds the payment settled and is refused: nothing happens."""
    found = common.located(facts, command.payment, _PENDING, "settling")
    if isinstance(found, Refusal):
        return found
    word = (command.attempt, command.accepted, command.answer)
    plan = _accepted(found, facts) if command.accepted else _rejected(found, facts)
    return Plan(replace(plan.done, rail_answer=word), plan.entries)


def _accepted(found: Located, facts: Facts) -> Plan:
    payment = found.payment
    after = replace(payment, state="succeeded", captured=payment.amount, changed_at=facts.now)
    result = common.changed(payment, after, "bank")
    if payment.hold is not None:
        return Plan(result, (common.close_hold(found, Op.SETTLE, payment.amount, facts.now),))
    entry = Entry(
        new_id(),
        Op.POST,
        found.payer_account,
        found.payee_account,
        payment.amount,
        payment.kind,
        payment.id,
        facts.now,
    )
    return Plan(result, (entry,))


def _rejected(found: Located, facts: Facts) -> Plan:
    payment = found.payment
    after = replace(payment, state="failed", failure="rejected_by_bank", changed_at=facts.now)
    entries = (common.close_hold(found, Op.VOID, 0, facts.now),) if payment.hold is not None else ()
    return Plan(common.changed(payment, after, "bank"), entries)


def _ordered(payment: Payment, asked: Asked, direction: str, instruction: str) -> Result:
    order = RailOrder(
        new_id(),
        payment.id,
        RAIL,
        direction,
        payment.amount,
        payment.currency,
        instruction,
        payment.created_at,
    )
    return replace(common.created(payment, asked), rail_order=order)


def _failed(payment: Payment, asked: Asked, outcome: Outcome) -> Result:
    return common.created(replace(payment, state="declined", failure=common.failure_of(outcome)), asked)


def _order(
    asked: UUID, kind: str, payer: UUID, payee: UUID, command: TopUp | Withdraw, facts: Facts
) -> Payment:
    return Payment(
        id=asked,
        kind=kind,
        state="pending",
        payer=payer,
        payee=payee,
        amount=command.amount,
        currency=command.currency,
        fee_bps=0,
        fee=0,
        captured=0,
        refunded=0,
        manual=False,
        risk=None,
        failure=None,
        hold=None,
        reference=None,
        note=None,
        event_at=facts.now,
        created_at=facts.now,
        changed_at=facts.now,
        expires_at=None,
    )

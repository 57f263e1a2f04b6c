"""Pay a merchant, pay a person: one decision, then the money moves, waits in a hold, or stays."""

from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from tillkeeper.base import limits
from tillkeeper.base.clock import to_us
from tillkeeper.base.ids import new_id
from tillkeeper.base.money import share
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Entry, Op, Outcome
from tillkeeper.payments.commands import Pay, SendMoney
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Needs, Plan, Result
from tillkeeper.payments.types import Payment
from tillkeeper.risk import Attempt

_WAITING: Final = {
    "challenge": ("challenged", limits.CHALLENGE_SECONDS),
    "hold": ("in_review", limits.REVIEW_SECONDS),
    "allow": ("authorized", limits.AUTHORIZATION_SECONDS),
}


def needs_of_pay(command: Pay) -> Needs:
    """Both parties, their wallets, the platform's earnings, and the QR code."""
    currency = command.currency
    return Needs(
        (command.payer, command.merchant),
        ((command.payer, currency), (command.merchant, currency)),
        qr=command.qr,
    )


def needs_of_send(command: SendMoney) -> Needs:
    """Both parties and their wallets."""
    parties = (command.payer, command.payee)
    return Needs(parties, tuple((party, command.currency) for party in parties))


def attempt(asked: UUID, command: Pay | SendMoney, facts: Facts) -> Attempt | Refusal:
    """What risk is asked, or why it need not be: the parties cannot do this at all."""
    payee = _payee(command)
    if refusal := _refusal(command, payee, facts):
        return refusal
    context = command.context
    return Attempt(
        asked,
        _kind(command),
        to_us(command.event_at or facts.now),
        command.payer,
        payee,
        command.amount,
        command.currency,
        context.device,
        context.ip,
        context.latitude,
        context.longitude,
    )


def plan(asked: Asked, command: Pay | SendMoney, facts: Facts) -> Plan:
    """Move, hold or refuse, as the decision says. Without a decision (see attempt) this is never called."""
    assert asked.decision is not None
    payment = _order(asked, command, facts)
    match asked.decision.outcome:
        case "deny":
            return Plan(_declined(payment, asked, "denied_by_risk"))
        case "allow" if not payment.manual:
            return _now(payment, asked, command, facts)
        case outcome:
            return _later(payment, asked, command, facts, outcome)


def _now(payment: Payment, asked: Asked, command: Pay | SendMoney, facts: Facts) -> Plan:
    payee_account = facts.wallets[payment.payee, payment.currency]
    fee = share(payment.amount, payment.fee_bps)
    done = replace(payment, state="succeeded", captured=payment.amount, fee=fee)
    entry = Entry(
        new_id(),
        Op.POST,
        facts.wallets[payment.payer, payment.currency],
        payee_account,
        payment.amount,
        payment.kind,
        payment.id,
        payment.event_at,
        linked=done.fee > 0,
        day=facts.day(command.event_at),
    )
    fees = common.fee_entries(done, payee_account, facts)
    return Plan(_paid(done, asked, command), (entry, *fees), partial(_failed, payment, asked))


def _later(payment: Payment, asked: Asked, command: Pay | SendMoney, facts: Facts, outcome: str) -> Plan:
    state, seconds = _WAITING[outcome]
    hold = new_id()
    expires_at = facts.now + timedelta(seconds=seconds)
    done = replace(payment, state=state, hold=hold, expires_at=expires_at)
    challenge, code = common.new_challenge(payment.id) if outcome == "challenge" else (None, "")
    entry = Entry(
        hold,
        Op.HOLD,
        facts.wallets[payment.payer, payment.currency],
        facts.wallets[payment.payee, payment.currency],
        payment.amount,
        payment.kind,
        payment.id,
        payment.event_at,
        expires_at=expires_at,
        day=facts.day(command.event_at),
    )
    result = common.created(done, asked, challenge, code)
    if isinstance(command, Pay) and command.qr:
        result = replace(result, qr_paid=(command.qr, payment.id))
    return Plan(result, (entry,), partial(_failed, payment, asked))


def _paid(payment: Payment, asked: Asked, command: Pay | SendMoney) -> Result:
    result = common.created(payment, asked)
    if isinstance(command, Pay) and command.qr:
        return replace(result, qr_paid=(command.qr, payment.id))
    return result


def _failed(payment: Payment, asked: Asked, outcome: Outcome) -> Result:
    return _declined(payment, asked, common.failure_of(outcome))


def _declined(payment: Payment, asked: Asked, failure: str) -> Result:
    return common.created(replace(payment, state="declined", failure=failure), asked)


def _refusal(command: Pay | SendMoney, payee: UUID, facts: Facts) -> Refusal | None:
    field = "merchant" if isinstance(command, Pay) else "payee"
    if command.payer == payee:
        return Refusal("same_party", "choose another payee", field)
    check = common.merchant if isinstance(command, Pay) else common.customer
    return (
        common.customer(facts, command.payer, "payer")
        or check(facts, payee, field)
        or common.wallet(facts, command.payer, command.currency, "payer")
        or common.wallet(facts, payee, command.currency, field)
        or (_qr_refusal(command, facts) if isinstance(command, Pay) and command.qr else None)
    )


def _qr_refusal(command: Pay, facts: Facts) -> Refusal | None:
    assert command.qr is not None
    code = facts.qr_codes.get(command.qr)
    if code is None or code.merchant != command.merchant:
        return Refusal("unknown_qr", "scan the code again", "qr")
    if code.expires_at is not None and code.expires_at <= facts.now:
        return Refusal("qr_expired", "ask the merchant for a new code", "qr")
    if code.amount is not None and code.paid_by is not None:
        return Refusal("qr_paid", "ask the merchant for a new code", "qr")
    if code.currency != command.currency or code.amount not in (None, command.amount):
        return Refusal("qr_mismatch", "pay what the code says", "amount")
    return None


def _order(asked: Asked, command: Pay | SendMoney, facts: Facts) -> Payment:
    assert asked.decision is not None
    return Payment(
        id=asked.id,
        kind=_kind(command),
        state="",
        payer=command.payer,
        payee=_payee(command),
        amount=command.amount,
        currency=command.currency,
        fee_bps=facts.standings[_payee(command)].fee_bps,
        fee=0,
        captured=0,
        refunded=0,
        manual=isinstance(command, Pay) and command.manual,
        risk=asked.decision.outcome,
        failure=None,
        hold=None,
        reference=command.reference if isinstance(command, Pay) else None,
        note=command.note,
        event_at=command.event_at or facts.now,
        created_at=facts.now,
        changed_at=facts.now,
        expires_at=None,
    )


def _kind(command: Pay | SendMoney) -> str:
    return "payment" if isinstance(command, Pay) else "send"


def _payee(command: Pay | SendMoney) -> UUID:
    return command.merchant if isinstance(command, Pay) else command.payee

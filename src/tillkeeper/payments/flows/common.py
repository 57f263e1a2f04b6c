"""What the flows share: checks of parties, the hold behind a waiting payment, and results made of a payment."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.base.money import share
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Entry, Op, Outcome
from tillkeeper.parties import Standing
from tillkeeper.payments.plan import Asked, Facts, Needs, Plan, Result
from tillkeeper.payments.render import ChallengeView, payment_body, payment_view, problem
from tillkeeper.payments.states import may_move
from tillkeeper.payments.types import Challenge, Located, Move, Payment, Refund
from tillkeeper.store import Answer, News

_FAILURES: Final = {
    Outcome.INSUFFICIENT_FUNDS: "insufficient_funds",
    Outcome.DAY_LIMIT_EXCEEDED: "daily_limit_exceeded",
    Outcome.EXCEEDS_HOLD: "exceeds_hold",
}


TO_BANK: Final = frozenset({"withdrawal", "payout"})


def held_order(payment: Payment) -> UUID:
    """The id of the order to the bank that waits with a held withdrawal: the withdrawal's own, as there is just one."""
    return payment.id


def failure_of(outcome: Outcome) -> str:
    """The refusal code of a ledger outcome. An outcome that no input can cause is a fault of ours: KeyError."""
    return _FAILURES[outcome]


def customer(facts: Facts, who: UUID, field: str) -> Refusal | None:
    """Refuse unless this is a customer who may take part."""
    return _customer(facts.standings.get(who), field)


def _customer(standing: Standing | None, field: str) -> Refusal | None:
    if standing is None or standing.merchant:
        return Refusal("unknown_customer", "check the id", field)
    if standing.erased:
        return Refusal("customer_erased", "this customer is no more", field)
    return None if standing.active else Refusal("customer_frozen", "unfreeze the customer first", field)


def merchant(facts: Facts, who: UUID, field: str) -> Refusal | None:
    """Refuse unless this is a merchant who may take part."""
    return _merchant(facts.standings.get(who), field)


def _merchant(standing: Standing | None, field: str) -> Refusal | None:
    if standing is None or not standing.merchant:
        return Refusal("unknown_merchant", "check the id", field)
    return None if standing.active else Refusal("merchant_closed", "reopen the merchant first", field)


def taking_part(standings: Mapping[UUID, Standing], payment: Payment) -> Refusal | None:
    """Refuse while the payer or the payee of a payment that waits is frozen or closed. A bank is neither."""
    both = ((payment.payer, "payer"), (payment.payee, "payee"))
    for who, field in both[:1] if payment.kind in TO_BANK else both:
        standing = standings.get(who)
        check = _merchant if standing is not None and standing.merchant else _customer
        if refusal := check(standing, field):
            return refusal
    return None


def wallet(facts: Facts, who: UUID, currency: str, field: str) -> Refusal | None:
    """Refuse unless the owner has a wallet in the currency."""
    if (who, currency) in facts.wallets:
        return None
    return Refusal("unknown_wallet", f"open a wallet in {currency} first", field)


def told(payment: Payment, topic: str, body: bytes) -> News:
    """News of a payment, its JSON being the payload."""
    return News(payment.changed_at, f"payment.{topic}", payment.id, body.decode())


def created(payment: Payment, asked: Asked, challenge: Challenge | None = None, code: str = "") -> Result:
    """A new payment: answered with 201, whatever its state."""
    view = payment_view(payment, asked.reasons)
    body = payment_body(view)
    answer = body
    if challenge is not None and payment.expires_at is not None:
        # The code goes to the caller only: news travel further.
        answer = payment_body(replace(view, challenge=ChallengeView(payment.expires_at, code)))
    return Result(
        Answer(201, answer), new=payment, challenge=challenge, news=told(payment, payment.state, body)
    )


def changed(
    before: Payment, after: Payment, actor: str, reason: str = "", refund: Refund | None = None
) -> Result:
    """A payment that moved on: answered with 200."""
    assert may_move(before.state, after.state), f"{before.state} -> {after.state}"
    amount = refund.amount if refund else after.captured - before.captured
    move = Move(new_id(), after.id, before.state, after.state, amount, actor, reason, after.changed_at)
    body = payment_body(payment_view(after, (), refund=refund))
    return Result(
        Answer(200, body), changed=after, move=move, refund=refund, news=told(after, after.state, body)
    )


def refused(refusal: Refusal) -> Result:
    """Nothing but the refusal: it is kept under the key like any answer."""
    return Result(problem(refusal))


def needs(command: Any) -> Needs:
    """What every command about a payment needs: the payment itself."""
    return Needs(payment=command.payment)


def located(facts: Facts, payment: UUID, states: frozenset[str], doing: str) -> Located | Refusal:
    """The payment a command is about, if it is in one of the states."""
    found = facts.payments.get(payment)
    if found is None:
        return Refusal("unknown_payment", "check the id", "payment")
    if found.payment.state not in states:
        return Refusal(
            "wrong_state", f"the payment is {found.payment.state}; {doing} needs {_either(states)}"
        )
    return found


def unseen(found: Located, seen: str | None) -> Refusal | None:
    """Refuse what was approved of the payment in another version; the payment is locked, so this is certain."""
    if seen is None or found.payment.version == seen:
        return None
    return Refusal("approval_changed", "the payment has changed since it was approved", "payment")


def _either(states: frozenset[str]) -> str:
    return " or ".join(sorted(states))


def close_hold(found: Located, op: Op, amount: int, at: datetime) -> Entry:
    """The entry that settles (SETTLE) or releases (VOID, EXPIRE) the hold of a payment."""
    payment = found.payment
    return Entry(
        new_id(),
        op,
        found.payer_account,
        found.payee_account,
        amount,
        payment.kind,
        payment.id,
        at,
        hold=payment.hold,
    )


def release(
    found: Located, op: Op, to_state: str, failure: str | None, facts: Facts, actor: str, reason: str
) -> Plan:
    """End a waiting payment without moving money: the hold is released, the QR code it paid may be paid again."""
    after = replace(found.payment, state=to_state, failure=failure, changed_at=facts.now, expires_at=None)
    result = replace(changed(found.payment, after, actor, reason), qr_freed=found.payment.id)
    if found.payment.kind in TO_BANK:
        result = replace(result, rail_answer=(held_order(found.payment), False, "never sent to the bank"))
    return Plan(result, (close_hold(found, op, 0, facts.now),))


def authorize(found: Located, facts: Facts, actor: str, reason: str) -> Plan:
    """A manual payment that passed its challenge or review waits for the capture; the hold stays."""
    expires_at = facts.now + timedelta(seconds=limits.AUTHORIZATION_SECONDS)
    after = replace(found.payment, state="authorized", changed_at=facts.now, expires_at=expires_at)
    return Plan(changed(found.payment, after, actor, reason))


def new_challenge(payment: UUID) -> tuple[Challenge, str]:
    """A six-digit code and what is kept of it."""
    code = f"{secrets.randbelow(10**6):06d}"
    return Challenge(payment, code_hash(payment, code), 0), code


def code_hash(payment: UUID, code: str) -> bytes:
    """What is kept of a one-time code."""
    return hashlib.sha256(payment.bytes + code.encode()).digest()


def fee_entries(payment: Payment, payee_account: UUID, facts: Facts) -> tuple[Entry, ...]:
    """The platform's share of what was captured, taken from the merchant in the same breath."""
    if not payment.fee:
        return ()
    fees = facts.house[payment.currency, "fees"]
    return (Entry(new_id(), Op.POST, payee_account, fees, payment.fee, "fee", payment.id, payment.event_at),)


def go_on(found: Located, facts: Facts, actor: str, reason: str) -> Plan:
    """A payment that passed its challenge or review goes on: it is paid, or waits for the capture if it is manual.

    A withdrawal is sent to its bank; its hold stays until the bank has answered.
    """
    if found.payment.kind in TO_BANK:
        after = replace(found.payment, state="pending", changed_at=facts.now, expires_at=None)
        result = changed(found.payment, after, actor, reason)
        return Plan(replace(result, rail_go=held_order(found.payment)))
    if found.payment.manual:
        return authorize(found, facts, actor, reason)
    return settle(found, found.payment.amount, facts, actor, reason)


def settle(found: Located, amount: int, facts: Facts, actor: str, reason: str) -> Plan:
    """Pay out of the hold, the platform's share with it; what is left of the hold is released."""
    payment = found.payment
    fee = share(amount, payment.fee_bps)
    after = replace(
        payment, state="succeeded", captured=amount, fee=fee, changed_at=facts.now, expires_at=None
    )
    entry = replace(close_hold(found, Op.SETTLE, amount, facts.now), linked=fee > 0)
    fees = fee_entries(after, found.payee_account, facts)
    return Plan(changed(payment, after, actor, reason), (entry, *fees))

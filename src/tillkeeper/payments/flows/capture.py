"""What ends the wait of a held payment: the merchant captures or voids, the payer answers, a person reviews, time ends."""

import hmac

from msgspec.structs import replace

from tillkeeper.base import limits
from tillkeeper.base.money import share
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Op
from tillkeeper.payments.commands import AnswerChallenge, Capture, Expire, Review, Void
from tillkeeper.payments.flows import common
from tillkeeper.payments.flows.pay import fee_entries
from tillkeeper.payments.plan import Asked, Facts, Needs, Plan
from tillkeeper.payments.types import Located

_AUTHORIZED = frozenset({"authorized"})
_CHALLENGED = frozenset({"challenged"})
_IN_REVIEW = frozenset({"in_review"})
_EXPIRING = frozenset({"challenged", "in_review", "authorized"})


def needs(command: Capture | Void | AnswerChallenge | Review | Expire) -> Needs:
    """The payment itself."""
    return Needs(payment=command.payment)


def capture(_: Asked, command: Capture, facts: Facts) -> Plan | Refusal:
    """Take what is held, or less."""
    found = common.located(facts, command.payment, _AUTHORIZED, "capture")
    if isinstance(found, Refusal):
        return found
    amount = command.amount or found.payment.amount
    if amount > found.payment.amount:
        return Refusal("exceeds_hold", f"at most {found.payment.amount} can be captured", "amount")
    return _settle(found, amount, facts, "merchant", "")


def void(_: Asked, command: Void, facts: Facts) -> Plan | Refusal:
    """Release what is held."""
    found = common.located(facts, command.payment, _AUTHORIZED, "void")
    if isinstance(found, Refusal):
        return found
    return common.release(found, Op.VOID, "voided", None, facts, "merchant", "")


def answer_challenge(_: Asked, command: AnswerChallenge, facts: Facts) -> Plan | Refusal:
    """The right code lets the payment go on; too many wrong ones end it."""
    found = common.located(facts, command.payment, _CHALLENGED, "a challenge")
    if isinstance(found, Refusal):
        return found
    challenge = facts.challenges[command.payment]
    if found.payment.expires_at is not None and found.payment.expires_at <= facts.now:
        return common.release(found, Op.EXPIRE, "expired", "expired", facts, "clock", "")
    if hmac.compare_digest(common.code_hash(command.payment, command.code), challenge.code_hash):
        return _go_on(found, facts, "customer", "")
    if challenge.tries + 1 >= limits.CHALLENGE_TRIES:
        return common.release(found, Op.VOID, "declined", "challenge_exhausted", facts, "customer", "")
    left = limits.CHALLENGE_TRIES - challenge.tries - 1
    result = common.refused(Refusal("challenge_failed", f"{left} tries are left", "code"))
    return Plan(replace(result, challenge=replace(challenge, tries=challenge.tries + 1)))


def review(_: Asked, command: Review, facts: Facts) -> Plan | Refusal:
    """A person releases or refuses what risk held."""
    found = common.located(facts, command.payment, _IN_REVIEW, "a review")
    if isinstance(found, Refusal):
        return found
    if command.release:
        return _go_on(found, facts, command.reviewer, command.reason)
    failure = "refused_by_reviewer"
    return common.release(found, Op.VOID, "declined", failure, facts, command.reviewer, command.reason)


def expire(_: Asked, command: Expire, facts: Facts) -> Plan | Refusal:
    """Time is over. Asked too early (clocks differ) it is refused, and asked again later."""
    found = common.located(facts, command.payment, _EXPIRING, "expiry")
    if isinstance(found, Refusal):
        return found
    if found.payment.expires_at is None or found.payment.expires_at > facts.now:
        return Refusal("wrong_state", "its time is not over")
    return common.release(found, Op.EXPIRE, "expired", "expired", facts, "clock", "")


def _go_on(found: Located, facts: Facts, actor: str, reason: str) -> Plan:
    if found.payment.manual:
        return common.authorize(found, facts, actor, reason)
    return _settle(found, found.payment.amount, facts, actor, reason)


def _settle(found: Located, amount: int, facts: Facts, actor: str, reason: str) -> Plan:
    payment = found.payment
    fee = share(amount, payment.fee_bps)
    after = replace(
        payment, state="succeeded", captured=amount, fee=fee, changed_at=facts.now, expires_at=None
    )
    fees = fee_entries(after, found.payee_account, facts)
    entry = replace(common.close_hold(found, Op.SETTLE, amount, facts.now), linked=bool(fees))
    return Plan(common.changed(payment, after, actor, reason), (entry, *fees))


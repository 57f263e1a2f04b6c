"""The payer answers a challenge: the right code lets the payment go on, too many wrong ones end it."""

import hmac

from msgspec.structs import replace

from tillkeeper.base import limits
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Op
from tillkeeper.payments.commands import AnswerChallenge
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Plan

_CHALLENGED = frozenset({"challenged"})


def plan(_: Asked, command: AnswerChallenge, facts: Facts) -> Plan | Refusal:
    """The right code lets the payment go on; too many wrong ones end it."""
    found = common.located(facts, command.payment, _CHALLENGED, "a challenge")
    if isinstance(found, Refusal):
        return found
    if refusal := common.taking_part(facts.standings, found.payment):
        return refusal  # frozen or closed since: nobody may answer until that is lifted
    challenge = facts.challenges[command.payment]
    if found.payment.expires_at is not None and found.payment.expires_at <= facts.now:
        return common.release(found, Op.EXPIRE, "expired", "expired", facts, "clock", "")
    if hmac.compare_digest(common.code_hash(command.payment, command.code), challenge.code_hash):
        return common.go_on(found, facts, "customer", "")
    if challenge.tries + 1 >= limits.CHALLENGE_TRIES:
        return common.release(found, Op.VOID, "declined", "challenge_exhausted", facts, "customer", "")
    left = limits.CHALLENGE_TRIES - challenge.tries - 1
    result = common.refused(Refusal("challenge_failed", f"{left} tries are left", "code"))
    return Plan(replace(result, challenge=replace(challenge, tries=challenge.tries + 1)))

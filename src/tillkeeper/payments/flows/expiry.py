"""Nobody came: a waiting payment whose time is over ends, and what was held is released."""

from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Op
from tillkeeper.payments.commands import Expire
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Plan

_EXPIRING = frozenset({"challenged", "in_review", "authorized"})


def plan(_: Asked, command: Expire, facts: Facts) -> Plan | Refusal:
    """Time is over. Asked too early (clocks differ) it is refused, and asked again later."""
    found = common.located(facts, command.payment, _EXPIRING, "expiry")
    if isinstance(found, Refusal):
        return found
    if found.payment.expires_at is None or found.payment.expires_at > facts.now:
        return Refusal("wrong_state", "its time is not over")
    return common.release(found, Op.EXPIRE, "expired", "expired", facts, "clock", "")

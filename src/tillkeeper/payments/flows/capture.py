"""The merchant takes what an authorized payment reserves, or lets it go."""

from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Op
from tillkeeper.payments.commands import Capture, Void
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Plan

_AUTHORIZED = frozenset({"authorized"})


def capture(_: Asked, command: Capture, facts: Facts) -> Plan | Refusal:
    """Take what is held, or less."""
    found = common.located(facts, command.payment, _AUTHORIZED, "capture")
    if isinstance(found, Refusal):
        return found
    amount = command.amount or found.payment.amount
    if amount > found.payment.amount:
        return Refusal("exceeds_hold", f"at most {found.payment.amount} can be captured", "amount")
    return common.settle(found, amount, facts, "merchant", "")


def void(_: Asked, command: Void, facts: Facts) -> Plan | Refusal:
    """Release what is held."""
    found = common.located(facts, command.payment, _AUTHORIZED, "void")
    if isinstance(found, Refusal):
        return found
    return common.release(found, Op.VOID, "voided", None, facts, "merchant", "")

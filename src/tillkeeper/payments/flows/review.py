"""A person of the risk team releases or refuses what risk held."""

from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Op
from tillkeeper.payments.commands import Review
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Plan

_IN_REVIEW = frozenset({"in_review"})


def plan(_: Asked, command: Review, facts: Facts) -> Plan | Refusal:
    """A person releases or refuses what risk held."""
    found = common.located(facts, command.payment, _IN_REVIEW, "a review")
    if isinstance(found, Refusal):
        return found
    if refusal := common.unseen(found, command.seen):
        return refusal
    if command.release:
        return common.go_on(found, facts, command.reviewer, command.reason)
    failure = "refused_by_reviewer"
    return common.release(found, Op.VOID, "declined", failure, facts, command.reviewer, command.reason)

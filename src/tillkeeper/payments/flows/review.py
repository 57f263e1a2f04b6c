"""A person of the risk team releases or refuses what risk held; the audit trail says so in the same transaction."""

from msgspec.structs import replace

from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Op
from tillkeeper.payments.commands import Review
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Act, Asked, Facts, Needs, Plan

_IN_REVIEW = frozenset({"in_review"})


def needs(command: Review) -> Needs:
    """The payment; of a release also that nobody is frozen before it is committed."""
    return Needs(payment=command.payment, firm=command.release)


def plan(_: Asked, command: Review, facts: Facts) -> Plan | Refusal:
    """A person releases or refuses what risk held. What belongs to somebody frozen or closed since can only be refused."""
    found = common.located(facts, command.payment, _IN_REVIEW, "a review")
    if isinstance(found, Refusal):
        return found
    if refusal := common.unseen(found, command.seen):
        return refusal
    who = f"{command.asked_by}, {command.reviewer}" if command.asked_by else command.reviewer
    if command.release:
        if refusal := common.taking_part(facts.standings, found.payment):
            return refusal  # it waits on: unfreeze first, or refuse it
        plan = common.go_on(found, facts, who, command.reason)
    else:
        failure = "refused_by_reviewer"
        plan = common.release(found, Op.VOID, "declined", failure, facts, who, command.reason)
    return replace(plan, done=replace(plan.done, act=_act(command)))


def _act(command: Review) -> Act:
    why = command.reason
    if command.approval:
        why = f"{why} ({command.approval}, asked by {command.asked_by})"
    action = "payment.released" if command.release else "payment.refused"
    return Act(command.reviewer, action, to_typeid("pay", command.payment), why, command.origin)

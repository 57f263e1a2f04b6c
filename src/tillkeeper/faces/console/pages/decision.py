"""The risk decision about a payment, in words: its receipt, made again."""

from uuid import UUID

import msgspec

from tillkeeper import risk
from tillkeeper.faces.console.render import Renderer
from tillkeeper.risk import Reason, Value
from tillkeeper.risk import browse as risks
from tillkeeper.risk.browse import Reported
from tillkeeper.store import Tx


class DecisionView(msgspec.Struct, frozen=True):
    """What the page shows of a receipt. `again`: the outcome when it is decided again now, None if this release cannot
    read the rules of that time; `same`: it comes out as it was.
    """

    outcome: str
    rule_set: int
    reported: list[Reported]
    reasons: tuple[Reason, ...]
    values: tuple[Value, ...] = ()
    again: str | None = None
    same: bool = False


async def read_decision(tx: Tx, payment: UUID, renderer: Renderer) -> DecisionView | None:
    """The decision about a payment; None where risk was not asked."""
    receipt = await risk.receipt(tx, payment)
    if receipt is None:
        return None
    reported = await risks.labels_of(tx, payment)
    outcome, rule_set = receipt.outcome, receipt.rule_set
    try:
        told = risk.explain(receipt, renderer.texts.language.partition("-")[0])
    except risk.BadRulesError:
        named = tuple(Reason(rule, 0, outcome, "") for rule in receipt.reasons)
        return DecisionView(outcome, rule_set, reported, named)
    return DecisionView(outcome, rule_set, reported, told.reasons, told.values, told.outcome, told.same)

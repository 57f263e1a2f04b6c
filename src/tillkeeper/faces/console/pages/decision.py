"""The risk decision about a payment, in words: its receipt, made again."""

import asyncio
from uuid import UUID

import msgspec

from tillkeeper import risk
from tillkeeper.faces.console.render import Renderer
from tillkeeper.risk import Effect, Reason, Receipt, Scored, Value
from tillkeeper.risk import browse as risks
from tillkeeper.risk.browse import Reported
from tillkeeper.risk.models import BadModelError, Scorer
from tillkeeper.store import Tx


class DecisionView(msgspec.Struct, frozen=True):
    """What the page shows of a receipt. `again`: the outcome when it is decided again now, None if this release cannot
    read the rules of that time; `same`: it comes out as it was. `silent`: rules that hit and decided nothing; `effects`:
    what decided beside the rules; `scored`: what models said, and why; `model_unreadable`: why a model cannot be asked again.
    """

    outcome: str
    rule_set: int
    reported: list[Reported]
    reasons: tuple[Reason, ...]
    values: tuple[Value, ...] = ()
    again: str | None = None
    same: bool = False
    silent: tuple[Reason, ...] = ()
    effects: tuple[Effect, ...] = ()
    scored: tuple[Scored, ...] = ()
    model_unreadable: str = ""


async def read_decision(tx: Tx, payment: UUID, renderer: Renderer) -> DecisionView | None:
    """The decision about a payment; None where risk was not asked."""
    receipt = await risk.receipt(tx, payment)
    if receipt is None:
        return None
    reported = await risks.labels_of(tx, payment)
    outcome, rule_set = receipt.outcome, receipt.rule_set
    scorers, unreadable = await _scorers(tx, receipt)
    try:
        # Models compute their reasons in loops that are compiled when they are first met.
        told = await asyncio.to_thread(
            risk.explain, receipt, renderer.texts.language.partition("-")[0], scorers
        )
    except risk.BadRulesError:
        named = tuple(Reason(rule, 0, outcome, "") for rule in receipt.reasons)
        return DecisionView(outcome, rule_set, reported, named)
    return DecisionView(
        outcome,
        rule_set,
        reported,
        told.reasons,
        told.values,
        told.outcome,
        told.same,
        told.silent,
        told.effects,
        told.scored,
        unreadable,
    )


async def _scorers(tx: Tx, receipt: Receipt) -> tuple[dict[int, Scorer], str]:
    """The models of that day, and why they cannot be read, if so."""
    try:
        return await risk.scorers_of(tx, receipt), ""
    except BadModelError as error:
        return {}, str(error)

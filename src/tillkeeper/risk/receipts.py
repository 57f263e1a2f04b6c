"""Receipts: what a decision was made from, kept so that it can be made again."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import msgspec
import numpy as np

from tillkeeper.risk import rows
from tillkeeper.risk.features import FEATURES
from tillkeeper.risk.rules import RuleSet, read_rules
from tillkeeper.risk.words import in_words, reason_in_words
from tillkeeper.store import Tx


class Receipt(msgspec.Struct, frozen=True):
    """One decision as stored: the attempt, what was decided, and the rule set's text and feature order."""

    id: UUID
    at: datetime
    kind: str
    customer: UUID
    payee: UUID
    amount: int
    currency: str
    device: str | None
    ip: str | None
    outcome: str
    reasons: tuple[str, ...]
    rule_set: int
    source: str
    names: tuple[str, ...]
    features: bytes


class Reason(msgspec.Struct, frozen=True):
    """A rule that hit, and why, in words."""

    rule: str
    version: int
    outcome: str
    text: str


class Value(msgspec.Struct, frozen=True):
    """A feature value that the rule set read; None where nothing was known. `text` is the value in words."""

    name: str
    meaning: str
    value: float | None
    text: str


class Explanation(msgspec.Struct, frozen=True):
    """A decision made again from its receipt. `same`: outcome and hit rules equal the stored ones."""

    outcome: str
    reasons: tuple[Reason, ...]
    values: tuple[Value, ...]
    rule_set: int
    same: bool


class RuleView(msgspec.Struct, frozen=True):
    """A rule of the active set, and how often it hit."""

    name: str
    version: int
    outcome: str
    when: str
    zh: str
    en: str
    hits: int


class ActiveRules(msgspec.Struct, frozen=True):
    """The rule set that decides now."""

    rule_set: int
    active_since: datetime
    source: str
    rules: tuple[RuleView, ...]


async def receipt(tx: Tx, payment: UUID) -> Receipt | None:
    """The receipt of a payment's decision; None where risk was not asked."""
    row = await rows.receipt(tx, payment)
    return None if row is None else Receipt(*row[:10], tuple(row.reasons), *row[11:13], tuple(row.names), row.features)


def explain(receipt: Receipt, language: str = "en") -> Explanation:
    """Decide again from the stored values and the stored rules. `language`: "zh" or "en".

    Raises BadRulesError when the stored rules read a feature that this release no longer has.
    """
    rules = _stored_rules(receipt.source)
    numbers = np.frombuffer(receipt.features, "<f8")
    values = dict(zip(receipt.names, numbers.tolist(), strict=True))
    # The order of the receipt is that of its own time; the rules' order is today's.
    ((outcome, hit),) = rules.decide(np.array([[values[name] for name in rules.features]]))
    reasons = [
        Reason(rule.name, rule.version, rule.outcome, reason_in_words(rule, values, rules.reference, language))
        for rule in rules.rules
        if rule.name in hit
    ]
    return Explanation(
        outcome=outcome,
        reasons=tuple(reasons),
        values=_values(receipt.names, numbers.tolist(), rules.reference, language),
        rule_set=receipt.rule_set,
        same=(outcome, hit) == (receipt.outcome, receipt.reasons),
    )


async def active_rules(tx: Tx, since: datetime) -> ActiveRules | None:
    """The rule set that decides, with the hits of each rule among decisions that arrived since a moment."""
    active = await rows.active_rule_set(tx)
    if active is None:
        return None
    hits = await rows.hits_since(tx, since)
    rules = _stored_rules(active.source)
    views = tuple(
        RuleView(rule.name, rule.version, rule.outcome, rule.when, rule.zh, rule.en, hits.get(rule.name, 0))
        for rule in rules.rules
    )
    return ActiveRules(active.version, active.at, active.source, views)


@lru_cache(maxsize=16)
def _stored_rules(source: str) -> RuleSet:
    return read_rules(source, "stored rules")


def _values(names: Sequence[str], numbers: Sequence[float], reference: str, language: str) -> tuple[Value, ...]:
    return tuple(
        Value(
            name,
            FEATURES[name].zh if language == "zh" else FEATURES[name].en,
            None if number != number else number,  # noqa: PLR0124 - NaN is what differs from itself
            in_words(name, number, reference, language),
        )
        for name, number in zip(names, numbers, strict=True)
    )

"""Receipts: what a decision was made from, kept so that it can be made again."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np

from tillkeeper.risk.features import FEATURES
from tillkeeper.risk.rulefile import read_rules
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Receipt
from tillkeeper.risk.words import in_words, reason_in_words


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
        Reason(
            rule.name, rule.version, rule.outcome, reason_in_words(rule, values, rules.reference, language)
        )
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


@lru_cache(maxsize=16)
def _stored_rules(source: str) -> RuleSet:
    return read_rules(source, "stored rules")


def _values(
    names: Sequence[str], numbers: Sequence[float], reference: str, language: str
) -> tuple[Value, ...]:
    return tuple(
        Value(
            name,
            FEATURES[name].zh if language == "zh" else FEATURES[name].en,
            None if number != number else number,  # noqa: PLR0124 - NaN is what differs from itself
            in_words(name, number, reference, language),
        )
        for name, number in zip(names, numbers, strict=True)
    )

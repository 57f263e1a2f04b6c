"""Receipts: what a decision was made from, kept so that it can be made again, with the rules and the model of that day."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from tillkeeper.base.clock import to_us
from tillkeeper.risk import models
from tillkeeper.risk.features import FEATURES, Feature, Unit
from tillkeeper.risk.force import DENY
from tillkeeper.risk.models import ModelReason, Scorer
from tillkeeper.risk.rulefile import read_rules
from tillkeeper.risk.rules import CHALLENGE, SEVERITY, RuleSet
from tillkeeper.risk.types import OUTCOMES, Receipt
from tillkeeper.risk.words import effect_in_words, effects_in_words, in_words, reason_in_words
from tillkeeper.store import Tx

SILENT: Final = frozenset({"shadow", "muted"})


class Reason(msgspec.Struct, frozen=True):
    """A rule that hit, and why, in words."""

    rule: str
    version: int
    outcome: str
    text: str


class Value(msgspec.Struct, frozen=True):
    """A feature value that rules or models read; None where nothing was known. `text` is the value in words."""

    name: str
    meaning: str
    value: float | None
    text: str


class Effect(msgspec.Struct, frozen=True):
    """What decided beside the rules, or kept one from deciding: `kind` and `what` as in migration 0024."""

    kind: str
    what: str
    text: str


class Scored(msgspec.Struct, frozen=True):
    """What a model said. `role`: champion or anomaly; `score` as stored; `again`: computed again, None where nobody opened
    the model; `reasons`: what raised it most.
    """

    role: str
    model: int
    score: float | None
    again: float | None
    reasons: tuple[ModelReason, ...]

    @property
    def same(self) -> bool:
        """Whether the score is the stored one. Computed by our own loops, it is the same to the last bit."""
        return self.again is None or self.again == self.score


class Explanation(msgspec.Struct, frozen=True):
    """A decision made again from its receipt. `same`: outcome, hit rules and scores equal the stored ones.

    `silent`: rules that hit and decided nothing: in shadow, or muted. `told`: (rule or list, words) that the payer may hear:
    nothing of a payment that was let through.
    """

    outcome: str
    reasons: tuple[Reason, ...]
    values: tuple[Value, ...]
    rule_set: int
    same: bool
    silent: tuple[Reason, ...] = ()
    effects: tuple[Effect, ...] = ()
    scored: tuple[Scored, ...] = ()
    configuration: int | None = None
    told: tuple[tuple[str, str], ...] = ()


def explain(
    receipt: Receipt, language: str = "en", scorers: Mapping[int, Scorer] | None = None
) -> Explanation:
    """Decide again from the stored values and the stored rules. `language`: "zh" or "en". `scorers`: the models of that day by
    their version (see `scorers_of`), to compute the scores again, too.

    Raises BadRulesError when the stored rules cannot be read by this release.
    """
    rules = _stored_rules(receipt.source, receipt.names)
    numbers = np.frombuffer(receipt.features, "<f8")
    values = dict(zip(receipt.names, numbers.tolist(), strict=True))
    row = np.array([[values[name] for name in rules.features]])  # the rules' order is today's
    hits = rules.hits(row, [receipt.kind], np.array([to_us(receipt.at)]))[:, 0].tolist()
    effects = tuple(_effect(each, language) for each in receipt.effects)
    quiet = {each.what for each in effects if each.kind in SILENT}
    spoken = [
        (
            Reason(
                rule.name,
                rule.version,
                rule.outcome,
                reason_in_words(rule, values, rules.reference, language),
            ),
            rule.name in quiet,
        )
        for rule, hit in zip(rules.rules, hits, strict=True)
        if hit
    ]
    reasons = tuple(reason for reason, silent in spoken if not silent)
    outcome = concluded(reasons, effects)
    scored = _scored(receipt, values, rules.reference, language, scorers or {})
    known = models.with_own([own for scorer in (scorers or {}).values() for own in scorer.own])
    stored = (receipt.outcome, receipt.reasons)
    return Explanation(
        outcome=outcome,
        reasons=reasons,
        values=_values(receipt.names, numbers.tolist(), (known, rules.reference, language)),
        rule_set=receipt.rule_set,
        same=(outcome, tuple(each.rule for each in reasons)) == stored and all(each.same for each in scored),
        silent=tuple(reason for reason, silent in spoken if silent),
        effects=effects,
        scored=scored,
        configuration=receipt.configuration,
        told=_told(receipt, reasons, language),
    )


def _told(receipt: Receipt, reasons: Sequence[Reason], language: str) -> tuple[tuple[str, str], ...]:
    if receipt.outcome == "allow":
        return ()
    listed = effects_in_words(receipt.effects, language)
    return tuple(listed + [(each.rule, each.text) for each in reasons])


def concluded(reasons: Sequence[Reason], effects: Sequence[Effect]) -> str:
    """The outcome of rules that hit, after what people and circuit breakers said."""
    kinds = {each.kind for each in effects}
    weakened = {each.what for each in effects if each.kind == "weakened"}
    severity = max(
        (
            min(SEVERITY[each.outcome], CHALLENGE) if each.rule in weakened else SEVERITY[each.outcome]
            for each in reasons
        ),
        default=0,
    )
    if "blocked" in kinds:
        severity = DENY
    elif kinds & {"trusted", "bypassed"}:
        severity = 0
    return OUTCOMES[severity]


async def scorers_of(tx: Tx, receipt: Receipt) -> dict[int, Scorer]:
    """The models of a receipt's day, opened. Raises BadModelError when one cannot be read by this release."""
    known = FEATURES.keys() | set(receipt.names)
    return {
        version: await models.registry.opened(tx, version, known)
        for version in (receipt.champion, receipt.anomaly)
        if version is not None
    }


def _effect(text: str, language: str) -> Effect:
    kind, _, what = text.partition(":")
    return Effect(kind, what, effect_in_words(text, language))


def _scored(
    receipt: Receipt,
    values: Mapping[str, float],
    reference: str,
    language: str,
    scorers: Mapping[int, Scorer],
) -> tuple[Scored, ...]:
    found = []
    for role, version, name in (
        ("anomaly", receipt.anomaly, "anomaly_score"),
        ("champion", receipt.champion, "model_score"),
    ):
        if version is None or name not in values:
            continue
        stored, scorer = _known(values[name]), scorers.get(version)
        if scorer is None or stored is None:  # nobody opened it, or it could not score that day
            found.append(Scored(role, version, stored, None, ()))
            continue
        row = np.array([[values[each] for each in scorer.features]])
        told = models.reasons(scorer, row, reference, language)[0]
        found.append(Scored(role, version, stored, float(scorer.score(row)[0]), tuple(told)))
    return tuple(found)


@lru_cache(maxsize=32)
def _stored_rules(source: str, names: tuple[str, ...]) -> RuleSet:
    """A rule set as it was: what it read is known by the receipt, even if no feature is called so any more."""
    gone = {name: Feature(-1, name, Unit.RATIO, name, name) for name in names if name not in FEATURES}
    return read_rules(source, "stored rules", {**FEATURES, **gone})


def _values(
    names: Sequence[str], numbers: Sequence[float], words: tuple[Mapping[str, Feature], str, str]
) -> tuple[Value, ...]:
    """`words`: what features there are, the reference currency, the language."""
    known, reference, language = words
    return tuple(
        Value(
            name,
            _meaning(known.get(name), name, language),
            _known(number),
            in_words(name, number, reference, language, known),
        )
        for name, number in zip(names, numbers, strict=True)
    )


def _meaning(feature: Feature | None, name: str, language: str) -> str:
    return name if feature is None else feature.zh if language == "zh" else feature.en


def _known(number: float) -> float | None:
    return None if number != number else number  # noqa: PLR0124 - NaN is what differs from itself

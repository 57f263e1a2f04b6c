"""A tally as figures: per outcome, per level of alert, per rule, and the hand rules at the same number of alerts. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tillkeeper.base.money import to_major
from tillkeeper.replay.tally import LEVELS, Cell, Tally

_OUTCOMES: Final = ("allow", *reversed(LEVELS))
_MEANS: Final = {
    "deny": "denied",
    "hold": "denied or held for review",
    "challenge": "denied, held or challenged",
}

Money = dict[str, str]
"""Major units as plain decimals, by currency."""


class Detection(msgspec.Struct, frozen=True):
    """How well so many alerts find the frauds. None: nothing to divide by."""

    alerts: int
    frauds: float
    precision: float | None
    recall: float | None
    false_positives_per_fraud: float | None


class Level(msgspec.Struct, frozen=True):
    """Alerts of a level and all above, the money they kept from thieves and the honest money they disturbed.

    `hand_rules`: the three hand rules of the field note, raising exactly as many alerts.
    """

    level: str
    means: str
    detection: Detection
    saved: Money
    disturbed: Money
    hand_rules: Detection


class RuleFigures(msgspec.Struct, frozen=True):
    """A rule's hits. `alone`: frauds that no other rule hit."""

    rule: str
    hits: int
    frauds: int
    alone: int
    precision: float | None


class Outcome(msgspec.Struct, frozen=True):
    """Payments with one outcome, and the labelled frauds among them."""

    outcome: str
    payments: int
    amount: Money
    frauds: int
    fraud_amount: Money


class Figures(msgspec.Struct, frozen=True):
    """The whole of it. Detection looks only at payments that the file labels."""

    payments: int
    judged: int
    frauds: int
    fraud_amount: Money
    lost: Money
    outcomes: list[Outcome]
    states: dict[str, int]
    failures: dict[str, int]
    levels: list[Level]
    rules: list[RuleFigures]


def figures(tally: Tally) -> Figures:
    """The figures of a tally."""
    cells = _all_cells(tally, _OUTCOMES)
    judged, frauds = sum(cell.judged for _, cell in cells), sum(cell.frauds for _, cell in cells)
    return Figures(
        payments=tally.payments,
        judged=judged,
        frauds=frauds,
        fraud_amount=_money((currency, cell.fraud_amount) for currency, cell in cells),
        lost=_money((currency, cell.fraud_amount) for currency, cell in _all_cells(tally, ("allow",))),
        outcomes=[_outcome(tally, outcome) for outcome in _OUTCOMES],
        states=tally.states,
        failures=tally.failures,
        levels=[_level(tally, at, frauds) for at in range(1, len(LEVELS) + 1)] if frauds else [],
        rules=_rules(tally),
    )


def hand_rules_at(alerts: int, scores: dict[int, tuple[int, int]], frauds: int) -> Detection:
    """What the highest scores find in so many alerts. Of rows with one score a share is taken: nothing ranks them."""
    left, found = alerts, 0.0
    for score in sorted(scores, reverse=True):
        judged, of_them = scores[score]
        taken = min(left, judged)
        found += of_them * taken / judged
        left -= taken
        if not left:
            break
    return _detection(alerts, found, frauds)


def _level(tally: Tally, size: int, frauds: int) -> Level:
    level = LEVELS[size - 1]
    cells = _all_cells(tally, LEVELS[:size])
    alerts = sum(cell.judged for _, cell in cells)
    return Level(
        level,
        _MEANS[level],
        _detection(alerts, sum(cell.frauds for _, cell in cells), frauds),
        _money((currency, cell.fraud_amount) for currency, cell in cells),
        _money((currency, cell.judged_amount - cell.fraud_amount) for currency, cell in cells),
        hand_rules_at(alerts, tally.hand_rules, frauds),
    )


def _detection(alerts: int, found: float, frauds: int) -> Detection:
    return Detection(
        alerts,
        found,
        found / alerts if alerts else None,
        found / frauds if frauds else None,
        (alerts - found) / found if found else None,
    )


def _rules(tally: Tally) -> list[RuleFigures]:
    return [
        RuleFigures(
            name, hits.count, hits.frauds, hits.alone, hits.frauds / hits.judged if hits.judged else None
        )
        for name, hits in sorted(tally.rules.items(), key=lambda each: -each[1].count)
    ]


def _outcome(tally: Tally, outcome: str) -> Outcome:
    cells = _all_cells(tally, (outcome,))
    return Outcome(
        outcome,
        sum(cell.count for _, cell in cells),
        _money((currency, cell.amount) for currency, cell in cells),
        sum(cell.frauds for _, cell in cells),
        _money((currency, cell.fraud_amount) for currency, cell in cells),
    )


def _all_cells(tally: Tally, outcomes: Sequence[str]) -> list[tuple[str, Cell]]:
    return [each for outcome in outcomes for each in tally.outcomes.get(outcome, {}).items()]


def _money(amounts: Iterable[tuple[str, int]]) -> Money:
    sums: dict[str, int] = {}
    for currency, amount in amounts:
        sums[currency] = sums.get(currency, 0) + amount
    return {currency: to_major(amount, currency) for currency, amount in sorted(sums.items())}

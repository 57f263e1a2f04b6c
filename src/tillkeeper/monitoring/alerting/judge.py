"""From what was measured to a verdict. No input or output."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from tillkeeper.base import limits
from tillkeeper.monitoring.alerting.types import (
    NO_LABELS,
    Absence,
    Anomaly,
    Burn,
    Count,
    Judged,
    Objective,
    Threshold,
    Verdict,
)

_SIGMA: Final = 1.4826  # a normal distribution's standard deviation in median absolute deviations


def threshold(rule: Threshold, value: float | None, samples: int) -> Judged:
    """A measure beside its bound."""
    bound = rule.over if rule.over is not None else rule.under
    assert bound is not None  # the rule book was checked
    if value is None or samples < rule.samples:
        return Judged(rule.name, NO_LABELS, rule.severity, "unknown", value, bound)
    bad = value > bound if rule.over is not None else value < bound
    return Judged(rule.name, NO_LABELS, rule.severity, "bad" if bad else "fine", value, bound)


def absence(rule: Absence, value: float | None) -> Judged:
    """Whether anything is measured."""
    verdict: Verdict = "bad" if value is None else "fine"
    return Judged(rule.name, NO_LABELS, rule.severity, verdict, value)


def anomaly(rule: Anomaly, value: float | None, history: Sequence[float]) -> Judged:
    """A measure beside the same hour of earlier weeks. Too few weeks: unknown, it still learns."""
    if value is None or len(history) < limits.ANOMALY_WEEKS_LEAST:
        return Judged(rule.name, NO_LABELS, rule.severity, "unknown", value)
    usual = median(history)
    spread = _SIGMA * median(abs(each - usual) for each in history)
    allowed = max(rule.deviations * spread, rule.floor)
    low = usual - allowed if rule.worse in ("lower", "both") else None
    high = usual + allowed if rule.worse in ("higher", "both") else None
    if low is not None and value < low:
        return Judged(rule.name, NO_LABELS, rule.severity, "bad", value, low)
    if high is not None and value > high:
        return Judged(rule.name, NO_LABELS, rule.severity, "bad", value, high)
    return Judged(rule.name, NO_LABELS, rule.severity, "fine", value, high if high is not None else low)


def count(objective: Objective, value: float | None, samples: int) -> Count:
    """What one look adds to an objective: its answers, or the look itself."""
    if objective.at_most is None and objective.at_least is None:
        if value is None or samples <= 0:
            return Count(0, 0, 0 if value is not None else 1)
        return Count(min(samples, round(value * samples / 100)), samples)
    if value is None:
        return Count(0, 0, 1)
    good = (objective.at_most is None or value <= objective.at_most) and (
        objective.at_least is None or value >= objective.at_least
    )
    return Count(int(good), 1)


def burn_rate(counted: Count, target: float) -> float | None:
    """How many times as fast as it lasts the budget is spent; None: nothing was counted."""
    if counted.total == 0:
        return None
    return (counted.total - counted.good) / counted.total / (1 - target / 100)


def burn(objective: Objective, pair: Burn, long: Count, short: Count) -> Judged:
    """A pair of windows. With few answers a single failure is no fire: it takes BURN_LEAST_FAILED of them."""
    slow, fast = burn_rate(long, objective.target), burn_rate(short, objective.target)
    verdict: Verdict = "fine"
    if slow is None or fast is None or short.blind > short.total:
        verdict = "unknown"
    elif min(slow, fast) >= pair.factor and long.total - long.good >= limits.BURN_LEAST_FAILED:
        verdict = "bad"
    return Judged(objective.name, pair.labels, pair.severity, verdict, slow, pair.factor)


def budget_left(objective: Objective, counted: Count) -> float | None:
    """What is left of an objective's budget, from 1 down, below 0 when it is overspent; None: nothing was counted."""
    spent = burn_rate(counted, objective.target)
    return None if spent is None else 1 - spent

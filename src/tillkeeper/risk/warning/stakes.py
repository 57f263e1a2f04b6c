"""How much an alert is worth looking at: probability times money, ranked to what people can look into. Pure."""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.risk.warning.types import Seen, SeenLabel

MILLION: Final = 1_000_000
DAY_US: Final = 86_400 * MILLION

_PRIOR: Final[Mapping[str, float]] = {"allow": 0.05, "challenge": 0.3, "hold": 0.5, "deny": 0.7}
"""How often a rule is right of which no label is known yet, by what it decides."""
_STRENGTH: Final = 4.0
"""Labels' worth of that."""


class Precision:
    """How often each rule was right, by the labels of what it hit."""

    def __init__(self, known: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._counts: dict[str, list[int]] = {rule: list(each) for rule, each in (known or {}).items()}

    def learn(self, label: SeenLabel) -> None:
        """What a payment turned out to be, for the rules that hit it."""
        for rule in label.reasons:
            counts = self._counts.setdefault(rule, [0, 0])
            counts[0] += label.fraud
            counts[1] += 1

    def of(self, rule: str, outcome: str) -> float:
        """The probability that what a rule hits is fraud. `outcome`: of the decision it hit."""
        frauds, judged = self._counts.get(rule, (0, 0))
        return (frauds + _STRENGTH * _PRIOR[outcome]) / (judged + _STRENGTH)


def probability(each: Seen, precision: Precision) -> float:
    """That a payment is fraud: the champion's calibrated word, or that of the rules that hit, whichever is higher. Rules that
    agree count as if each had reasons of its own.
    """
    innocent = 1.0
    for rule in each.reasons:
        innocent *= 1.0 - precision.of(rule, each.outcome)
    return max(1.0 - innocent, each.score or 0.0)


def wanted(each: Seen, likely: float) -> bool:
    """Whether somebody should hear of a decision: what was held or denied, and whatever is probably fraud."""
    return each.outcome in ("hold", "deny") or likely >= limits.ALERT_SCORE


def expected_loss(amount: int, ppm: int) -> int:
    """Minor units."""
    return amount * ppm // MILLION


class Budget:
    """Who is looked into: whoever ranks among the `capacity` subjects with the most to lose of the last 24 hours.

    Of a steady stream that is exactly `capacity` a day; at a new beginning, and in a storm, more pass until the ranking is
    full. A subject that is looked into already costs nothing more.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.below = 0
        self._subjects: OrderedDict[UUID, tuple[int, int, bool]] = OrderedDict()
        self._losses: list[int] = []

    def admit(self, subject: UUID, loss: int, at_us: int) -> bool:
        """Whether an alert is queued. One below the budget is counted."""
        self._forget(at_us)
        _, before, queued = self._subjects.pop(subject, (0, -1, False))
        if before >= 0:
            self._losses.pop(bisect_left(self._losses, before))
        most = max(loss, before)
        better = len(self._losses) - bisect_left(self._losses, most)  # of equal ones, those that came first
        queued = queued or better < self.capacity
        insort(self._losses, most)
        self._subjects[subject] = at_us, most, queued
        self.below += not queued
        return queued

    def remember(self, alerts: Iterable[tuple[UUID, int, int, bool]]) -> None:
        """Alerts of before, the oldest first: subject, expected loss, time, whether it was queued."""
        for subject, loss, at_us, was_queued in alerts:
            self.admit(subject, loss, at_us)
            at, most, queued = self._subjects[subject]
            self._subjects[subject] = at, most, queued and was_queued
        self.below = 0

    def _forget(self, at_us: int) -> None:
        subjects = self._subjects
        while subjects:
            at, most, _ = next(iter(subjects.values()))
            if at > at_us - DAY_US and len(subjects) < limits.ALERT_BUDGET_SUBJECTS:
                return
            subjects.popitem(last=False)
            self._losses.pop(bisect_left(self._losses, most))

"""What one candidate did to payments, counted: by outcome, by rule, by score."""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.backtest.days import Calendar, Facts
from tillkeeper.risk.backtest.ranking import Order
from tillkeeper.risk.backtest.types import Level, Outcome, Part, Ranking, RuleLine, Side
from tillkeeper.risk.force import Force, Judged
from tillkeeper.risk.types import OUTCOMES

FRAUD, HONEST, OPEN = range(3)
EDGES: Final = (
    0.0,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    0.98,
    1.0,
)
"""Where the parts of the score's distribution begin; the last ends at 1 and holds it."""

Ints = NDArray[np.int64]


class Tally:
    """Counts one force's decisions. Bounded by its rules, the days, and the customers that honest payments were stopped of."""

    def __init__(self, force: Force, capacity: int, offset_us: int) -> None:
        self._force = force
        self._columns = {name: n for n, name in enumerate(force.columns)}
        self._outcomes = np.zeros((2, len(OUTCOMES), 3), np.int64)  # payments, amounts
        self._disturbed: list[set[int]] = [set() for _ in OUTCOMES]
        self._rules = np.zeros(
            (2, 2, len(force.rules.rules), 3), np.int64
        )  # hits and alone; payments, amounts
        self._weakened = dict[str, int]()
        self._scores = np.zeros((2, len(EDGES), 3), np.int64)
        self._rank, self._scored = Order(), Order()
        self._calendar = Calendar(capacity, offset_us)

    def take(self, facts: Facts, judged: Judged) -> None:
        """The next payments."""
        truth = np.where(facts.judged, np.where(facts.fraud, FRAUD, HONEST), OPEN)
        _count(self._outcomes, (judged.outcomes.astype(np.int64), truth), facts.amount)
        for level in range(1, len(OUTCOMES)):
            stopped = (judged.outcomes == level) & (truth == HONEST)
            self._disturbed[level].update(facts.customer[stopped].tolist())
        self._count_rules(facts, judged, truth)
        score = self._score(judged)
        rank = _rank(judged, score)
        self._rank.add(rank[facts.judged], facts.fraud[facts.judged])
        if score is not None:
            self._scored.add(score[facts.judged], facts.fraud[facts.judged])
            parts = np.searchsorted(EDGES, np.nan_to_num(score), "right") - 1
            _count(self._scores, (parts, truth), facts.amount)
        self._calendar.take(facts, judged.outcomes, rank)

    def _score(self, judged: Judged) -> NDArray[np.float64] | None:
        if self._force.champion is None:
            return None
        scores: NDArray[np.float64] = judged.values[:, self._columns["model_score"]]
        return scores

    def _count_rules(self, facts: Facts, judged: Judged, truth: Ints) -> None:
        rules, payments = np.nonzero(judged.hits)
        _count(self._rules[0], (rules, truth[payments]), facts.amount[payments])
        others = judged.counted.sum(axis=0)[payments] - judged.counted[rules, payments]
        alone = others == 0
        _count(self._rules[1], (rules[alone], truth[payments[alone]]), facts.amount[payments[alone]])
        for effects in judged.effects.values():
            for effect in effects:
                kind, _, rule = effect.partition(":")
                if kind == "weakened":
                    self._weakened[rule] = self._weakened.get(rule, 0) + 1

    def side(self) -> Side:
        """Everything counted, as a report holds it."""
        self._calendar.close()
        force, levels = self._force, self._levels()
        precision, perfect = self._calendar.card_precision()
        _, amounts = self._outcomes
        return Side(
            rules_sha256=hashlib.sha256(force.rules.source.encode()).hexdigest(),
            rules=len(force.rules.rules),
            model=force.champion.id if force.champion else None,
            anomaly=force.anomaly.id if force.anomaly else None,
            outcomes=tuple(self._outcome(n) for n in range(len(OUTCOMES))),
            levels=levels,
            rank=Ranking(*self._rank.figures(), precision, perfect),
            scored=Ranking(*self._scored.figures()) if force.champion else None,
            workload=self._calendar.workload(),
            saved=int(amounts[1:, FRAUD].sum()),
            lost=int(amounts[0, FRAUD]),
            disturbed=int(amounts[1:, HONEST].sum()),
            each_rule=tuple(
                self._rule(n) for n, rule in enumerate(force.rules.rules) if "login" not in rule.on
            ),
            scores=self._parts() if force.champion else (),
            days=self._calendar.shown(),
        )

    def _outcome(self, n: int) -> Outcome:
        counts, amounts = self._outcomes[:, n]
        return Outcome(
            OUTCOMES[n],
            int(counts.sum()),
            int(counts[FRAUD]),
            int(counts[HONEST]),
            int(counts[OPEN]),
            int(amounts[FRAUD]),
            int(amounts[HONEST]),
            len(self._disturbed[n]),
        )

    def _levels(self) -> tuple[Level, ...]:
        counts, amounts = self._outcomes
        all_frauds = int(counts[:, FRAUD].sum())
        found = []
        for n in range(1, len(OUTCOMES)):
            frauds, honest = int(counts[n:, FRAUD].sum()), int(counts[n:, HONEST].sum())
            found.append(
                Level(
                    OUTCOMES[n],
                    int(counts[n:].sum()),
                    share(frauds, frauds + honest),
                    share(frauds, all_frauds),
                    share(honest, frauds),
                    int(amounts[n:, FRAUD].sum()),
                    int(amounts[n:, HONEST].sum()),
                    len(set[int]().union(*self._disturbed[n:])),
                )
            )
        return tuple(found)

    def _rule(self, n: int) -> RuleLine:
        rule = self._force.rules.rules[n]
        (hits, amounts), (alone, alone_amounts) = self._rules[0][:, n], self._rules[1][:, n]
        frauds, honest = int(hits[FRAUD]), int(hits[HONEST])
        return RuleLine(
            rule=rule.name,
            version=rule.version,
            outcome=rule.outcome,
            shadow=rule.shadow,
            hits=int(hits.sum()),
            frauds=frauds,
            honest=honest,
            precision=share(frauds, frauds + honest),
            recall=share(frauds, int(self._outcomes[0][:, FRAUD].sum())),
            fraud_amount=int(amounts[FRAUD]),
            honest_amount=int(amounts[HONEST]),
            alone=int(alone[FRAUD]),
            alone_honest=int(alone[HONEST]),
            alone_amount=int(alone_amounts[FRAUD]),
            alone_honest_amount=int(alone_amounts[HONEST]),
            weakened=self._weakened.get(rule.name, 0),
        )

    def _parts(self) -> tuple[Part, ...]:
        counts, amounts = self._scores
        above, money = np.cumsum(counts[::-1], axis=0)[::-1], np.cumsum(amounts[::-1], axis=0)[::-1]
        found = []
        for n, low in enumerate(EDGES[:-1]):
            last = n == len(EDGES) - 2  # a score of exactly 1 stands in the part that ends there
            here = counts[n] + counts[n + 1] if last else counts[n]
            frauds, honest = int(above[n, FRAUD]), int(above[n, HONEST])
            found.append(
                Part(
                    low,
                    EDGES[n + 1],
                    int(here[FRAUD]),
                    int(here[HONEST]),
                    int(here[OPEN]),
                    share(frauds, frauds + honest),
                    share(frauds, int(above[0, FRAUD])),
                    share(honest, int(above[0, HONEST])),
                    int(money[n, FRAUD]),
                    int(money[n, HONEST]),
                )
            )
        return tuple(found)


def share(part: int, whole: int) -> float | None:
    """A part of a whole, None where there is no whole."""
    return round(part / whole, 6) if whole else None


def _count(into: Ints, places: tuple[Ints, Ints], amounts: Ints) -> None:
    """Add payments, and their amounts, to the cells they belong to."""
    np.add.at(into[0], places, 1)
    np.add.at(into[1], places, amounts)


def _rank(judged: Judged, score: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """The order of a list of alerts: the severer outcome first, then the higher score, or the more rules."""
    if score is None:
        hits = judged.counted.sum(axis=0)
        within = hits / (1.0 + hits)
    else:
        within = np.clip(np.nan_to_num(score), 0.0, 0.9999)
    rank: NDArray[np.float64] = judged.outcomes + within
    return rank

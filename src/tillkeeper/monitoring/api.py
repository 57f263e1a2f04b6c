"""What the api says of payments: its gauge's counts since it started."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tillkeeper.base import histogram
from tillkeeper.monitoring.sampler import Source
from tillkeeper.monitoring.types import Sample
from tillkeeper.payments import Gauge
from tillkeeper.store import Tx

_OUTCOMES: Final = ("succeeded", "waiting", "declined", "refused")
_CLASSES: Final = ("2xx", "4xx", "5xx")


class Payments:
    """Samples of a gauge; keeps what was decided before, for the share that got a decision."""

    def __init__(self, gauge: Gauge) -> None:
        self._tally = gauge.tally
        self._decided = 0
        self._undecided = 0
        self._counts: Counter[str] = Counter()

    def source(self) -> Source:
        """What can be sampled."""
        return Source("payments", self.sample)

    async def sample(self, _: Tx) -> Sequence[Sample]:
        """Everything since the start, and shares since the sample before."""
        tally = self._tally
        counts = tally.counts
        found = [Sample(f"payments.{name}", counts[name]) for name in ("asked", "failed", "turns")]
        found += [Sample("payments.outcomes", counts[name], {"outcome": name}) for name in _OUTCOMES]
        found += [Sample("api.answers", counts[f"answers_{each}"], {"class": each}) for each in _CLASSES]
        found += [
            Sample("risk.decisions", count, {"outcome": name}) for name, count in tally.decisions.items()
        ]
        found += [Sample("risk.rule_hits", count, {"rule": name}) for name, count in tally.rules.items()]
        found += _histogram("payments.latency", tally.latency, tally.latency_seconds)
        found += _histogram("payments.queueing", tally.queueing, tally.queueing_seconds)
        return found + self._shares()

    def _shares(self) -> list[Sample]:
        found, counts = [], self._tally.counts
        if turns := counts["turns"] - self._counts["turns"]:
            commands = counts["payments"] - self._counts["payments"]
            found.append(Sample("payments.turn_size", commands / turns))
        decided = sum(self._tally.decisions.values())
        undecided = counts["undecided"]
        new, missed = decided - self._decided, undecided - self._undecided
        if new + missed:
            found.append(Sample("risk.decision_rate", 100 * new / (new + missed)))
        self._decided, self._undecided, self._counts = decided, undecided, Counter(counts)
        return found


def _histogram(name: str, counts: Sequence[int], seconds: float) -> list[Sample]:
    """Cumulative counts at whole octaves, as Prometheus has them."""
    found, total, place = [], 0, 0
    for bound in histogram.OCTAVES:
        while place <= bound:
            total += counts[place]
            place += 1
        found.append(Sample(name, total, {"le": f"{histogram.BOUNDS[bound]:g}"}))
    found.append(Sample(name, sum(counts), {"le": "+Inf"}))
    return [*found, Sample(f"{name}_seconds", seconds)]

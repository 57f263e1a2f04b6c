"""Has a stream left its band? A test that may be asked after every slot for ever, with a stated rate of false alarms.

Shiryaev-Roberts on likelihood ratios, a mixture over several sizes of change (an e-detector: Shin, Ramdas, Rinaldo 2022).
After each slot R = (1 + R) · L, where L is how much likelier the slot is under the change than at the edge of the band. While
the stream is within its band the mean of L is at most 1 whatever happened before, so R less the number of slots is a
supermartingale, and the mean number of slots until R first passes a bound B is at least B: no peeking makes it less. B is
the wished time between two false alarms of one stream, in slots. Pure; natural logarithms.
"""

import math
from typing import Final

from tillkeeper.base import limits

FACTORS: Final = (1.2, 1.5, 2.0, 4.0, 10.0)
"""Sizes of change that the mixture looks for: small ones take many events, large ones few."""
STAKES: Final = (0.05, 0.2, 0.5)
"""Shares of the capital that are bet on the mean of a stream of money being higher than the edge of its band."""
BOUND: Final = limits.STREAM_FALSE_ALARM_DAYS * 86_400.0 / limits.STREAM_SLOT_SECONDS
"""Slots between two false alarms of one stream and one direction, at least, on average."""
_MOST: Final = BOUND * math.e**3
"""Evidence is counted up to here, so that it can also go down again when the trouble is over."""
_LEAST_SHARE: Final = 1e-6
_MOST_SHARE: Final = 1 - 1e-6


class Since:
    """What was counted since one component thinks that it began: the latest moment that explains the most."""

    __slots__ = ("at_us", "hits", "log", "trials")

    def __init__(self) -> None:
        self.at_us, self.trials, self.hits, self.log = 0, 0, 0, 0.0

    def step(self, likelihood: float, at_us: int, trials: int, hits: int) -> None:
        if self.log <= 0:
            self.at_us, self.trials, self.hits, self.log = at_us, 0, 0, 0.0
        self.trials += trials
        self.hits += hits
        self.log += math.log(max(likelihood, 1e-300))


class Evidence:
    """One direction of one stream: what speaks for its having left the band since any moment of the past."""

    __slots__ = ("_since", "_sums")

    def __init__(self, components: int) -> None:
        self._sums = [0.0] * components
        self._since = [Since() for _ in range(components)]

    def step(self, likelihoods: list[float], at_us: int, trials: int, hits: int) -> None:
        """A slot that began at `at_us`: by how much likelier it is under each change, and what was counted in it."""
        sums = self._sums
        for n, each in enumerate(likelihoods):
            sums[n] = min((1.0 + sums[n]) * each, _MOST)
            self._since[n].step(each, at_us, trials, hits)

    @property
    def since(self) -> Since:
        """When it began most likely, and what was counted since."""
        return max(self._since, key=lambda each: each.log)

    @property
    def log(self) -> float:
        """Natural logarithm of the mixture's evidence; -inf at first."""
        mean = sum(self._sums) / len(self._sums)
        return math.log(mean) if mean > 0 else -math.inf

    @property
    def found(self) -> bool:
        """Whether the stream has left its band."""
        return self.log >= LOG_BOUND

    @property
    def faded(self) -> bool:
        """Whether so little speaks for it that what was found is over."""
        return self.log < LOG_BOUND / 2


LOG_BOUND: Final = math.log(BOUND)


def share_up(trials: int, hits: int, edge: float) -> list[float]:
    """Likelihood ratios of a slot: the share of hits is higher than `edge` by each of FACTORS, against at most `edge`.

    They increase with the hits, so no share below the edge gives them a mean above 1.
    """
    edge = min(max(edge, _LEAST_SHARE), _MOST_SHARE)
    return [_ratio(trials, hits, edge, min(edge * factor, (1 + edge) / 2)) for factor in FACTORS]


def share_down(trials: int, hits: int, edge: float) -> list[float]:
    """The same for a share that is lower than `edge`."""
    edge = min(max(edge, _LEAST_SHARE), _MOST_SHARE)
    return [_ratio(trials, hits, edge, edge / factor) for factor in FACTORS]


def money_up(amount: int, edge: float) -> list[float]:
    """A bet for each of STAKES that the mean amount of a slot is above `edge`: fair or worse while it is not, whatever the
    distribution of amounts.
    """
    return [1.0 + stake * (amount / edge - 1.0) for stake in STAKES]


def _ratio(trials: int, hits: int, edge: float, other: float) -> float:
    log = hits * math.log(other / edge) + (trials - hits) * math.log((1 - other) / (1 - edge))
    return math.exp(min(max(log, -700.0), 700.0))

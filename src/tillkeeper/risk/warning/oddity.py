"""A device, an address, a network, a merchant at which odd things happen too often: the test that detectors share. Pure.

Each event at a key is odd or not. `usual` is how often it is odd anywhere, learnt as it goes. Per key runs Shiryaev-Roberts
on likelihood ratios of events; below the edge of the usual a key is reported once in KEY_EVENTS of its events at most, on
average (sequential.py says why).
"""

import math
from typing import Final

KEY_EVENTS: Final = 1e7
KEY_LOG_BOUND: Final = math.log(KEY_EVENTS)
_EDGE: Final = 2.0
"""The edge of the band, in units of the usual share."""
_MOST: Final = KEY_EVENTS * math.e**3
_START: Final = 1000.0
"""Events' worth of what is thought before anything is known."""
_FADES: Final = 100_000.0
"""Events that the usual share looks back on."""


class Usual:
    """How often an event is odd on the whole platform. `least`, `start`: of the share, and before anything is known."""

    __slots__ = ("_all", "_least", "_odd")

    def __init__(self, start: float, least: float) -> None:
        self._all, self._odd, self._least = _START, _START * start, least

    def learn(self, *, odd: bool, weight: float = 1.0) -> None:
        """One more event."""
        self._all += weight
        self._odd += weight * odd
        if self._all > _FADES:
            self._all /= 2
            self._odd /= 2

    @property
    def share(self) -> float:
        """Of odd events."""
        return max(self._odd / self._all, self._least)

    @property
    def edge(self) -> float:
        """The most that is still usual."""
        return min(_EDGE * self.share, 0.4)


class Suspicion:
    """What speaks against one key."""

    __slots__ = ("_sum", "begun_us")

    def __init__(self) -> None:
        self._sum = 0.0
        self.begun_us = 0

    def step(self, likelihood: float, at_us: int) -> bool:
        """An event by how much likelier it is in an attack; whether there is enough to report the key."""
        if self._sum < 1.0:
            self.begun_us = at_us
        self._sum = min((1.0 + self._sum) * likelihood, _MOST)
        return self.found

    @property
    def found(self) -> bool:
        """Whether there is enough to report."""
        return self._sum >= KEY_EVENTS

    @property
    def log(self) -> float:
        """Natural logarithm of the evidence."""
        return math.log(max(self._sum, 1e-300))


def likelihood(*, odd: bool, attack: float, edge: float) -> float:
    """How much likelier an event is in an attack, where so many are odd, than at the edge of the usual."""
    return attack / edge if odd else (1 - attack) / (1 - edge)

"""Circuit breakers: a rule that hits more often than it may is weakened, so that one mistake cannot stop the platform.

Counted in the order of arrival and by event time that never runs back, so a history gives the same whatever the size of
the crowds it comes in.
"""

from collections import deque
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.rules import CHALLENGE, SEVERITY, Breaker, Cap, Rule, RuleSet

SLOTS: Final = 10  # a share of the traffic is counted by tenths of the breaker's time


class Trip(msgspec.Struct, frozen=True):
    """A breaker that opened: `hits` within `within_us` were more than `at_most`, at an event time."""

    rule: str
    hits: int
    at_most: int
    within_us: int
    at_us: int


class Breakers:
    """How often each rule hit lately. `trips`: breakers that opened, until somebody takes them."""

    def __init__(self) -> None:
        self.trips: list[Trip] = []
        self._now = -(2**62)
        self._arrived = 0
        self._starts: deque[tuple[int, int]] = deque()
        self._capped: dict[str, deque[int]] = {}
        self._slots: dict[str, deque[list[int]]] = {}
        self._open: dict[str, int] = {}

    def weaken(
        self, rules: RuleSet, hits: NDArray[np.bool_], at_us: NDArray[np.int64]
    ) -> list[tuple[int, int]]:
        """Count a turn's hits (rules by rows, payments by columns); which of them, (rule, payment), are over their cap."""
        times = np.maximum(np.maximum.accumulate(at_us), self._now)
        self._traffic(times, rules.breaker)
        over = []
        for n in np.flatnonzero(hits.any(axis=1)).tolist():
            rule = rules.rules[n]
            if rule.at_most is None and SEVERITY[rule.outcome] <= CHALLENGE:
                continue
            for payment in np.flatnonzero(hits[n]).tolist():
                at = int(times[payment])
                if self._over(rule, rules.breaker, at, payment):
                    over.append((n, payment))
        self._arrived += len(times)
        self._now = int(times[-1])
        return over

    def open_at(self, now_us: int) -> dict[str, int]:
        """The rules whose breaker is open at an event time, and until when it stays so at least."""
        return {rule: end for rule, end in self._open.items() if end > now_us}

    def _over(self, rule: Rule, breaker: Breaker, at: int, place: int) -> bool:
        if rule.at_most is not None:
            within, found = rule.at_most.within_us, self._count_capped(rule.name, rule.at_most, at)
        else:
            within, found = breaker.within_us, self._count_share(rule.name, breaker, at, place)
        if found is None:
            return False
        if self._open.get(rule.name, -(2**62)) <= at:
            self.trips.append(Trip(rule.name, *found, within, at))
        self._open[rule.name] = at + within
        return True

    def _count_capped(self, rule: str, cap: Cap, at: int) -> tuple[int, int] | None:
        """(hits, cap) when this hit is one too many: the one `cap.count` before it is not old enough."""
        past = self._capped.get(rule)
        if past is None or past.maxlen != cap.count:
            past = self._capped[rule] = deque(past or (), cap.count)
        over = len(past) == cap.count and past[0] > at - cap.within_us
        past.append(at)
        return (cap.count + 1, cap.count) if over else None

    def _count_share(self, rule: str, breaker: Breaker, at: int, place: int) -> tuple[int, int] | None:
        """(hits, cap) when this hit makes it too large a share of the traffic."""
        width = _width(breaker)
        slots = self._slots.setdefault(rule, deque())
        if not slots or slots[-1][0] != at // width:
            slots.append([at // width, 0])
        slots[-1][1] += 1
        while slots[0][0] <= at // width - SLOTS:
            slots.popleft()
        count = sum(slot[1] for slot in slots)
        if count <= breaker.at_least:
            return None
        first = next(before for slot, before in self._starts if slot > at // width - SLOTS)
        most = max(breaker.at_least, int(breaker.share * (self._arrived + place + 1 - first)))
        return (count, most) if count > most else None

    def _traffic(self, times: NDArray[np.int64], breaker: Breaker) -> None:
        """Where slots of the traffic begin, as numbers of arrivals."""
        slots = times // _width(breaker)
        for begin in (0, *(np.flatnonzero(slots[1:] != slots[:-1]) + 1).tolist()):
            if not self._starts or self._starts[-1][0] != slots[begin]:
                self._starts.append((int(slots[begin]), self._arrived + begin))
        while self._starts[0][0] <= int(slots[0]) - SLOTS:
            self._starts.popleft()


def _width(breaker: Breaker) -> int:
    return max(breaker.within_us // SLOTS, 1)

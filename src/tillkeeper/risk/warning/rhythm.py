"""What a stream usually does at this hour of the week, and how wide the band around that is. Pure.

A week has 168 hours. What is known of an hour is little, so it leans on the same hour of all days, and that on everything.
Every week that passes, what an hour saw counts less.
"""

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from tillkeeper.base import limits

HOUR_US: Final = 3600 * 1_000_000
DAY_HOURS: Final = 24
WEEK_HOURS: Final = 7 * DAY_HOURS
WEEK_WEIGHT: Final = 0.8
"""What a week ago counts beside today."""
_LEAN: Final = 300.0
"""Trials' worth of what a narrower cell leans on the wider one."""
_NARROWEST: Final = 0.25
"""The band reaches at least so far to each side, as a share of the usual: less is nobody's business."""
_WIDEST: Final = 3.0
_DEVIATIONS: Final = 3.0
_REMEMBERED: Final = 8 * WEEK_HOURS
_CLIP: Final = 4.0
"""Hours of attacks in the past would make the band wide: a deviation counts as at most so many of the usual."""


class Band(msgspec.Struct, frozen=True):
    """The usual value per trial, and its edges."""

    usual: float
    low: float
    high: float


class Hour(msgspec.Struct, frozen=True):
    """What a stream counted in an hour of event time; `hour`: hours since 1970 UTC."""

    hour: int
    trials: int
    hits: int


class Rhythm:
    """The past of one stream. `money`: its hits are amounts, of which a few are large: a share has hits of one trial each."""

    def __init__(self, past: Iterable[Hour] = (), *, money: bool = False) -> None:
        self._money = money
        self._squares = 0.0
        self._cells = [[0.0, 0.0] for _ in range(WEEK_HOURS)]
        self._days = [[0.0, 0.0] for _ in range(DAY_HOURS)]
        self._all = [0.0, 0.0]
        self._week = -1
        self._strays: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self.trials = 0
        self.hours = 0
        self._foreseen: float | None = None
        self._now: list[int] | None = None
        self.past(past)

    def past(self, hours: Iterable[Hour]) -> None:
        """Take stored hours in, the oldest first."""
        for each in hours:
            self.add(each.hour * HOUR_US, each.trials, each.hits)

    def add(self, at_us: int, trials: int, hits: int) -> Hour | None:
        """Count something; the hour before, when one has ended."""
        hour = at_us // HOUR_US
        ended = None
        if self._now is None or hour > self._now[0]:
            ended = self._turn(hour)
        assert self._now is not None
        self._now[1] += trials
        self._now[2] += hits
        cell = self._cells[hour % WEEK_HOURS]
        for sums in (cell, self._days[hour % DAY_HOURS], self._all):
            sums[0] += trials
            sums[1] += hits
        self._squares += float(hits) * hits
        self.trials += trials
        return ended

    def _turn(self, hour: int) -> Hour | None:
        """A new hour begins: the one before is compared with what was expected of it; each week all count less."""
        before, self._now = self._now, [hour, 0, 0]
        if self._week < 0:
            self._week = hour // WEEK_HOURS
        for _ in range(min(hour // WEEK_HOURS - self._week, 52)):
            for sums in (*self._cells, *self._days, self._all):
                sums[0] *= WEEK_WEIGHT
                sums[1] *= WEEK_WEIGHT
            self._squares *= WEEK_WEIGHT**2
        self._week = max(self._week, hour // WEEK_HOURS)
        foreseen, self._foreseen = self._foreseen, self._expected(hour)[0] if self.known else None
        if before is None or before[1] == 0:
            return None
        self.hours += 1
        ended = Hour(*before)
        if foreseen is not None:
            self._note_stray(ended, foreseen)
        return ended

    def _note_stray(self, ended: Hour, usual: float) -> None:
        """How far an hour lay from what was foreseen, squared, and how far chance alone takes it, both relative to that."""
        stray = ended.hits / ended.trials / usual - 1.0
        self._strays.append((min(stray * stray, _CLIP), 1.0 / (usual * ended.trials)))

    def _expected(self, hour: int) -> tuple[float, float]:
        """The usual value per trial at an hour, and the trials that it rests on."""
        total, day, cell = self._all, self._days[hour % DAY_HOURS], self._cells[hour % WEEK_HOURS]
        mean = (total[1] + 0.5) / (total[0] + 1.0)
        for sums in (day, cell):
            mean = (sums[1] + _LEAN * mean) / (sums[0] + _LEAN)
        return mean, cell[0] + min(day[0], _LEAN) + min(total[0], _LEAN)

    @property
    def known(self) -> bool:
        """Whether enough was learnt to expect something."""
        return self.trials >= limits.STREAM_LEAST_TRIALS and self.hours >= limits.STREAM_LEAST_HOURS

    def band(self, at_us: int) -> Band | None:
        """The band at a moment; None while too little is known: a day at least, or its nights would be a surprise."""
        if not self.known:
            return None
        usual, resting = self._expected(at_us // HOUR_US)
        if self._money:
            if self._all[1] ** 2 <= limits.STREAM_LEAST_AMOUNTS * self._squares:
                return None
            strayed = self._squares / self._all[1] ** 2
        else:
            strayed = self._beyond_chance() + 1.0 / max(usual * resting, 1e-9)
        width = min(max(_DEVIATIONS * math.sqrt(strayed), _NARROWEST), _WIDEST)
        return Band(usual, usual / (1 + width), usual * (1 + width))

    def _beyond_chance(self) -> float:
        """How far hours lie from the usual more than chance takes them, squared and relative to the usual."""
        if not self._strays:
            return 0.0
        beyond = sum(stray - chance for stray, chance in self._strays) / len(self._strays)
        return max(0.0, beyond)

"""The floor: three hand rules that anybody can write down, scored beside the platform's own on the very same rows.

    2 * (amount > 220) + fraud rate of the payee, 7 days, known 7 days late + 0.2 * (amount > 2.5 * payer's 30-day mean)

Windows are (t - width, t] with the payment at hand inside, as in the Fraud Detection Handbook; all in integers.
"""

from array import array
from typing import Final, TypeVar

from tillkeeper.base import limits
from tillkeeper.base.money import exponent
from tillkeeper.replay.types import Record

ONE: Final = 10_000
"""Scores count in ten-thousandths."""

_CEILING_MAJOR: Final = 220
_DAY: Final = 86_400 * 1_000_000
_MONTH: Final = 30 * _DAY
_WEEK: Final = 7 * _DAY
_DELAY: Final = limits.REPLAY_LABEL_DELAY_SECONDS * 1_000_000
_TIDY: Final = 64
_Key = TypeVar("_Key", str, tuple[str, str])


class _Window:
    """Events of the last `width` before `delay` ago: how many, and the sum of their values.

    Eight bytes a time and a value, for there are many.
    """

    __slots__ = ("_entering", "_leaving", "_times", "_values", "count", "total")

    def __init__(self) -> None:
        self._times = array("q")
        self._values = array("q")
        self._entering = 0
        self._leaving = 0
        self.count = 0
        self.total = 0

    def take(self, at: int, value: int, delay: int, width: int) -> None:
        """Note an event and slide to its time. One that comes late counts as happening with the newest."""
        times, values = self._times, self._values
        if times and at < times[-1]:
            at = times[-1]
        times.append(at)
        values.append(value)
        first = place = self._entering
        edge = at - delay
        while place < len(times) and times[place] <= edge:
            self.total += values[place]
            place += 1
        self._entering = place
        self.count += place - first
        if times[self._leaving] <= edge - width:
            self._leave(edge - width)

    def _leave(self, edge: int) -> None:
        times, place = self._times, self._leaving
        while times[place] <= edge:  # the event at hand stays: it ends this
            self.total -= self._values[place]
            self.count -= 1
            place += 1
        if place > _TIDY and place * 2 > len(times):
            del times[:place], self._values[:place]
            self._entering -= place
            place = 0
        self._leaving = place


class HandRules:
    """Scores records in the order they come. What is remembered: 30 days of payers, 14 days of payees."""

    def __init__(self) -> None:
        self._payers: dict[tuple[str, str], _Window] = {}
        self._payees: dict[str, _Window] = {}

    def score(self, record: Record) -> int:
        """What the rules say of a record, counted in ten-thousandths: 0 to 32,000."""
        amount = record.amount
        habit = _of(self._payers, (record.payer, record.currency))
        habit.take(record.at_us, amount, 0, _MONTH)
        known = _of(self._payees, record.payee)
        known.take(record.at_us, record.fraud is True, _DELAY, _WEEK)
        score = (ONE * known.total + known.count // 2) // known.count if known.total else 0
        if amount > _CEILING_MAJOR * 10 ** exponent(record.currency):
            score += 2 * ONE
        if 2 * amount * habit.count > 5 * habit.total:
            score += ONE // 5
        return score


def _of(windows: dict[_Key, _Window], key: _Key) -> _Window:
    window = windows.get(key)
    if window is None:
        window = windows[key] = _Window()
    return window

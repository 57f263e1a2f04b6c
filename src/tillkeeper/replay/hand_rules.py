"""The floor: three hand rules that anybody can write down, scored beside the platform's own on the very same rows.

    2 * (amount > 220) + fraud rate of the payee, 7 days, known 7 days late + 0.2 * (amount > 2.5 * payer's 30-day mean)

Windows are (t - width, t] with the payment at hand inside, as in the Fraud Detection Handbook; all in integers.
"""

from array import array
from typing import Final

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


class _Window:
    """A sliding window's times and values, with their sum; eight bytes each, for there are many."""

    __slots__ = ("_head", "_times", "_values", "count", "total")

    def __init__(self) -> None:
        self._times = array("q")
        self._values = array("q")
        self._head = 0
        self.count = 0
        self.total = 0

    def add(self, at: int, value: int) -> None:
        # A late one counts as happening with the newest, so that times stay sorted.
        self._times.append(max(at, self._times[-1]) if self._times else at)
        self._values.append(value)
        self.count += 1
        self.total += value

    def pop_until(self, last: int) -> list[tuple[int, int]]:
        """Take out what happened up to and with `last`."""
        gone = []
        times, values, head = self._times, self._values, self._head
        while head < len(times) and times[head] <= last:
            gone.append((times[head], values[head]))
            self.total -= values[head]
            head += 1
        if gone:
            self.count -= len(gone)
            if head > _TIDY and head * 2 > len(times):
                del times[:head], values[:head]
                head = 0
            self._head = head
        return gone


class HandRules:
    """Scores records in the order they come. What is remembered: 30 days of payers, 14 days of payees."""

    def __init__(self) -> None:
        self._payers: dict[tuple[str, str], _Window] = {}
        self._payees: dict[str, tuple[_Window, _Window]] = {}

    def score(self, record: Record) -> int:
        """What the rules say of a record, counted in ten-thousandths: 0 to 32,000."""
        habit = self._habit(record)
        score = self._risk(record)
        if record.amount > _CEILING_MAJOR * 10 ** exponent(record.currency):
            score += 2 * ONE
        if 2 * record.amount * habit.count > 5 * habit.total:
            score += ONE // 5
        return score

    def _habit(self, record: Record) -> _Window:
        key = (record.payer, record.currency)
        window = self._payers.get(key)
        if window is None:
            window = self._payers[key] = _Window()
        window.pop_until(record.at_us - _MONTH)
        window.add(record.at_us, record.amount)
        return window

    def _risk(self, record: Record) -> int:
        windows = self._payees.get(record.payee)
        if windows is None:
            windows = self._payees[record.payee] = (_Window(), _Window())
        young, known = windows
        for at, fraud in young.pop_until(record.at_us - _DELAY):
            known.add(at, fraud)
        known.pop_until(record.at_us - _DELAY - _WEEK)
        young.add(record.at_us, record.fraud is True)
        return (ONE * known.total + known.count // 2) // known.count if known.count else 0

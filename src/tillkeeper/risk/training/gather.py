"""Payments for a training, out of a walk through history, in bounded memory."""

from typing import Final

import numpy as np

from tillkeeper.base import limits
from tillkeeper.risk.history import Seen
from tillkeeper.risk.training.types import Sample

_FEWEST: Final = 1000
_MOST_STRIDE: Final = 1 << 16


class Gathering:
    """Keeps payments that happened within [from_us, to_us) with what was known at `as_of_us`.

    A payment without a report is genuine once it is `delay_us` old; a younger one is not judged, so `to_us` is at most
    as_of - delay. Of too many, all frauds stay and every second genuine one goes, time and again; who stays stands for more.
    `blind`: every second payment goes, whatever it was.
    """

    def __init__(
        self, from_us: int, to_us: int, as_of_us: int, delay_us: int, width: int, *, blind: bool = False
    ) -> None:
        self._from, self._to = from_us, min(to_us, as_of_us - delay_us)
        self._as_of, self._delay = as_of_us, delay_us
        self._most = max(limits.TRAINING_CELLS // max(width, 1), _FEWEST)
        self._width, self._blind = width, blind
        self._parts: list[Sample] = []
        self._stride = 1
        self._seen = 0
        self._kept = 0
        self._numbers: dict[int, int] = {}

    def take(self, seen: Seen) -> None:
        """The next payments."""
        batch = seen.stretch.batch
        rows = (batch.at_us >= self._from) & (batch.at_us < self._to)
        if not rows.any():
            return
        fraud, since = seen.stretch.truth(self._as_of)
        known = np.where(fraud, np.maximum(since, batch.at_us), batch.at_us + self._delay)
        numbers = self._numbers
        cards = np.array([numbers.setdefault(one, len(numbers)) for one in batch.customers], np.int64)
        part = Sample(seen.values, fraud, known, batch.at_us, cards, np.ones(len(fraud))).where(rows)
        self._parts.append(self._thinned(part, self._stride, self._seen))
        self._seen += len(part.fraud)
        self._kept += len(self._parts[-1].fraud)
        while self._kept > self._most and self._stride < _MOST_STRIDE:
            self._halve()

    def sample(self) -> Sample:
        """All that was kept. Its parts go as they are put together: the values are not held twice."""
        whole = _empty(self._kept, self._width)
        parts, self._parts, begin = self._parts[::-1], [whole], 0
        while parts:
            part = parts.pop()
            for into, column in zip(whole, part, strict=True):
                into[begin : begin + len(column)] = column
            begin += len(part.fraud)
        return whole

    def _thinned(self, part: Sample, stride: int, first: int) -> Sample:
        """Of what may go every `stride`-th stays, and stands for the others; `first`: how many came before."""
        if stride == 1:
            return part
        dear = part.fraud & (not self._blind)
        kept = part.where(dear | ((np.cumsum(~dear) + first) % stride == 0))
        return kept._replace(weight=np.where(kept.fraud & (not self._blind), 1.0, float(self._stride)))

    def _halve(self) -> None:
        """Every second payment that may go goes, and the others stand for it too."""
        self._stride *= 2
        self._parts = [self._thinned(part, 2, 0) for part in self._parts]
        self._kept = sum(len(part.fraud) for part in self._parts)


def _empty(count: int, width: int) -> Sample:
    known, at, cards = (np.empty(count, np.int64) for _ in range(3))
    return Sample(np.empty((count, width)), np.empty(count, np.bool_), known, at, cards, np.empty(count))

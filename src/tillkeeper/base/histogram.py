"""Durations in buckets that grow by a quarter of an octave: a percentile read from them is within a tenth of the truth, and
the buckets of any two seconds add up.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

_FIRST: Final = 0.00025  # seconds: no durable answer is faster
_OCTAVES: Final = 17  # to 32.8 s: beyond that nobody waits
_PARTS: Final = 4  # of an octave

BOUNDS: Final = tuple(_FIRST * 2 ** (place / _PARTS) for place in range(_OCTAVES * _PARTS + 1))
"""The upper bound of each bucket but the last, in seconds; the last has none."""

BUCKETS: Final = len(BOUNDS) + 1

OCTAVES: Final = tuple(range(0, len(BOUNDS), _PARTS))
"""The places of the bounds that are whole octaves: enough for a picture."""


def bucket(seconds: float) -> int:
    """The place of the bucket that a duration falls in."""
    return bisect_left(BOUNDS, seconds)


def counted(durations: Iterable[float]) -> list[int]:
    """How many durations fall in each bucket; empty when there are none."""
    counts: list[int] = []
    for seconds in durations:
        counts = counts or [0] * BUCKETS
        counts[bisect_left(BOUNDS, seconds)] += 1
    return counts


def percentile(counts: Sequence[int], percent: float) -> float | None:
    """The duration that so many percent do not exceed, in seconds; None of nothing. Within a bucket it is drawn straight."""
    total = sum(counts)
    if not total:
        return None
    wanted, below = total * percent / 100, 0
    for place, count in enumerate(counts):
        if count and below + count >= wanted:
            low = BOUNDS[place - 1] if place else 0.0
            high = BOUNDS[min(place, len(BOUNDS) - 1)]
            return low + (high - low) * max(wanted - below, 0) / count
        below += count
    return BOUNDS[-1]

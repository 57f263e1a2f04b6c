"""How long answers took: a histogram of fixed size, exact to two percent, however long the city lives."""

from math import log

SMALLEST_SECONDS = 1e-5
STEP = 1.02
BUCKETS = 800  # 10 µs to 75 s
_LOG_STEP = log(STEP)


class Latencies:
    """Durations in seconds; those outside 10 µs to 75 s count as the nearest of the two."""

    def __init__(self) -> None:
        self.count = 0
        self._buckets = [0] * BUCKETS

    def add(self, seconds: float) -> None:
        """Count one duration."""
        place = int(log(max(seconds, SMALLEST_SECONDS) / SMALLEST_SECONDS) / _LOG_STEP)
        self._buckets[min(place, BUCKETS - 1)] += 1
        self.count += 1

    def percentile(self, percent: float) -> float:
        """The duration in seconds that `percent` of all do not exceed; 0.0 where there are none."""
        wanted = self.count * percent / 100
        seen = 0
        for place, count in enumerate(self._buckets):
            seen += count
            if count and seen >= wanted:
                return SMALLEST_SECONDS * STEP ** (place + 1)
        return 0.0

"""So many of something for each caller in a while."""

from tillkeeper.base import limits


class Quota:
    """Counts what callers take, in memory: a bucket each, of `most`, that fills up again within `seconds`."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._buckets: dict[object, tuple[float, float]] = {}

    def take(self, caller: object, now: float) -> bool:
        """Take one at a moment (monotonic seconds); False when there is none left."""
        left, at = self._buckets.pop(caller, (float(self._most), now))
        left = min(self._most, left + (now - at) * self._most / self._seconds)
        if len(self._buckets) >= limits.KEY_CACHE_SIZE:
            del self._buckets[next(iter(self._buckets))]  # the one who asked the longest ago
        self._buckets[caller] = (left - 1 if left >= 1 else left, now)
        return left >= 1

"""The same windows in plain Python (deques and counters), to measure what compiling them is worth. Not for use."""

from collections import Counter, defaultdict, deque

from tillkeeper.risk import Attempt
from tillkeeper.risk.features import KINDS, OTHERS, WINDOWS


class Window:
    """Count, sum, maximum and two distinct counts over the last `span` microseconds."""

    def __init__(self, span: int) -> None:
        self.span = span
        self.total = 0
        self.inside: deque[tuple[int, int, object, object]] = deque()
        self.falling: deque[tuple[int, int]] = deque()
        self.others: tuple[Counter[object], Counter[object]] = (Counter(), Counter())

    def add(
        self, t: int, amount: int, first: object, second: object
    ) -> tuple[int, int, float, int, int, int]:
        """Take one in, let the old go; what is inside now."""
        inside, falling, (firsts, seconds) = self.inside, self.falling, self.others
        while inside and inside[0][0] <= t - self.span:
            _, gone, one, other = inside.popleft()
            self.total -= gone
            firsts[one] -= 1
            if not firsts[one]:
                del firsts[one]
            seconds[other] -= 1
            if not seconds[other]:
                del seconds[other]
        while falling and falling[0][0] <= t - self.span:
            falling.popleft()
        while falling and falling[-1][1] <= amount:
            falling.pop()
        falling.append((t, amount))
        inside.append((t, amount, first, second))
        self.total += amount
        firsts[first] += 1
        seconds[second] += 1
        count = len(inside)
        return count, self.total, self.total / count, falling[0][1], len(firsts), len(seconds)


class PlainWindows:
    """All four kinds of profiles."""

    def __init__(self) -> None:
        self.profiles: dict[tuple[str, object], list[Window]] = defaultdict(
            lambda: [Window(span) for span in WINDOWS.values()]
        )

    def observe(self, attempt: Attempt) -> list[tuple[int, int, float, int, int, int]]:
        """What every window holds with this attempt."""
        row: list[tuple[int, int, float, int, int, int]] = []
        for kind in KINDS:
            first, second = (getattr(attempt, other[:-1]) for other in OTHERS[kind])
            profile = self.profiles[kind, getattr(attempt, kind)]
            row.extend([window.add(attempt.at_us, attempt.amount, first, second) for window in profile])
        return row

"""What happened of late, by key: bounded in time and in the number of keys. Pure."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from tillkeeper.base import limits

K = TypeVar("K")
V = TypeVar("V")


class Keyed(OrderedDict[K, V], Generic[K, V]):
    """Values of the keys that were used last; the others are forgotten."""

    def __init__(self, make: Callable[[], V], most: int = limits.WATCH_KEYS) -> None:
        super().__init__()
        self._make = make
        self._most = most

    def use(self, key: K) -> V:
        """The value of a key, made where there is none."""
        value = self.get(key)
        if value is None:
            value = self[key] = self._make()
            if len(self) > self._most:
                self.popitem(last=False)
        else:
            self.move_to_end(key)
        return value

    def known(self, key: K) -> V | None:
        """The value of a key, if there is one; asking for it is a use, too."""
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value


class Window(deque[tuple[int, V]], Generic[V]):
    """(time in microseconds, value) of a sliding window, at most `most` of them. Profile time never runs back."""

    def __init__(self, span_us: int, most: int) -> None:
        super().__init__(maxlen=most)
        self._span = span_us

    def add(self, at_us: int, value: V) -> None:
        """One more; what is older than the window is forgotten."""
        at_us = max(at_us, self[-1][0]) if self else at_us
        self.append((at_us, value))
        while self[0][0] <= at_us - self._span:
            self.popleft()

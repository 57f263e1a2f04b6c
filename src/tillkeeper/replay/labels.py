"""Frauds of a file that nobody knows of yet: each becomes known seven days after its payment, in event time."""

import heapq
from typing import Final
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.replay.types import Record
from tillkeeper.risk import Label

DELAY_US: Final = limits.REPLAY_LABEL_DELAY_SECONDS * 1_000_000
SOURCE: Final = "replay"


class Unknown:
    """Frauds by the moment they become known. `name` is the payment's id, or the row's key while no id is at hand."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, UUID | str]] = []

    def add(self, record: Record, name: UUID | str) -> None:
        """A fraud that was carried."""
        heapq.heappush(self._heap, (known_at(record), record.line, name))

    def due(self, until_us: int) -> list[Label]:
        """Take out those known up to and with a moment, the earliest first."""
        found = []
        while self._heap and self._heap[0][0] <= until_us:
            at, _, name = heapq.heappop(self._heap)
            if isinstance(name, UUID):
                found.append(Label(name, fraud=True, known_at_us=at, source=SOURCE))
        return found

    def names(self) -> list[str]:
        """The keys of rows whose payments' ids are not at hand."""
        return [name for _, _, name in self._heap if isinstance(name, str)]

    def identify(self, ids: dict[str, UUID]) -> None:
        """Put ids in the place of keys. A row that came to nothing has none, and a row that comes twice only one."""
        named: dict[UUID, tuple[int, int, UUID | str]] = {}
        for at, line, name in sorted(self._heap, key=lambda each: each[:2]):
            payment = ids.get(name) if isinstance(name, str) else name
            if payment is not None:
                named.setdefault(payment, (at, line, payment))
        self._heap = list(named.values())  # sorted, so it is a heap


def known_at(record: Record) -> int:
    """When the truth about a record becomes known, microseconds since 1970 UTC."""
    return record.at_us + DELAY_US

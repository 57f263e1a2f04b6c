"""How long statements take, by name, as this process saw it.

Statements go out in a pipeline: the time of one whose rows are fetched is that of the round trip which the fetch waits for,
with everything queued before it. One that is only queued (`run`) is counted, and its time falls to the next fetch or to the
end of the transaction.
"""

from typing import Final

import msgspec

from tillkeeper.base import histogram
from tillkeeper.store.sql import Statement

_MOST: Final = 2000  # statements are written by hand, but for a few composed from declarations


class Timing(msgspec.Struct):
    """One statement since the process started: calls, seconds in all, and how many calls in each bucket of time."""

    calls: int = 0
    seconds: float = 0.0
    counts: list[int] = msgspec.field(default_factory=lambda: [0] * histogram.BUCKETS)


class Timings:
    """The statements of one process."""

    def __init__(self) -> None:
        self._found: dict[Statement, Timing] = {}

    def note(self, statement: Statement, seconds: float) -> None:
        """A statement's rows were fetched, or it was queued."""
        timing = self._found.get(statement)
        if timing is None:
            if len(self._found) >= _MOST:
                return
            timing = self._found[statement] = Timing()
        timing.calls += 1
        timing.seconds += seconds
        timing.counts[histogram.bucket(seconds)] += 1

    def by_name(self) -> dict[str, Timing]:
        """Statements by name; those without one are left out."""
        return {name_of(statement): timing for statement, timing in self._found.items() if name_of(statement)}


def name_of(statement: Statement) -> str:
    """The name in a statement's leading comment, as in `payments.find_wallets`; empty without one."""
    if not statement.startswith(b"/* "):
        return ""
    return statement[3 : statement.index(b" */")].decode()

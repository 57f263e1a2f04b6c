"""Time's order in a file: one mistyped year must not make all that follows look late."""

from typing import Final

from tillkeeper.base import limits
from tillkeeper.replay.types import Bad, Record

_NEAR: Final = limits.REPLAY_LATENESS_SECONDS * 1_000_000
_PATIENCE: Final = 1000  # bad rows that a leap's confirmation is waited for
_DAY: Final = 86_400 * 1_000_000


class Order:
    """Lets records through in the file's order. One that leaps ahead waits until the next one confirms it."""

    def __init__(self) -> None:
        self._newest: int | None = None
        self._suspect: Record | None = None
        self._behind: list[Bad] = []  # bad rows that came after the suspect

    def admit(self, row: Record | Bad) -> list[Record | Bad]:
        """What is decided now that this row has come: records to carry, and rows to leave out, in the file's order."""
        suspect = self._suspect
        if suspect is None:
            return self._judge(row) if isinstance(row, Record) else [row]
        if isinstance(row, Bad):
            self._behind.append(row)
            return self._accept() if len(self._behind) >= _PATIENCE else []
        if row.at_us >= suspect.at_us - _NEAR:  # both say so
            return [*self._accept(), *self._judge(row)]
        decided: list[Record | Bad] = [_ahead(suspect, row), *self._behind]
        self._suspect, self._behind = None, []
        return [*decided, *self._judge(row)]

    def end(self) -> list[Record | Bad]:
        """What still waits: nothing contradicts it."""
        return self._accept() if self._suspect else []

    def _accept(self) -> list[Record | Bad]:
        assert self._suspect is not None
        self._newest = self._suspect.at_us
        decided: list[Record | Bad] = [self._suspect, *self._behind]
        self._suspect, self._behind = None, []
        return decided

    def _judge(self, record: Record) -> list[Record | Bad]:
        newest = self._newest
        if newest is None or record.at_us > newest + _NEAR:
            self._suspect = record
            return []
        if record.at_us < newest - _NEAR:
            days = (newest - record.at_us) / _DAY
            reason = f"goes back {days:,.1f} days behind the rows before; sort the file by time"
            return [Bad(record.line, "time", reason, record.values)]
        self._newest = max(newest, record.at_us)
        return [record]


def _ahead(suspect: Record, after: Record) -> Bad:
    days = (suspect.at_us - after.at_us) / _DAY
    return Bad(suspect.line, "time", f"leaps {days:,.1f} days ahead of the rows around it", suspect.values)

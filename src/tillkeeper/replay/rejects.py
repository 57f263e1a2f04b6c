"""The reject file: what was left out, with line and reason, and the row as it stood, but never what must not be stored."""

import csv
import io
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

from tillkeeper.base import limits
from tillkeeper.base.forbidden import forbidden, forbidden_name
from tillkeeper.replay.types import Bad

_HEADER: Final = ("line", "reason", "row")
_WITHHELD: Final = "(withheld: it holds what looks like a card number, security code or PIN)"


class Rejects:
    """Writes as it goes; there is no file without a bad row. `done`: lines up to here are in it from before.

    `columns`: the file's names for its columns; of one called "cvv" nothing is written.
    """

    def __init__(self, path: Path, done: int, columns: Sequence[str] = ()) -> None:
        self.path = path
        self._left_out = [at for at, name in enumerate(columns) if forbidden_name(name)]
        self._file: TextIO | None = None
        self._keep_until(done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, bad: Bad) -> None:
        """Note a row that is left out."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            self._file = self.path.open("a", encoding="utf-8", newline="")
            if new:
                _writer(self._file).writerow(_HEADER)
        reason = f"{bad.column}: {bad.reason}" if bad.column else bad.reason
        _writer(self._file).writerow((bad.line, reason, self._row_text(bad)))

    def flush(self) -> None:
        """What was added is in the file, also if this process is killed."""
        if self._file is not None:
            self._file.flush()

    def _row_text(self, bad: Bad) -> str:
        values = [
            "" if value is None or at in self._left_out else value for at, value in enumerate(bad.values)
        ]
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="").writerow(values)
        text = buffer.getvalue()
        # A row that was not understood may hold anything anywhere.
        broken = self._left_out and len(bad.values) <= max(self._left_out)
        if broken or forbidden(text) or any(map(forbidden, values)):
            return _WITHHELD
        return text[: limits.REPLAY_ROW_TEXT]

    def _keep_until(self, done: int) -> None:
        """Forget lines that an interrupted run noted after its last checkpoint: they come again."""
        if not self.path.exists():
            return
        kept = self.path.with_suffix(".kept")
        with (
            self.path.open(encoding="utf-8", newline="") as old,
            kept.open("w", encoding="utf-8", newline="") as new,
        ):
            rows = (row for row in csv.reader(old) if row and row[0].isdigit() and int(row[0]) <= done)
            first = next(rows, None)
            if first:
                _writer(new).writerows(chain([_HEADER, first], rows))
        if first:
            kept.replace(self.path)
        else:
            kept.unlink()
            self.path.unlink()


def _writer(file: TextIO) -> Any:
    return csv.writer(file, lineterminator="\n")

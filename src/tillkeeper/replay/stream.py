"""From a file to steps: rows parsed, put in time's order, scored by hand rules, and their payers' money thought of.

Nothing here asks the database, and the same file gives the same steps: that is how an interrupted replay finds its place.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from tillkeeper.base import limits
from tillkeeper.replay.files import Source
from tillkeeper.replay.hand_rules import HandRules
from tillkeeper.replay.mapping import Mapping
from tillkeeper.replay.order import Order
from tillkeeper.replay.records import Parser
from tillkeeper.replay.types import Bad, Record, ReplayError, Row, Step

Item = Step | Bad

_BRINGS: Final = 10
"""A payer who lacks money brings ten times what is due, or as much as was ever spent: few top-ups, small balances."""

_REMEDIES: Final = {
    "time": 'set time to "iso", "epoch", "epoch_ms" or a strptime format',
    "amount": 'is the right column named, and amounts = "major" (12.34) or "minor" (1234) right?',
    "currency": "write ISO 4217 codes, or give one currency for all rows",
    "fraud": "name the values that mean fraud with fraud_values",
}


class Stream:
    """The steps of a file. `limit`: read only so many rows."""

    def __init__(self, source: Source, mapping: Mapping, now: datetime, limit: int | None) -> None:
        self._source = source
        self._mapping = mapping
        self._parser = Parser(mapping, source.columns, now)
        self._order = Order()
        self._rules = HandRules()
        self._purses: dict[tuple[str, str], tuple[int, int]] = {}
        self._left = limit
        self.whole = True
        """Whether the file was read to its end, or the limit reached before."""

    def batches(self) -> Iterator[list[Item]]:
        """Steps and rows left out, in the file's order. Raises ReplayError when the mapping does not fit."""
        first: list[Item] | None = []
        for rows in self._source.batches():
            items = [self._step(each) for row in self._within_limit(rows) for each in self._admitted(row)]
            if first is not None:
                first += items
                if len(first) >= limits.REPLAY_PROBE_ROWS:
                    self._probe(first)
                    first = None
            yield items
            if not self.whole:
                break
        last = [self._step(each) for each in self._order.end()] if self.whole else []
        if first is not None:
            self._probe(first + last)
        yield last

    def _within_limit(self, rows: list[Row | Bad]) -> list[Row | Bad]:
        if self._left is None:
            return rows
        taken = rows[: self._left]
        self._left -= len(taken)
        self.whole = self._left > 0 or len(taken) == len(rows)
        return taken

    def _admitted(self, row: Row | Bad) -> list[Record | Bad]:
        record = self._parser.parse(row) if isinstance(row, Row) else row
        return self._order.admit(record)

    def _step(self, record: Record | Bad) -> Item:
        if isinstance(record, Bad):
            return record
        return Step(record, self._bring(record), self._rules.score(record))

    def _bring(self, record: Record) -> int:
        """What the payer must bring in first. As if every payment succeeded, so that nobody ever runs short."""
        purse = (record.payer, record.currency)
        left, spent = self._purses.get(purse, (0, 0))
        bring = 0
        if left < record.amount:
            bring = min(max(record.amount * _BRINGS, spent), limits.MAX_AMOUNT)
        self._purses[purse] = (left + bring - record.amount, spent + record.amount)
        return bring

    def _probe(self, items: list[Item]) -> None:
        bad = [item for item in items if isinstance(item, Bad)]
        if not items or len(bad) < len(items):
            return
        ((column, _), *_) = Counter(each.column for each in bad).most_common(1)
        example = next(each for each in bad if each.column == column)
        named = self._mapping.wanted.get(column)
        where = f"column {named!r} (columns.{column})" if named else "the row"
        raise ReplayError(
            f"none of the first {len(items):,} rows can be read; line {example.line}: {where} {example.reason}",
            f"{_REMEDIES.get(column, 'correct the file')}; the mapping is {self._mapping.name!r}",
        )

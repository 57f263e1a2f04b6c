"""Rows past their time are deleted: at night, a few at a time, resting in between. What is kept how long stands in columns.toml.

Which rows of a table are past their time says the statement of the table's name in its package's retention.sql: it names them
by the column `row` of the declaration, at most `limit` of them. Of the same row twice, or of two agents at once, nothing comes
but a statement that finds nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import first_id_at
from tillkeeper.store import Statement, Store, Tx, queries
from tillkeeper.vault.declarations import Catalogue
from tillkeeper.vault.walk import name_of, quoted

log = logging.getLogger(__name__)

FILE: Final = "retention.sql"
_sql = queries("tillkeeper.vault", "queries.sql")


class Swept(msgspec.Struct, frozen=True):
    """A table whose rows are kept so many days: how rows past their time are counted, and how they are deleted."""

    name: str
    days: int
    count: Statement
    delete: Statement


class Sweep(msgspec.Struct, frozen=True):
    """What became of a table: rows deleted in all, when last some were, when last none was left to delete."""

    name: str
    rows: int
    swept_at: datetime | None
    done_at: datetime | None


def swept_tables(tables: Catalogue) -> list[Swept]:
    """All tables whose rows the sweeper deletes. Raises AttributeError where a package has no statement for one."""
    return [
        _swept(name, table.row, table.days)
        for name, table in sorted(tables.items())
        if table.days is not None and not table.by
    ]


def _swept(name: str, row: str, days: int) -> Swept:
    schema, _, table = name.partition(".")
    which = getattr(queries(f"tillkeeper.{schema}", FILE), table).decode()
    delete = f"DELETE FROM {quoted(name)} WHERE {name_of(row)} IN ({which}) RETURNING 1"  # noqa: S608 - declared names
    return Swept(
        name,
        days,
        f"/* vault.count_rows */ SELECT count(*) FROM ({which}) AS past".encode(),  # noqa: S608
        f"/* vault.delete_rows */ WITH gone AS ({delete}) SELECT count(*) FROM gone".encode(),  # noqa: S608
    )


async def past(tx: Tx, each: Swept, clock: Clock) -> int:
    """How many rows of a table are past their time, counted up to SWEEP_COUNTED."""
    return int(await tx.value(each.count, _bounds(each, clock.now(), limits.SWEEP_COUNTED)))


async def sweep(store: Store, each: Swept, clock: Clock, actor: str) -> int:
    """Delete up to SWEEP_ROWS rows of a table that are past their time; how many. It is counted and on the audit trail in the
    same transaction.
    """
    async with store.tx(f"sweep {each.name}") as tx:
        now = await tx.value(
            _sql.sweep_as_of, {"name": each.name, "now": clock.now(), "days": limits.SWEEP_DAYS}
        )
        rows = int(await tx.value(each.delete, _bounds(each, now, limits.SWEEP_ROWS)))
        await tx.run(
            _sql.note_sweep, {"name": each.name, "rows": rows, "at": now, "done": rows < limits.SWEEP_ROWS}
        )
        if rows:
            said = f"{rows} rows older than {each.days} days"
            await audit.append(tx, actor, "rows.deleted", each.name, said)
    return rows


async def sweeps(tx: Tx) -> list[Sweep]:
    """What became of each table that was looked at so far."""
    return [Sweep(*row) for row in await tx.tuples(_sql.sweeps)]


class Sweeper:
    """The agent's loop. `zone`: the business time zone, whose nights are quiet."""

    def __init__(self, store: Store, tables: Sequence[Swept], clock: Clock, zone: str) -> None:
        self._store = store
        self._tables = tables
        self._clock = clock
        self._zone = ZoneInfo(zone)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._is_night():
                await self.night()
            await asyncio.sleep(limits.RETENTION_SECONDS)

    async def night(self) -> None:
        """Delete what is past its time until nothing is left or the night is over. A table that fails troubles no other: the
        next look tries it again.
        """
        for each in self._tables:
            try:
                await self._emptied(each)
            except Exception:
                log.exception("rows of %s past their time were not deleted", each.name)

    async def _emptied(self, each: Swept) -> None:
        rows = limits.SWEEP_ROWS
        while rows >= limits.SWEEP_ROWS and self._is_night():
            began = self._clock.monotonic()
            rows = await sweep(self._store, each, self._clock, "agent")
            await asyncio.sleep((self._clock.monotonic() - began) * limits.SWEEP_REST)

    def _is_night(self) -> bool:
        first, last = limits.SWEEP_HOURS
        return first <= self._clock.now().astimezone(self._zone).hour < last


def _bounds(each: Swept, now: datetime, limit: int) -> dict[str, object]:
    before = now - timedelta(days=each.days)
    return {"before": before, "first": first_id_at(before), "limit": limit}

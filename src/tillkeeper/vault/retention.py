"""What is past its retention is emptied: the cell and its tag. The row stays, and its other columns."""

from collections.abc import Iterator

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Statement, Store, Tx
from tillkeeper.vault.declarations import TAG_SUFFIX, Catalogue
from tillkeeper.vault.walk import name_of, quoted


class Overdue(msgspec.Struct, frozen=True):
    """A declared column with a retention. `column` is "schema.table.column"."""

    column: str
    retention: str
    count: Statement
    empty: Statement


def kept_for_a_time(tables: Catalogue) -> Iterator[Overdue]:
    """All sealed columns with a retention."""
    for name, table in sorted(tables.items()):
        for column, declared in table.sealed.items():
            if declared.retention is not None and table.since is not None:
                tagged = declared.search != "none"
                yield _overdue(name, column, table.since, declared.retention, tagged=tagged)


async def overdue(tx: Tx, tables: Catalogue, clock: Clock) -> dict[str, int]:
    """How many cells are past their retention, by column."""
    return {
        each.column: int(await tx.value(each.count, {"now": clock.now(), "retention": each.retention}))
        for each in kept_for_a_time(tables)
    }


async def empty_overdue(store: Store, tables: Catalogue, clock: Clock, actor: str) -> dict[str, int]:
    """Empty up to RETENTION_BATCH cells of each column; how many. The audit trail says of which columns."""
    emptied: dict[str, int] = {}
    for each in kept_for_a_time(tables):
        params = {"now": clock.now(), "retention": each.retention, "most": limits.RETENTION_BATCH}
        async with store.tx("vault retention") as tx:
            emptied[each.column] = len(await tx.tuples(each.empty, params))
            if emptied[each.column]:
                said = f"{emptied[each.column]} cells older than {each.retention}"
                await audit.append(tx, actor, "column.emptied", each.column, said)
    return emptied


def _overdue(table: str, column: str, since: str, retention: str, *, tagged: bool) -> Overdue:
    cell, tag = name_of(column), name_of(column + TAG_SUFFIX)
    past = f"{name_of(since)} < %(now)s::timestamptz - %(retention)s::interval AND octet_length({cell}) > 0"
    news = f"{cell} = ''" + (f", {tag} = NULL" if tagged else "")
    found = f"SELECT ctid FROM {quoted(table)} WHERE {past} LIMIT %(most)s FOR UPDATE SKIP LOCKED"  # noqa: S608 - declared names
    return Overdue(
        f"{table}.{column}",
        retention,
        f"/* vault.count_overdue */ SELECT count(*) FROM {quoted(table)} WHERE {past}".encode(),  # noqa: S608
        f"/* vault.empty_overdue */ UPDATE {quoted(table)} SET {news} WHERE ctid = ANY (ARRAY({found})) RETURNING 1".encode(),  # noqa: S608
    )

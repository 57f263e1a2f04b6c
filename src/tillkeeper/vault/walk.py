"""Statements over sealed columns, composed from their declarations: the walk that makes cells and tags anew, and the count.

A table is walked by ranges of its blocks, so it needs no particular key. A row that moves meanwhile to a block that is
behind is found by the count, and by the next walk.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from tillkeeper.store import Statement, Store, Tx, columns, queries
from tillkeeper.vault import cells
from tillkeeper.vault.declarations import TAG_SUFFIX, Catalogue, Table
from tillkeeper.vault.errors import CellError
from tillkeeper.vault.keyset import DATA, INDEX
from tillkeeper.vault.vault import Vault

_sql = queries(__package__, "queries.sql")

CELL_VERSION: Final = "substring({} FROM 3 FOR 4)"
TAG_VERSION: Final = "substring({} FROM 1 FOR 4)"

_Renew = Callable[[Any], tuple[bytes | None, ...]]
"""From a row's id, its customer's wrapped key and its cells to what is written."""


class Walk(msgspec.Struct, frozen=True):
    """A table to walk: in each row that holds something of an old version, all columns of the purpose are made anew."""

    table: str
    select: Statement
    update: Statement
    count: Statement
    renew: _Renew


class Step(msgspec.Struct):
    """What a range of blocks gave: rows made anew, and those that could not be (place and reason)."""

    done: int = 0
    stuck: list[str] = msgspec.field(default_factory=list)


def walks(vault: Vault, purpose: str) -> Iterator[Walk]:
    """A walk of every table that has something made with keys of the purpose, by name."""
    tables = vault.tables
    for name, table in sorted(tables.items()):
        if purpose == DATA and (table.sealed or table.key):
            yield _data_walk(vault, name, table, tables)
        elif purpose == INDEX and (searched := _searched(table)):
            yield _index_walk(vault, name, table, tables, searched)


async def step(store: Store, walk: Walk, first: int, end: int, version: int) -> Step:
    """Make the rows in the blocks [first, end) anew, in one transaction; rows that others hold are left for later."""
    found = Step()
    params = {"first": f"({first},0)", "end": f"({end},0)", "version": cells.version_bytes(version)}
    async with store.tx(f"vault walk {walk.table}") as tx:
        await tx.run(_sql.redo_after_a_crash)
        places, made = [], []
        for place, row, *rest in await tx.tuples(walk.select, params):
            try:
                made.append(walk.renew((row, *rest)))
                places.append(place)
            except CellError as error:
                found.stuck.append(f"{walk.table}, row {cells.row_text(row)}: {error}")
        if places:
            values = {f"c{n}": columns.blobs(column) for n, column in enumerate(zip(*made, strict=True))}
            await tx.run(walk.update, {"places": columns.texts(places), **values})
    found.done = len(places)
    return found


async def blocks(tx: Tx, table: str) -> int:
    """How many blocks a table has now."""
    statement = "SELECT pg_relation_size(%(table)s::regclass) / current_setting('block_size')::bigint"
    return int(await tx.value(statement.encode(), {"table": quoted(table)}))


async def old_rows(tx: Tx, walk: Walk, version: int) -> int:
    """How many rows of a table hold something of another version, in one snapshot."""
    return int(await tx.value(walk.count, {"version": cells.version_bytes(version)}))


async def by_version(tx: Tx, tables: Catalogue, purpose: str) -> dict[str, dict[int, int]]:
    """Cells (with the customers' keys) or tags by "schema.table.column" and key version."""
    found: dict[str, dict[int, int]] = {}
    for name, table in tables.items():
        names = _cells_of(table) if purpose == DATA else tuple(_searched(table))
        if not names:
            continue
        form = CELL_VERSION if purpose == DATA else TAG_VERSION
        suffix = "" if purpose == DATA else TAG_SUFFIX
        values = ", ".join(f"('{each}', {form.format(name_of(each + suffix))})" for each in names)
        statement = (
            f"/* vault.by_version */ SELECT v.name, v.version, count(*) FROM {quoted(name)} AS t"  # noqa: S608 - declared names
            f" CROSS JOIN LATERAL (VALUES {values}) AS v (name, version)"
            " WHERE octet_length(v.version) = 4 GROUP BY 1, 2 ORDER BY 1, 2"
        )
        found |= {f"{name}.{each}": {} for each in names}
        for column, version, count in await tx.tuples(statement.encode()):
            found[f"{name}.{column}"][int.from_bytes(version, "big")] = count
    return found


def quoted(table: str) -> str:
    """A table's name as SQL takes it."""
    return ".".join(map(name_of, table.split(".")))


def name_of(name: str) -> str:
    """A column's name as SQL takes it."""
    return f'"{name}"'  # of letters, digits and underscores: declarations.py saw to it


def _searched(table: Table) -> list[str]:
    return [name for name, column in table.sealed.items() if column.search != "none"]


def _cells_of(table: Table) -> tuple[str, ...]:
    return (*filter(None, [table.key]), *table.sealed)


def _data_walk(vault: Vault, name: str, table: Table, tables: Catalogue) -> Walk:
    written = _cells_of(table)
    fields = [vault.field(name, column) for column in table.sealed]
    own_key = table.key is not None

    def renew(found: Any) -> tuple[bytes | None, ...]:
        row, wrapped, *old = found
        if table.personal_key and not wrapped:  # erased: what nobody can open any more is emptied
            emptied = tuple(None if cell is None else b"" for cell in old)
            return (wrapped, *emptied) if own_key else emptied
        key = vault.subject_key(wrapped) if table.personal_key else None
        anew = [
            field.resealed(key, row, cell) if cell else cell for field, cell in zip(fields, old, strict=True)
        ]
        return (vault.rewrapped(key), *anew) if own_key and key else tuple(anew)

    old = " OR ".join(
        f"(octet_length(t.{name_of(each)}) > 0 AND {CELL_VERSION.format('t.' + name_of(each))} <> %(version)s)"
        for each in written
    )
    return _walk(name, table, tables, written, tuple(table.sealed), old, renew)


def _index_walk(vault: Vault, name: str, table: Table, tables: Catalogue, searched: list[str]) -> Walk:
    fields = [vault.field(name, column) for column in searched]

    def renew(found: Any) -> tuple[bytes | None, ...]:
        row, wrapped, *old = found
        if table.personal_key and not wrapped:
            return (None,) * len(fields)
        key = vault.subject_key(wrapped) if table.personal_key else None
        return tuple(
            field.tag(field.unseal(key, row, cell)) if cell else None
            for field, cell in zip(fields, old, strict=True)
        )

    # Where there is a value that somebody can open there must be a tag of the new version, and nowhere else any.
    alive = f"octet_length({_key_of(table, tables)[0]}) > 0 AND " if table.personal_key else ""
    old = " OR ".join(
        f"(CASE WHEN {alive}octet_length(t.{name_of(each)}) > 0"
        f" THEN {TAG_VERSION.format('t.' + name_of(each + TAG_SUFFIX))}"
        f" IS DISTINCT FROM %(version)s ELSE t.{name_of(each + TAG_SUFFIX)} IS NOT NULL END)"
        for each in searched
    )
    written = tuple(each + TAG_SUFFIX for each in searched)
    return _walk(name, table, tables, written, tuple(searched), old, renew)


def _walk(
    name: str,
    table: Table,
    tables: Catalogue,
    written: tuple[str, ...],
    read: tuple[str, ...],
    old: str,
    renew: _Renew,
) -> Walk:
    key, source = _key_of(table, tables)
    asked = ", ".join(f"t.{name_of(each)}" for each in read)
    here = f"{quoted(name)} AS t"
    news = ", ".join(f"{name_of(each)} = u.c{n}" for n, each in enumerate(written))
    arrays = ", ".join(["%(places)b::text[]", *(f"%(c{n})b::bytea[]" for n in range(len(written)))])
    names = ", ".join(["place", *(f"c{n}" for n in range(len(written)))])
    select = (
        f"/* vault.walk_select */ SELECT t.ctid::text, t.{name_of(table.row)}, {key}{', ' + asked if asked else ''}"  # noqa: S608 - declared names
        f" FROM {here}{source} WHERE t.ctid >= %(first)s::tid AND t.ctid < %(end)s::tid AND ({old})"
        " FOR UPDATE OF t SKIP LOCKED"
    )
    update = (
        f"/* vault.walk_update */ UPDATE {here} SET {news}"  # noqa: S608 - declared names
        f" FROM unnest({arrays}) AS u ({names}) WHERE t.ctid = u.place::tid"
    )
    count = f"/* vault.walk_count */ SELECT count(*) FROM {here}{source} WHERE {old}"  # noqa: S608 - declared names
    return Walk(name, select.encode(), update.encode(), count.encode(), renew)


def _key_of(table: Table, tables: Mapping[str, Table]) -> tuple[str, str]:
    """The customer's wrapped key as a column, and the join it needs."""
    if table.key is not None:
        return f"t.{name_of(table.key)}", ""
    if table.keeper is None or table.subject is None:
        return "NULL::bytea", ""
    keeper = tables[table.keeper]
    join = f" LEFT JOIN {quoted(table.keeper)} AS k ON k.{name_of(keeper.row)} = t.{name_of(table.subject)}"
    return f"k.{name_of(str(keeper.key))}", join

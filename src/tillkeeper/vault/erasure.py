"""What goes with a customer: every column that is declared `erase = "subject"`, and the customer's key."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from tillkeeper.store import Statement, Tx, columns
from tillkeeper.vault.declarations import TAG_SUFFIX, Catalogue, Table
from tillkeeper.vault.walk import name_of, quoted


async def erase_subjects(tx: Tx, tables: Catalogue, subjects: Sequence[UUID]) -> None:
    """Empty whatever is declared to go with these customers, in all tables; what was emptied before is left alone."""
    for statement in statements(tables):
        await tx.run(statement, {"subjects": columns.uuids(subjects)})


def statements(tables: Catalogue) -> Iterator[Statement]:
    """One for each table that has such columns."""
    for name, table in sorted(tables.items()):
        emptied = dict(_emptied(table))
        if emptied and table.subject is not None:
            sets = ", ".join(f"{name_of(column)} = {empty}" for column, empty in emptied.items())
            full = " OR ".join(
                f"{name_of(column)} IS NOT NULL"
                if empty == "NULL"
                else f"octet_length({name_of(column)}) > 0"
                for column, empty in emptied.items()
            )
            where = f"{name_of(table.subject)} = ANY (%(subjects)b::uuid[]) AND ({full})"
            label = f"/* vault.erase {name} */"
            yield f"{label} UPDATE {quoted(name)} SET {sets} WHERE {where}".encode()  # noqa: S608 - declared names


def _emptied(table: Table) -> Iterator[tuple[str, str]]:
    """Columns, and what stands in them afterwards: a cell that never was stays NULL."""
    for column, sealed in table.sealed.items():
        if sealed.erase == "subject":
            yield column, f"CASE WHEN {name_of(column)} IS NULL THEN NULL ELSE ''::bytea END"
            if sealed.search != "none":
                yield column + TAG_SUFFIX, "NULL"
    if table.key is not None:
        yield table.key, f"CASE WHEN {name_of(table.key)} IS NULL THEN NULL ELSE ''::bytea END"
    for column, unsealed in table.unsealed.items():
        if unsealed.erase == "subject":
            yield column, "NULL"

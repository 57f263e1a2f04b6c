"""What the packages declare is what the database has."""

import psycopg

from tillkeeper.vault import catalogue
from tillkeeper.vault.declarations import TAG_SUFFIX

Columns = dict[str, dict[str, tuple[str, bool]]]


async def columns_of(admin: psycopg.AsyncConnection) -> Columns:
    """Type, and whether it may be null, by table and column."""
    cursor = await admin.execute(
        "SELECT table_schema || '.' || table_name, column_name, data_type, is_nullable = 'YES'"
        " FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'"
    )
    found: Columns = {}
    for table, column, kind, nullable in await cursor.fetchall():
        found.setdefault(table, {})[column] = (kind, nullable)
    return found


async def test_every_column_is_declared_and_every_declaration_is_a_column(
    admin: psycopg.AsyncConnection,
) -> None:
    found = {table: sorted(columns) for table, columns in (await columns_of(admin)).items()}
    assert found == {name: sorted(table.columns()) for name, table in catalogue().items()}


async def test_sealed_columns_can_hold_cells_and_be_emptied(admin: psycopg.AsyncConnection) -> None:
    found = await columns_of(admin)
    for name, table in catalogue().items():
        cells = [*table.sealed, *filter(None, [table.key])]
        assert {found[name][cell][0] for cell in cells} <= {"bytea"}, name
        for column, declared in table.sealed.items():
            if declared.search != "none":
                assert found[name][column + TAG_SUFFIX] == ("bytea", True), f"{name}.{column}{TAG_SUFFIX}"

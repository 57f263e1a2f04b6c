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


async def test_the_application_may_renew_and_empty_what_is_sealed(admin: psycopg.AsyncConnection) -> None:
    """Rotation, retention and erasure are composed from the declarations: none of them may lack a right."""
    for name, table in catalogue().items():
        tags = [column + TAG_SUFFIX for column, declared in table.sealed.items() if declared.search != "none"]
        for column in [*table.sealed, *tags, *filter(None, [table.key])]:
            asked = "SELECT has_column_privilege('till_app', %s::regclass, %s, 'UPDATE')"
            row = await (await admin.execute(asked, (name, column))).fetchone()
            assert row == (True,), f"{name}.{column}"


async def test_a_sealed_row_has_a_name_of_its_own_in_a_table_that_can_be_walked(
    admin: psycopg.AsyncConnection,
) -> None:
    """Its id is bound to its cells; and walks go over blocks, which a partitioned table itself has none of."""
    asked = (
        "SELECT c.relkind, EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND a.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL"
        " AND i.indnkeyatts = 1 AND a.attname = %s) FROM pg_class c WHERE c.oid = %s::regclass"
    )
    for name, table in catalogue().items():
        if table.sealed:
            row = await (await admin.execute(asked, (table.row, name))).fetchone()
            assert row == ("r", True), name

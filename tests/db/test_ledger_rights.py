"""What the application's role may never do: the books, receipts and records are written once."""

import psycopg
import pytest

from tests.support.books import Books, account
from tillkeeper.store import Store

FORBIDDEN = [
    *(
        statement
        for table in ("ledger.transfers", "ledger.accounts", "ledger.holds")
        for statement in (
            f"UPDATE {table} SET id = id",
            f"DELETE FROM {table}",
            f"INSERT INTO {table} SELECT * FROM {table}",
            f"TRUNCATE {table}",
        )
    ),
    *(
        statement
        for table in (
            "risk.decisions",
            "risk.labels",
            "risk.rule_sets",
            "audit.events",
            "store.idempotency",
            "payments.moves",
            "payments.refunds",
        )
        for statement in (f"UPDATE {table} SET at = at", f"DELETE FROM {table}")
    ),
    "UPDATE store.outbox SET at = at",  # news past their time are deleted, never changed
    "DELETE FROM payments.payments",
    "DELETE FROM parties.customers",
    "UPDATE store.migrations SET name = name",
    "ALTER TABLE ledger.accounts DROP CONSTRAINT within_limit",
    "DROP FUNCTION ledger.limit_day_v1",
    "CREATE TABLE ledger.more (id uuid)",
]


async def test_what_the_application_may_never_do(store: Store) -> None:
    assert [statement for statement in FORBIDDEN if not await _refused(store, statement)] == []


async def _refused(store: Store, statement: str) -> bool:
    columns = {"risk.labels": "known_at", "risk.rule_sets": "loaded_at", "payments.refunds": "created_at"}
    for table, column in columns.items():
        statement = statement.replace(f"{table} SET at = at", f"{table} SET {column} = {column}")
    try:
        async with store.tx("forbidden") as tx:
            await tx.run(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


async def test_no_account_goes_below_its_limit_even_by_the_owners_hand(
    store: Store, admin: psycopg.AsyncConnection
) -> None:
    """The check in post_v1 is not the only one: the table itself refuses."""
    anna = account()
    await Books(store).open(anna)
    with pytest.raises(psycopg.errors.CheckViolation):
        await admin.execute("UPDATE ledger.accounts SET balance = -1")

"""What only the schema's owner may do when a database from before the vault is brought up to date."""

import asyncio
from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg import errors, sql

from tillkeeper.base import limits
from tillkeeper.store.database import StoreUnavailableError

# Answers to the opening of a customer, as they were kept before: the name stands in them.
_ANSWERS: Final = rb"""
UPDATE store.idempotency
SET body = convert_to(
    regexp_replace(convert_from(body, 'UTF8'), '"name":"(?:[^"\\]|\\.)*"', '"name":"***"'), 'UTF8'
)
WHERE substring(body FROM 1 FOR 11) = '{"id":"cus_'::bytea AND position('"name":"***"'::bytea IN body) = 0
"""
_SEEING: Final = (
    b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    b" AND age(backend_xmin) > age(%(now)s::xid)"
)
_PAUSE_SECONDS: Final = 0.5


async def unname_answers(admin_url: str) -> int:
    """Take customers' names out of the kept answers; from how many. Raises StoreUnavailableError."""
    async with await _connected(admin_url) as connection:
        return (await connection.execute(_ANSWERS)).rowcount


async def rewrite(admin_url: str, tables: Sequence[tuple[str, str]]) -> bool:
    """Write tables (schema, name) anew, so that nothing of what was overwritten stays in their files.

    They are locked meanwhile. False if that could not be: others held them for MIGRATION_LOCK_TIMEOUT_MS, or a transaction
    that may still see the old rows did not end. Raises StoreUnavailableError.
    """
    async with await _connected(admin_url) as connection:
        await connection.execute(f"SET lock_timeout = {limits.MIGRATION_LOCK_TIMEOUT_MS}".encode())
        if not await _unseen(connection):
            return False
        try:
            for schema, name in tables:
                table = sql.Identifier(schema, name)
                # The plain one takes the old rows out, whatever goes on in other databases; the full one's own look at the
                # world is as old as the oldest transaction of the whole server.
                await connection.execute(sql.SQL("VACUUM {}").format(table))
                await connection.execute(sql.SQL("VACUUM (FULL) {}").format(table))
        except errors.LockNotAvailable:
            return False
        return True


async def _unseen(connection: psycopg.AsyncConnection) -> bool:
    """Wait until nobody sees the database as it was before now: their rows would be written anew too."""
    row = await (await connection.execute("SELECT pg_current_xact_id()::text")).fetchone()
    assert row is not None
    for _ in range(limits.MIGRATION_TRIES):
        if (await (await connection.execute(_SEEING, {"now": row[0]})).fetchone()) == (0,):
            return True
        await asyncio.sleep(_PAUSE_SECONDS)
    return False


async def _connected(admin_url: str) -> psycopg.AsyncConnection:
    try:
        return await psycopg.AsyncConnection.connect(admin_url, autocommit=True)
    except psycopg.OperationalError as error:
        raise StoreUnavailableError(f"the database does not answer: {str(error).strip()}") from error

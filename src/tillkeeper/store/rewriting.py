"""What only the schema's owner may do when a database from before the vault is brought up to date."""

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


async def unname_answers(admin_url: str) -> int:
    """Take customers' names out of the kept answers; from how many. Raises StoreUnavailableError."""
    async with await _connected(admin_url) as connection:
        return (await connection.execute(_ANSWERS)).rowcount


async def rewrite(admin_url: str, tables: Sequence[tuple[str, str]]) -> bool:
    """Write tables (schema, name) anew, so that nothing of what was overwritten stays in their files.

    They are locked meanwhile; False if others held them for MIGRATION_LOCK_TIMEOUT_MS. Raises StoreUnavailableError.
    """
    async with await _connected(admin_url) as connection:
        await connection.execute(f"SET lock_timeout = {limits.MIGRATION_LOCK_TIMEOUT_MS}".encode())
        try:
            for table in tables:
                await connection.execute(sql.SQL("VACUUM (FULL) {}").format(sql.Identifier(*table)))
        except errors.LockNotAvailable:
            return False
        return True


async def _connected(admin_url: str) -> psycopg.AsyncConnection:
    try:
        return await psycopg.AsyncConnection.connect(admin_url, autocommit=True)
    except psycopg.OperationalError as error:
        raise StoreUnavailableError(f"the database does not answer: {str(error).strip()}") from error

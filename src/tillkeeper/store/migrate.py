"""Schema migrations: ordered SQL files, each in its own transaction, safe when two processes start together."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Final

import msgspec
import psycopg
from psycopg import errors

from tillkeeper.base import limits
from tillkeeper.store.database import StoreUnavailableError

_LOCK: Final = 0x7411_0001  # one key for all processes: migrations run one after the other

_BOOTSTRAP: Final = b"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'till_app') THEN CREATE ROLE till_app LOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- made by another database's migration just now
END $$;
CREATE SCHEMA IF NOT EXISTS store;
GRANT USAGE ON SCHEMA store TO till_app;
CREATE TABLE IF NOT EXISTS store.migrations (
    number integer PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL
);
GRANT SELECT ON store.migrations TO till_app;
"""


class MigrationError(Exception):
    """The schema cannot be brought up to date. The message says which file and what to do."""


class Migration(msgspec.Struct, frozen=True, order=True):
    """One file of `tillkeeper/migrations`, `0003_ledger.sql` being number 3."""

    number: int
    name: str
    sql: bytes

    @property
    def sha256(self) -> bytes:
        """The fingerprint that shows when an applied file was changed."""
        return hashlib.sha256(self.sql).digest()


def migrations() -> list[Migration]:
    """All files in order. Raises MigrationError when a number is missing or used twice."""
    found = sorted(
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_bytes())
        for file in files("tillkeeper.migrations").iterdir()
        if file.name.endswith(".sql")
    )
    if [each.number for each in found] != list(range(1, len(found) + 1)):
        raise MigrationError("the numbers of the migration files are not 1, 2, 3, …")
    return found


async def migrate(admin_url: str) -> list[str]:
    """Apply what is missing; the names of the files applied.

    Raises MigrationError when an applied file was changed, the database is newer than this program, or a lock
    could not be had in MIGRATION_TRIES tries; StoreUnavailableError when the database does not answer.
    """
    async with _connected(admin_url) as connection:
        await connection.execute(f"SET lock_timeout = {limits.MIGRATION_LOCK_TIMEOUT_MS}".encode())
        await _patiently(connection, f"SELECT pg_advisory_lock({_LOCK})".encode(), "another process migrates")
        await connection.execute(_BOOTSTRAP)
        cursor = await connection.execute("SELECT number, sha256 FROM store.migrations")
        applied = {number: bytes(sha256) for number, sha256 in await cursor.fetchall()}
        missing = _missing(migrations(), applied)
        for migration in missing:
            await _apply(connection, migration)
        return [migration.name for migration in missing]


async def pending(admin_url: str) -> list[str]:
    """The names of the files that `migrate` would apply. Raises as migrate does."""
    async with _connected(admin_url) as connection:
        try:
            cursor = await connection.execute("SELECT number, sha256 FROM store.migrations")
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return [migration.name for migration in migrations()]
        applied = {number: bytes(sha256) for number, sha256 in await cursor.fetchall()}
        return [migration.name for migration in _missing(migrations(), applied)]


@asynccontextmanager
async def _connected(admin_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    try:
        connection = await psycopg.AsyncConnection.connect(admin_url, autocommit=True)
    except psycopg.OperationalError as error:
        raise StoreUnavailableError(f"the database does not answer: {str(error).strip()}") from error
    async with connection:
        yield connection


def _missing(known: list[Migration], applied: dict[int, bytes]) -> list[Migration]:
    if strange := applied.keys() - {migration.number for migration in known}:
        raise MigrationError(
            f"the database has migration {max(strange)}, which this version does not know: run the newer version"
        )
    for migration in known:
        if migration.number in applied and applied[migration.number] != migration.sha256:
            raise MigrationError(
                f"{migration.name} was changed after it was applied: restore the file and add a new migration"
            )
    return [migration for migration in known if migration.number not in applied]


async def _apply(connection: psycopg.AsyncConnection, migration: Migration) -> None:
    for attempt in range(1, limits.MIGRATION_TRIES + 1):
        try:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO store.migrations VALUES (%s, %s, %s, clock_timestamp())",
                    (migration.number, migration.name, migration.sha256),
                )
        except errors.LockNotAvailable:
            if attempt == limits.MIGRATION_TRIES:
                raise MigrationError(
                    f"{migration.name}: a lock is held by others; end their transactions"
                ) from None
            await asyncio.sleep(attempt)  # the queue behind our lock request drains while we wait
        else:
            return


async def _patiently(connection: psycopg.AsyncConnection, statement: bytes, obstacle: str) -> None:
    for _ in range(limits.MIGRATION_TRIES):
        try:
            await connection.execute(statement)
        except errors.LockNotAvailable:
            continue
        else:
            return
    raise MigrationError(f"{obstacle} and does not end; look for it in pg_stat_activity")

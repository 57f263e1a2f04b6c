"""Migrations: once, in order, whole, by one process at a time, and never against a database they do not know."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql

from tests.support.postgres import Database, fresh_database
from tillkeeper.base import limits
from tillkeeper.store import MigrationError, migrate, pending
from tillkeeper.store.embedded import EmbeddedServer
from tillkeeper.store.migrate import _LOCK, Migration, migrations

ALL = [each.name for each in migrations()]


@pytest.fixture
async def empty(postgres: EmbeddedServer) -> AsyncIterator[Database]:
    """A database with nothing in it."""
    async with fresh_database(postgres, "template1") as made:
        yield made


@pytest.fixture
async def admin_of_empty(empty: Database) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(empty.admin_url, autocommit=True) as connection:
        yield connection


def with_more(monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """One more migration after those there are; its name."""
    more = Migration(len(ALL) + 1, f"{len(ALL) + 1:04d}_more", text.encode())
    known = [*migrations(), more]
    monkeypatch.setattr(sys.modules[migrate.__module__], "migrations", lambda: known)
    return more.name


async def _applied(admin: psycopg.AsyncConnection) -> list[str]:
    cursor = await admin.execute("SELECT name FROM store.migrations ORDER BY number")
    return [row[0] for row in await cursor.fetchall()]


async def test_the_first_time_all_the_second_time_none(empty: Database) -> None:
    assert await pending(empty.admin_url) == ALL
    assert await migrate(empty.admin_url) == ALL
    assert await migrate(empty.admin_url) == []
    assert await pending(empty.admin_url) == []


async def test_in_parallel_each_file_is_applied_once(
    empty: Database, admin_of_empty: psycopg.AsyncConnection
) -> None:
    done = await asyncio.gather(*(migrate(empty.admin_url) for _ in range(4)))
    assert sorted(done, key=len) == [[], [], [], ALL]
    assert await _applied(admin_of_empty) == ALL


async def test_two_fresh_processes_at_once(empty: Database, admin_of_empty: psycopg.AsyncConnection) -> None:
    script = "import asyncio, sys; from tillkeeper.store import migrate; print(len(asyncio.run(migrate(sys.argv[1]))))"
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, empty.admin_url, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = await asyncio.wait_for(asyncio.gather(*(each.communicate() for each in started)), 60)
    assert sorted(int(out) for out, _ in said) == [0, len(ALL)]
    assert await _applied(admin_of_empty) == ALL


async def test_an_applied_file_that_was_changed_is_refused(
    database: Database, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute("UPDATE store.migrations SET sha256 = 'x' WHERE name = '0003_ledger'")
    for door in (migrate, pending):
        with pytest.raises(MigrationError, match="0003_ledger"):
            await door(database.admin_url)


async def test_a_database_newer_than_the_program_is_refused(
    database: Database, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute("INSERT INTO store.migrations VALUES (9999, '9999_later', 'x', now())")
    for door in (migrate, pending):
        with pytest.raises(MigrationError, match="newer"):
            await door(database.admin_url)


async def test_what_is_missing_is_applied_later(
    database: Database, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = with_more(monkeypatch, "CREATE TABLE store.more (id integer)")
    assert await pending(database.admin_url) == [name]
    assert await migrate(database.admin_url) == [name]
    assert await _applied(admin) == [*ALL, name]


async def test_a_file_that_fails_leaves_nothing_of_itself(
    database: Database, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_more(monkeypatch, "CREATE TABLE store.more (id integer); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(database.admin_url)
    cursor = await admin.execute("SELECT to_regclass('store.more')")
    assert await cursor.fetchone() == (None,)
    assert await _applied(admin) == ALL


async def test_a_lock_held_by_others_is_waited_for_in_short_tries(
    database: Database, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting ALTER TABLE stops everybody behind it, so it gives way again and again."""
    monkeypatch.setattr(limits, "MIGRATION_LOCK_TIMEOUT_MS", 100)
    name = with_more(monkeypatch, "ALTER TABLE ledger.accounts ADD COLUMN more integer")
    async with admin.transaction():
        await admin.execute("SELECT count(*) FROM ledger.accounts")
        migrating = asyncio.create_task(migrate(database.admin_url))
        await asyncio.sleep(0.4)
        assert not migrating.done()
        async with await psycopg.AsyncConnection.connect(database.app_url) as other:
            await other.execute("SELECT count(*) FROM ledger.accounts")
    assert await migrating == [name]


@pytest.mark.parametrize("others", ["table", "migration"])
async def test_a_lock_that_never_comes_free_is_named(
    database: Database, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    monkeypatch.setattr(limits, "MIGRATION_LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr(limits, "MIGRATION_TRIES", 2)
    name = with_more(monkeypatch, "ALTER TABLE ledger.accounts ADD COLUMN more integer")
    async with admin.transaction():
        if others == "table":
            await admin.execute("SELECT count(*) FROM ledger.accounts")
        else:
            await admin.execute(sql.SQL("SELECT pg_advisory_lock({})").format(_LOCK))
        with pytest.raises(MigrationError, match=name if others == "table" else "another process migrates"):
            await migrate(database.admin_url)
    assert await _applied(admin) == ALL

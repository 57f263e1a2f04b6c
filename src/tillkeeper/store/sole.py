"""A job that only one process of an installation may do at a time, handed on the moment that process dies.

Unlike a lease it needs no time-out: an advisory lock lives as long as its connection, and a killed process's
connection ends at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg

from tillkeeper.base import limits

log = logging.getLogger(__name__)


class TakenError(Exception):
    """Another process does the job. The message names it and what to do."""


@asynccontextmanager
async def sole(url: str, name: str, lost: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do the job `name` for the block. Raises TakenError when another process does it.

    `lost` is called when, after a restart of the server, somebody else was faster.
    """
    connection = await _take(url, name)
    guard = asyncio.create_task(_guard(connection, url, name, lost))
    try:
        yield
    finally:
        guard.cancel()
        with suppress(asyncio.CancelledError):
            await guard
        await connection.close()  # a guard that was cancelled before its first step has closed nothing


async def _take(url: str, name: str) -> psycopg.AsyncConnection[Any]:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, application_name=f"till {name}")
    cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", (name,))
    row = await cursor.fetchone()
    if row is None or not row[0]:
        await connection.close()
        raise TakenError(
            f"another process has the job {name!r} (see application_name in pg_stat_activity); stop it"
        )
    return connection


async def _guard(
    connection: psycopg.AsyncConnection[Any], url: str, name: str, lost: Callable[[], Awaitable[None]]
) -> None:
    try:
        while True:
            await asyncio.sleep(limits.SOLE_CHECK_SECONDS)
            try:
                await connection.execute("SELECT 1")
            except psycopg.OperationalError:
                await connection.close()
                try:
                    connection = await _take(url, name)
                except TakenError:
                    log.error("%s: another process took the job while the database was away", name)  # noqa: TRY400
                    await lost()
                    return
                except psycopg.Error as error:
                    # Whatever it is (the server still starts, is full): without the guard we would work unguarded.
                    log.warning("%s: not taken again yet: %s", name, str(error).strip().partition("\n")[0])
    finally:
        await connection.close()

"""The one way to PostgreSQL: a pool, and `store.tx(name)` for every transaction."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import namedtuple_row, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tillkeeper.base import limits
from tillkeeper.store.columns import Column, ColumnDumper
from tillkeeper.store.sql import Statement
from tillkeeper.store.timings import Timings

log = logging.getLogger(__name__)

Params = Mapping[str, Any]
Connection = psycopg.AsyncConnection[Any]

APP_ROLE = "till_app"

# What a caller may simply try again: the server restarts, or two transactions met in an unlucky order.
_TRANSIENT = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    PoolTimeout,
)


class StoreUnavailableError(Exception):
    """PostgreSQL cannot be reached or is not ready. Nothing is known to have been done."""


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed if it is tried again after a pause."""
    if isinstance(error, (*_TRANSIENT, StoreUnavailableError)):
        return True
    # A connection that broke carries no SQLSTATE; an OperationalError with one (disk full, …) is an answer.
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and error.sqlstate is None


def took_too_long(error: BaseException) -> bool:
    """Whether a statement was ended by its time limit."""
    return isinstance(error, errors.QueryCanceled)


class Tx:
    """One transaction. Statements go out in a pipeline: `run` only queues, and the next `rows` (or the end of the
    transaction) carries everything in one round trip; that is where an error of an earlier `run` shows.
    """

    def __init__(self, connection: Connection, timings: Timings) -> None:
        self._connection = connection
        self._timings = timings

    async def run(self, statement: Statement, params: Params | None = None) -> None:
        """Queue a statement whose result is not needed."""
        await self._connection.execute(statement, params, binary=True)
        self._timings.note(statement, 0.0)

    async def rows(self, statement: Statement, params: Params | None = None) -> list[Any]:
        """All rows, as named tuples."""
        async with self._connection.cursor(binary=True, row_factory=namedtuple_row) as cursor:
            return await self._fetched(cursor, statement, params)

    async def tuples(self, statement: Statement, params: Params | None = None) -> list[tuple[Any, ...]]:
        """All rows, as bare tuples: for the hot path and for large results."""
        async with self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            return await self._fetched(cursor, statement, params)

    async def row(self, statement: Statement, params: Params | None = None) -> Any | None:
        """The first row, or None."""
        found = await self.rows(statement, params)
        return found[0] if found else None

    async def value(self, statement: Statement, params: Params | None = None) -> Any:
        """The first column of the first row, or None."""
        found = await self.tuples(statement, params)
        return found[0][0] if found else None

    async def send(self, statement: Statement, params: Params | None = None) -> "Sent":
        """Queue a statement and read its rows later, so that several reads share one round trip."""
        cursor = self._connection.cursor(binary=True, row_factory=tuple_row)
        await cursor.execute(statement, params)
        return Sent(cursor, statement, self._timings)

    async def _fetched(
        self, cursor: psycopg.AsyncCursor[Any], statement: Statement, params: Params | None
    ) -> list[Any]:
        began = monotonic()
        await cursor.execute(statement, params)
        found = await cursor.fetchall()
        self._timings.note(statement, monotonic() - began)
        return found


class Sent:
    """The rows of a statement that is under way."""

    def __init__(
        self, cursor: psycopg.AsyncCursor[tuple[Any, ...]], statement: Statement, timings: Timings
    ) -> None:
        self._cursor = cursor
        self._statement = statement
        self._timings = timings

    async def tuples(self) -> list[tuple[Any, ...]]:
        """All rows, once they are here."""
        began = monotonic()
        try:
            found = await self._cursor.fetchall()
            self._timings.note(self._statement, monotonic() - began)
            return found
        finally:
            await self._cursor.close()


class Store:
    """PostgreSQL as the platform uses it, under the role that owns nothing."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self.timings = Timings()
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, *, size: int = limits.POOL_MAX, by_index: bool = False
    ) -> AsyncIterator["Store"]:
        """A store on the database of the URL. Raises StoreUnavailableError when it does not answer in time.

        `by_index`: for a process that only looks single rows up. Its statements are planned once and kept; one planned
        while a table was small would read the whole table for minutes while it grows (measured: 8 ms a payment after
        60,000 in a new database), so scans and joins that read whole tables are ruled out.
        """
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min(limits.POOL_MIN, size),
            max_size=size,
            timeout=limits.POOL_WAIT_SECONDS,
            configure=_configure_by_index if by_index else _configure,
            kwargs={"autocommit": True, "prepare_threshold": 1},
            open=False,
        )
        try:
            await pool.open(wait=True, timeout=limits.POOL_WAIT_SECONDS)
        except PoolTimeout as error:
            await pool.close()
            raise StoreUnavailableError(f"the database does not answer: {error}") from error
        try:
            yield cls(pool)
        finally:
            await pool.close()

    @asynccontextmanager
    async def tx(self, name: str) -> AsyncIterator[Tx]:
        """A transaction: committed at the end of the block, rolled back when an exception leaves it.

        `name` says in the log what it was for, if the database fails it.
        """
        try:
            # BEGIN goes out with the first statement and COMMIT with the last. psycopg's transaction() would wait for
            # each of them alone. If a statement failed, PostgreSQL skips what follows it in the pipeline, COMMIT too,
            # the error is raised at the pipeline's end, and the pool's connection() rolls back.
            async with self._pool.connection() as connection, connection.pipeline():
                await connection.execute(b"BEGIN")
                yield Tx(connection, self.timings)
                await connection.execute(b"COMMIT")
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if is_transient(error):
                log.warning("transaction %s: %s", name, str(error).strip().partition("\n")[0])
                self._recheck()
            raise

    def _recheck(self) -> None:
        """Have the pool test its idle connections: after a server restart all of them are broken."""
        task = asyncio.ensure_future(self._pool.check())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _configure(connection: Connection) -> None:
    connection.adapters.register_dumper(Column, ColumnDumper)
    await connection.execute(
        f"SET ROLE {APP_ROLE}; SET statement_timeout = {limits.STATEMENT_TIMEOUT_MS};"
        f" SET lock_timeout = {limits.LOCK_TIMEOUT_MS}; SET timezone = 'UTC'".encode()
    )


async def _configure_by_index(connection: Connection) -> None:
    await _configure(connection)
    await connection.execute(
        b"SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
    )

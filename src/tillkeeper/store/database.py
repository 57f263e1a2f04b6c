"""The one way to PostgreSQL: a pool, and `store.tx(name)` for every transaction."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import psycopg
from psycopg import errors
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from tillkeeper.base import limits
from tillkeeper.store.columns import Column, ColumnDumper
from tillkeeper.store.sql import Statement
from tillkeeper.store.timings import Timings
from tillkeeper.store.wire import OUTDATED, Params, Pending, Wire

log = logging.getLogger(__name__)

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


class Connection(psycopg.AsyncConnection[Any]):
    """A connection of the pool, with its wire."""

    wire: Wire


class _Steadily(AttemptWithBackoff):
    """A lost connection is tried anew once a second, however long the database was away. The pool's own pauses double: after
    a minute away it would be back for most of another before anybody here noticed.
    """

    DELAY_BACKOFF = 1.0


class _Pool(AsyncConnectionPool[Connection]):
    """A pool that is whole again a second or so after the database is."""

    async def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:  # noqa: FBT001, FBT002 - psycopg_pool's own
        await super()._add_connection(attempt or _Steadily(timeout=self.reconnect_timeout), growing)


class StoreUnavailableError(Exception):
    """PostgreSQL cannot be reached or is not ready. Nothing is known to have been done."""


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed if it is tried again after a pause."""
    if isinstance(error, (*_TRANSIENT, StoreUnavailableError)):
        return True
    if isinstance(error, errors.FeatureNotSupported):  # the schema changed: it is prepared anew the next time
        return error.diag.source_function == OUTDATED
    # A connection that broke carries no SQLSTATE; an OperationalError with one (disk full, …) is an answer.
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and error.sqlstate is None


def took_too_long(error: BaseException) -> bool:
    """Whether a statement was ended by its time limit."""
    return isinstance(error, errors.QueryCanceled)


class Tx:
    """One transaction. Statements gather: `run` only queues, and the next `rows` (or the end of the transaction) carries
    everything in one round trip; that is where an error of an earlier `run` shows.
    """

    def __init__(self, wire: Wire, timings: Timings) -> None:
        self._wire = wire
        self._timings = timings

    async def run(self, statement: Statement, params: Params | None = None) -> None:
        """Queue a statement whose result is not needed."""
        pending = self._wire.send(statement, params)
        self._timings.note(statement, 0.0)
        if self._wire.is_full:
            await self._wire.read(pending)

    async def rows(self, statement: Statement, params: Params | None = None) -> list[Any]:
        """All rows, as named tuples."""
        return await (await self.send(statement, params)).rows()

    async def tuples(self, statement: Statement, params: Params | None = None) -> list[tuple[Any, ...]]:
        """All rows, as bare tuples: for the hot path and for large results."""
        return await (await self.send(statement, params)).tuples()

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
        return Sent(self._wire, self._wire.send(statement, params), statement, self._timings)


class Sent:
    """The rows of a statement that is under way."""

    def __init__(self, wire: Wire, pending: Pending, statement: Statement, timings: Timings) -> None:
        self._wire = wire
        self._pending = pending
        self._statement = statement
        self._timings = timings

    async def tuples(self) -> list[tuple[Any, ...]]:
        """All rows, once they are here."""
        return await self._read(tuple)

    async def rows(self) -> list[Any]:
        """All rows as named tuples, once they are here."""
        return await self._read(None)

    async def _read(self, make: Callable[..., Any] | None) -> list[Any]:
        began = monotonic()
        await self._wire.read(self._pending)
        found = self._wire.rows(self._pending, make)
        self._timings.note(self._statement, monotonic() - began)
        return found


class Store:
    """PostgreSQL as the platform uses it, under the role that owns nothing."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Connection],
        timings: Timings | None = None,
        wait_seconds: float | None = None,
    ) -> None:
        self.timings = timings or Timings()
        self._pool = pool
        self._wait_seconds = wait_seconds

    def hasty(self, wait_seconds: float) -> "Store":
        """The same connections, for somebody who would rather hear soon that there is none than wait for one."""
        return Store(self._pool, self.timings, wait_seconds)

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
        pool = _Pool(
            url,
            connection_class=Connection,
            min_size=min(limits.POOL_MIN, size),
            max_size=size,
            timeout=limits.POOL_WAIT_SECONDS,
            configure=_configure_by_index if by_index else _configure,
            kwargs={"autocommit": True},
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
            connection = await self._connection()
            try:
                # BEGIN goes out with the first statement and COMMIT with the last. If a statement failed, PostgreSQL skips
                # what follows it, COMMIT too.
                wire = connection.wire
                try:
                    wire.begin()
                    yield Tx(wire, self.timings)
                    await wire.commit()
                except BaseException as error:
                    await wire.roll_back(at_once=not isinstance(error, Exception))
                    raise
            finally:
                await self._pool.putconn(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if is_transient(error):
                log.warning("transaction %s: %s", name, str(error).strip().partition("\n")[0])
                self._recheck()
            raise

    async def _connection(self) -> Connection:
        """One of the pool's. What comes at the very moment its asker is cancelled goes back: asyncio.wait_for, by which the pool
        waits, swallows that cancellation (Python 3.11), and a loop that was told to end would go on for ever.
        """
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        connection = await self._pool.getconn(self._wait_seconds)
        if task.cancelling() > before:
            await self._pool.putconn(connection)
            raise asyncio.CancelledError
        return connection

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
    connection.wire = Wire(connection)


async def _configure_by_index(connection: Connection) -> None:
    await _configure(connection)
    await connection.execute(
        b"SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
    )

"""A connection as the schema's owner, for what the application's role may not do: maintenance changes the schema itself.

Each statement is a transaction of its own unless it stands in `together`. Statements are texts, since they are made of names
of tables that somebody chose; every name goes through `quoted`, every value is a parameter.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import errors, sql
from psycopg.rows import namedtuple_row

from tillkeeper.base import limits
from tillkeeper.store.database import StoreUnavailableError, is_transient
from tillkeeper.store.sql import queries
from tillkeeper.store.wire import Params

_sql = queries(__package__, "queries.sql")


class OwnerError(Exception):
    """PostgreSQL refused a statement. `code` is its SQLSTATE."""

    def __init__(self, said: str, code: str) -> None:
        super().__init__(said)
        self.code = code


class BusyError(OwnerError):
    """A lock could not be had in time, or two met in an unlucky order: the same statement may go through a little later."""


class SlowError(OwnerError):
    """A statement was ended by its time limit; nothing of it is left."""


def quoted(*names: str) -> str:
    """A name as SQL, with its schema before it if there is one."""
    return sql.Identifier(*names).as_string()


def quoted_text(text: str) -> str:
    """A text as SQL, for the few statements that take no parameters."""
    return sql.Literal(text).as_string()


class Owner:
    """Statements as the owner. Each raises BusyError, SlowError, OwnerError, StoreUnavailableError."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def run(self, statement: str | bytes, params: Params | None = None) -> int:
        """How many rows it touched. A text with a second statement in it is refused: binary results need the protocol
        that takes one at a time.
        """
        async with _told():
            return (await self._connection.execute(_bytes(statement), params, binary=True)).rowcount

    async def rows(self, statement: str | bytes, params: Params | None = None) -> list[Any]:
        """All rows, as named tuples."""
        async with _told(), self._connection.cursor(row_factory=namedtuple_row) as cursor:
            await cursor.execute(_bytes(statement), params)
            return await cursor.fetchall()

    async def row(self, statement: str | bytes, params: Params | None = None) -> Any | None:
        """The first row, or None."""
        found = await self.rows(statement, params)
        return found[0] if found else None

    async def value(self, statement: str | bytes, params: Params | None = None) -> Any:
        """The first column of the first row, or None."""
        found = await self.row(statement, params)
        return None if found is None else found[0]

    async def mark(self, mark: str, did: dict[str, Any]) -> None:
        """Say that a step's work is done, within the transaction that does it."""
        await self.run(_sql.set_mark, {"id": mark, "did": msgspec.json.encode(did).decode()})

    async def marked(self, mark: str) -> dict[str, Any] | None:
        """What the step of a mark did; None if it did not, or has been undone."""
        found = await self.value(_sql.mark, {"id": mark})
        return None if found is None else dict(msgspec.json.decode(found))

    async def unmark(self, mark: str) -> None:
        """Say that a step's work is undone, within the transaction that undoes it."""
        await self.run(_sql.take_mark_back, {"id": mark})

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """The statements of the block as one transaction."""
        async with _told(), self._connection.transaction():
            yield


@asynccontextmanager
async def as_owner(
    url: str, name: str, *, lock_ms: int = limits.STEP_LOCK_TIMEOUT_MS, statement_ms: int = 0
) -> AsyncIterator[Owner]:
    """The owner's connection for the block. `statement_ms` 0: a statement may take as long as it likes.

    `name` is seen in pg_stat_activity. When this process is killed, PostgreSQL notices within a second and ends what it
    was at, so that whoever comes next does not find it still working. Raises StoreUnavailableError.
    """
    options = (
        f"-c lock_timeout={lock_ms} -c statement_timeout={statement_ms} -c timezone=UTC"
        f" -c client_connection_check_interval={limits.STEP_CLIENT_CHECK_MS}"
    )
    try:
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, options=options, application_name=f"till {name}"
        )
    except psycopg.OperationalError as error:
        raise StoreUnavailableError(f"the database does not answer: {str(error).strip()}") from error
    try:
        yield Owner(connection)
    finally:
        await connection.close()


def _bytes(statement: str | bytes) -> bytes:
    return statement.encode() if isinstance(statement, str) else statement


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = str(error).strip().partition("\n")[0]
        if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected):
            raise BusyError(said, error.sqlstate or "") from error
        if isinstance(error, errors.QueryCanceled):
            raise SlowError(said, error.sqlstate or "") from error
        if is_transient(error):
            raise StoreUnavailableError(said) from error
        raise OwnerError(said, error.sqlstate or "") from error

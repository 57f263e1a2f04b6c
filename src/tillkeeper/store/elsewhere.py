"""Another PostgreSQL than the platform's own: one connection, made when it is needed and again after it broke."""

import asyncio
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from tillkeeper.base import limits
from tillkeeper.store.database import StoreUnavailableError
from tillkeeper.store.sql import Statement
from tillkeeper.store.transport import guarded
from tillkeeper.store.wire import Params

_OPTIONS: Final = (
    f"-c statement_timeout={limits.STATEMENT_TIMEOUT_MS} -c lock_timeout={limits.LOCK_TIMEOUT_MS}"
)


class Elsewhere:
    """A database by its address; a remote one must prove who it is. Every statement is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self._url = guarded(url)
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def name(self) -> str:
        """Host and database, without user and password."""
        found = conninfo_to_dict(self._url)
        return f"{found.get('host') or 'localhost'}/{found.get('dbname') or ''}"

    async def run(self, statement: Statement, params: Params | None = None) -> list[tuple[Any, ...]]:
        """A statement's rows; none for one that has no result. Raises StoreUnavailableError, also when it is refused."""
        async with self._one_at_a_time:
            try:
                return await self._run(statement, params)
            except psycopg.Error as error:
                await self._drop()
                raise StoreUnavailableError(str(error).strip().partition("\n")[0]) from error

    async def close(self) -> None:
        """Let the connection go."""
        async with self._one_at_a_time:
            await self._drop()

    async def _run(self, statement: Statement, params: Params | None) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                options=_OPTIONS,
                connect_timeout=int(limits.POOL_WAIT_SECONDS),
                row_factory=tuple_row,
            )
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(statement, params)
            return await cursor.fetchall() if cursor.description else []

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        self._connection = None

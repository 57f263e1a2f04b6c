"""The wire to PostgreSQL: what a transaction asks gathers, goes out in one piece when somebody waits, and is answered in order.

psycopg's own pipeline sends each statement by itself: a system call here, a wake-up there, and a cursor made for each.
Measured, a turn of one payment spent more on that than on the payment. So statements are queued in libpq, by psycopg's
own layer over it (psycopg.pq), which lets go by itself of what passes 64 kB; values and rows are psycopg's to convert.
"""

import asyncio
import logging
import re
from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer

from tillkeeper.store.sql import Statement

log = logging.getLogger(__name__)

Params = Mapping[str, Any]

# Who in PostgreSQL raises an error when a statement was prepared before the schema changed under it.
OUTDATED: Final = "RevalidateCachedQuery"

_PLACEHOLDER: Final = re.compile(rb"%\((\w+)\)([sbt])|%%")
_FORMATS: Final = {b"s": PyFormat.AUTO, b"t": PyFormat.TEXT, b"b": PyFormat.BINARY}
_FAILED: Final = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)
_PREPARED_MOST: Final = 100  # a connection; each costs PostgreSQL the memory of its plan
_UNREAD_MOST: Final = 200  # statements queued without reading: beyond that they would only take memory
_KNOWN_MOST: Final = 2000  # statements are written by hand, but for a few composed from declarations
_ROLL_BACK_SECONDS: Final = 5.0
_ASK_AGAIN_SECONDS: Final = 0.1


class Pending:
    """A statement under way, and its result once it is here. `key`: of the statement that this one prepares."""

    __slots__ = ("key", "result")

    def __init__(self, key: tuple[Any, ...] | None = None) -> None:
        self.key = key
        self.result: Any = None


class Wire:
    """One connection's statements. Not for use by several transactions at once: the pool sees to that."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._convert = Transformer.from_context(connection)
        self._prepared: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._named = 0
        self._pending: deque[Pending] = deque()
        self._reading = asyncio.Lock()

    def begin(self) -> None:
        """Begin a transaction."""
        self._pg.enter_pipeline_mode()
        self.send(b"BEGIN")

    def send(self, statement: Statement, params: Params | None = None) -> Pending:
        """Queue a statement: prepared when it is new to the connection, so that it is planned once."""
        text, names, formats = _parsed(statement) if params is not None else (statement, (), ())
        convert = self._convert
        values = convert.dump_sequence([params[name] for name in names], formats) if params else ()
        types = convert.types if params else ()
        name = self._name_of((text, types))
        self._pg.send_query_prepared(name, values, convert.formats if params else None, pq.Format.BINARY)
        return self._wait_for(Pending())

    def _name_of(self, key: tuple[Any, ...]) -> bytes:
        """The name that a statement is prepared under; preparing it is queued where it is not yet."""
        prepared = self._prepared
        name = prepared.get(key)
        if name is not None:
            prepared.move_to_end(key)
            return name
        while len(prepared) >= _PREPARED_MOST:
            _, oldest = prepared.popitem(last=False)
            self._send_once(b"DEALLOCATE " + oldest)
        self._named += 1
        name = prepared[key] = b"till_%d" % self._named
        self._pg.send_prepare(name, key[0], key[1])
        self._wait_for(Pending(key))
        return name

    def _send_once(self, statement: bytes) -> None:
        """Queue a statement without preparing it."""
        self._pg.send_query_params(statement, None)
        self._wait_for(Pending())

    def _wait_for(self, pending: Pending) -> Pending:
        self._pending.append(pending)
        return pending

    @property
    def is_full(self) -> bool:
        """Whether so much is unread that the next step should be to read it."""
        return len(self._pending) >= _UNREAD_MOST

    async def read(self, pending: Pending) -> None:
        """Have everything sent, and wait until this one is answered. Raises the first error on the way there."""
        async with self._reading:
            if pending.result is None:
                self._pg.send_flush_request()
                await self._flush()
            while pending.result is None:
                if (error := _error_in(await self._next())) is not None:
                    raise error
        if (error := _error_in(pending.result)) is not None:  # met by somebody who read beyond it
            raise error

    def rows(self, pending: Pending, make: Callable[..., Any] | None = None) -> list[Any]:
        """The rows of an answered statement: named tuples, or what `make` makes of each."""
        result = pending.result
        self._convert.set_pgresult(result)
        return self._convert.load_rows(0, result.ntuples, make or _named(result))

    async def commit(self) -> None:
        """Commit, and wait until it is durable. Raises the first error of anything that was not read."""
        self.send(b"COMMIT")
        self._sync()
        if (error := await self._answered()) is not None:
            raise error
        self._pg.exit_pipeline_mode()

    async def roll_back(self, *, at_once: bool) -> None:
        """Leave nothing of the transaction. `at_once`: what PostgreSQL is busy with is ended there, too.

        A connection that does not obey is closed, which ends its transaction as well; so is one whose caller is told again
        to leave meanwhile: libpq takes a transaction of which all is read for none, and the pool would hand it on, open.
        """
        rests = False
        try:
            async with asyncio.timeout(_ROLL_BACK_SECONDS):
                self._sync()  # after an error PostgreSQL skips all that comes before this
                while at_once and self._pending:
                    await self._connection.cancel_safe(timeout=_ROLL_BACK_SECONDS)
                    with suppress(
                        TimeoutError
                    ):  # asked again: it may not have begun with what it was just sent
                        async with asyncio.timeout(_ASK_AGAIN_SECONDS):
                            await self._answered()
                await self._answered()
                self._send_once(b"ROLLBACK")  # making room to prepare it is not allowed after an error
                self._sync()
                if (error := await self._answered()) is not None:
                    raise error
                self._pg.exit_pipeline_mode()
                rests = True
        except (TimeoutError, psycopg.Error) as error:
            log.info("a connection is closed, as its transaction could not be rolled back: %s", error)
        finally:
            if not rests:
                await self._connection.close()

    def _sync(self) -> None:
        """End what belongs together: an error before this ends nothing that comes after it."""
        self._pg.pipeline_sync()
        self._wait_for(Pending())

    async def _answered(self) -> psycopg.Error | None:
        """Have everything sent and answered; the first error of it. Raises when the connection is lost."""
        error = None
        async with self._reading:
            await self._flush()
            while self._pending:
                found = _error_in(await self._next())
                error = error or found
        return error

    async def _flush(self) -> None:
        while self._pg.flush():
            await self._ready(writing=True)
            self._pg.consume_input()  # or both sides would wait for the other to read

    async def _next(self) -> Any:
        """The result of the statement that has waited longest. Raises when there is none: the connection is of no use then."""
        result = await self._result()
        if result is None:
            raise psycopg.OperationalError("the connection is lost")
        if result.status != pq.ExecStatus.PIPELINE_SYNC:
            await self._result()  # none: the end of this statement's results
        pending = self._pending.popleft()
        pending.result = result
        if result.status in _FAILED:
            if result.error_field(pq.DiagnosticField.SOURCE_FUNCTION) == OUTDATED.encode():
                self._prepared.clear()  # the schema has changed: others may be as old
            elif pending.key is not None:
                self._prepared.pop(pending.key, None)
        return result

    async def _result(self) -> Any:
        while self._pg.is_busy():
            await self._ready()
            self._pg.consume_input()
        return self._pg.get_result()

    async def _ready(self, *, writing: bool = False) -> None:
        """Wait until PostgreSQL has said something, or can take something."""
        loop = asyncio.get_running_loop()
        socket, ready = self._pg.socket, loop.create_future()
        loop.add_reader(socket, _tell, ready)
        if writing:
            loop.add_writer(socket, _tell, ready)
        try:
            await ready
        finally:
            loop.remove_reader(socket)
            if writing:
                loop.remove_writer(socket)


def _tell(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _error_in(result: Any) -> psycopg.Error | None:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        if not result.error_field(pq.DiagnosticField.SQLSTATE):  # libpq's own word: PostgreSQL's have a code
            return psycopg.OperationalError(result.get_error_message())
        return errors.error_from_result(result)
    if result.status == pq.ExecStatus.PIPELINE_ABORTED:
        return errors.PipelineAborted("a statement before this one failed")
    return None


@lru_cache(maxsize=_KNOWN_MOST)
def _parsed(statement: Statement) -> tuple[bytes, tuple[str, ...], tuple[PyFormat, ...]]:
    """A statement with $1 in place of %(name)s, the names in that order, and the formats asked for."""
    formats: dict[bytes, PyFormat] = {}

    def numbered(found: re.Match[bytes]) -> bytes:
        name = found[1]
        if name is None:
            return b"%"
        formats.setdefault(name, _FORMATS[found[2]])
        return b"$%d" % (list(formats).index(name) + 1)

    text = _PLACEHOLDER.sub(numbered, statement)
    return text, tuple(name.decode() for name in formats), tuple(formats.values())


def _named(result: Any) -> Callable[..., Any]:
    names = tuple(result.fname(column).decode() for column in range(result.nfields))
    make: Callable[..., Any] = _row_type(names)._make
    return make


@lru_cache(maxsize=_KNOWN_MOST)
def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names, rename=True)  # noqa: PYI024 - its fields are known only now

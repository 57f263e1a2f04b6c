"""A small HTTP/1.1 client: some kept-alive connections to one server, no redirects, no TLS, little work per request.

A general client costs a demo at 100 payments/s a good part of a core that the platform under demonstration needs.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import httptools
import msgspec


class Answer(msgspec.Struct, frozen=True):
    """A whole response. `retry_after` is the header's seconds, 0 where there is none."""

    status: int
    body: bytes
    retry_after: int = 0


class Broken(ConnectionError):  # noqa: N818 - the state of the connection
    """The connection ended before the whole answer was there; whether the request had an effect is unknown."""


class Wire:
    """At most `connections` requests are on their way at one time; others wait their turn."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self.host, self.port = host, port
        self._head = f"host: [{host}]:{port}\r\n" if ":" in host else f"host: {host}:{port}\r\n"
        self._room = asyncio.Semaphore(connections)
        self._idle: deque[_Connection] = deque()

    async def request(self, method: str, path: str, headers: str, body: bytes, seconds: float) -> Answer:
        """Send one request and wait for its answer, at most `seconds` from when its turn has come.

        `headers` are whole lines, each with its line end. Raises Broken, OSError or TimeoutError.
        """
        head = f"{method} {path} HTTP/1.1\r\n{self._head}{headers}content-length: {len(body)}\r\n\r\n"
        async with self._room:
            async with asyncio.timeout(seconds):
                connection = self._idle.pop() if self._idle else await self._connect()
                try:
                    answer = await connection.exchange(head.encode("latin-1") + body)
                except BaseException:
                    connection.close()
                    raise
            if connection.open:
                self._idle.append(connection)
            return answer

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self._forget), self.host, self.port)
        return connection

    def _forget(self, connection: "_Connection") -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Hang up every idle connection."""
        while self._idle:
            self._idle.pop().close()


class _Connection(asyncio.Protocol):
    """One connection that carries one exchange at a time."""

    def __init__(self, forget: Callable[["_Connection"], None]) -> None:
        self.open = True
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._retry_after = 0

    async def exchange(self, request: bytes) -> Answer:
        """Write the request, wait for the whole answer."""
        if self._transport is None or not self.open:
            raise Broken("closed by the server while it was idle")
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Broken(f"not HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._forget(self)
        self._fail(Broken(str(exc) if exc else "closed before the answer was complete"))

    # -- what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after" and value.isdigit():
            self._retry_after = int(value)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), b"".join(self._body), self._retry_after)
        self.open = self.open and self._parser.should_keep_alive()
        self._body, self._retry_after = [], 0
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

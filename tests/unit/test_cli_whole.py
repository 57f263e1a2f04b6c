"""An answer leaves in one piece, and nothing of it is lost when the connection ends."""

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tillkeeper.faces.cli.whole import WholeAnswers

REQUEST = b"GET / HTTP/1.1\r\nhost: till\r\n\r\n"


class Transport:
    """Notes what is written in which pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return {"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)}.get(name)

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.pieces.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


async def answer(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"paid", "more_body": False})


@pytest.fixture
async def protocol() -> WholeAnswers:
    config = uvicorn.Config(answer, loop="none", http=WholeAnswers, log_config=None)
    config.load()
    return WholeAnswers(config, ServerState(), {}, asyncio.get_running_loop())


async def some_passes() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_head_and_body_leave_together(protocol: WholeAnswers) -> None:
    transport: Any = Transport()
    protocol.connection_made(transport)
    for count in (1, 2):
        protocol.data_received(REQUEST)
        await some_passes()
        assert len(transport.pieces) == count
        assert transport.pieces[-1].startswith(b"HTTP/1.1 200 OK\r\n")
        assert transport.pieces[-1].endswith(b"\r\n\r\npaid")


async def test_closing_lets_go_first(protocol: WholeAnswers) -> None:
    transport: Any = Transport()
    protocol.connection_made(transport)
    protocol.data_received(REQUEST.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    await some_passes()
    assert transport.closed
    assert b"".join(transport.pieces).endswith(b"paid")


async def test_a_lost_connection_is_not_written_to(protocol: WholeAnswers) -> None:
    transport: Any = Transport()
    protocol.connection_made(transport)
    protocol.transport.write(b"too late")
    transport.closed = True
    await some_passes()
    assert transport.pieces == []

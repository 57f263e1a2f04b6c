"""The real API behind a real uvicorn on loopback, in a thread of its own: for callers that speak HTTP and block."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from tillkeeper import wiring
from tillkeeper.base import limits
from tillkeeper.base.settings import Settings

_READY_SECONDS = 300


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the signals are pytest's


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The API as wiring builds it; its address."""
    ready, stop = threading.Event(), threading.Event()
    failed: list[BaseException] = []
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))

    async def serve() -> None:
        async with wiring.api(settings) as application:
            config = uvicorn.Config(
                application,
                loop="none",
                http="httptools",
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=limits.SERVE_DRAIN_SECONDS,
            )
            server = _Server(config)
            running = asyncio.ensure_future(server.serve(sockets=[bound]))
            while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has a flag, no event
                await asyncio.sleep(0.01)
            ready.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await running

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - told to the test, in its own thread
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(_READY_SECONDS)
    try:
        if failed:
            raise failed[0]
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        stop.set()
        thread.join(_READY_SECONDS)
        with suppress(OSError):
            bound.close()
    if failed:
        raise failed[0]

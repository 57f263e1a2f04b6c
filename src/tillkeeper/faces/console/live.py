"""Live figures: drawn once per tick and language, sent to every browser that watches."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Generic, NamedTuple, TypeVar

TICK_SECONDS: Final = 1.0
_REST_SECONDS: Final = 5.0  # after a tick that failed
_PING_SECONDS: Final = 15.0  # so that proxies keep a quiet stream open, and a browser that is gone is noticed

log = logging.getLogger(__name__)


class Audience(NamedTuple):
    """Whom live parts are drawn for: a language, and what the links in them need that this audience may follow."""

    language: str
    may: frozenset[str] = frozenset()


A = TypeVar("A", bound=Hashable)
"""An audience: all for whom the same is drawn."""


class Live(Generic[A]):
    """One loop draws while anybody watches, once for each audience; each watcher gets what changed since it last looked.

    There are no queues: a slow browser skips ticks and costs no memory.
    """

    def __init__(self, draw: Callable[[A], Awaitable[Mapping[str, str]]]) -> None:
        self._draw = draw
        self._watchers: dict[A, int] = {}
        self._parts: dict[
            A, dict[str, tuple[int, str]]
        ] = {}  # audience -> name -> (tick it changed in, HTML)
        self._tick = 0
        self._ticked = asyncio.Condition()
        self._somebody = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The loop, for as long as the block lasts."""
        task = asyncio.create_task(self._run(), name="console live")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def watchers(self) -> int:
        """How many browsers watch."""
        return sum(self._watchers.values())

    async def watch(self, audience: A) -> AsyncGenerator[bytes, None]:
        """Server-sent events for one browser, until it closes the stream."""
        self._watchers[audience] = self._watchers.get(audience, 0) + 1
        self._somebody.set()
        seen = self._tick
        try:
            yield b"retry: 2000\n\n"
            while True:
                async with self._ticked:
                    news = await self._next_tick(seen)
                if not news:
                    yield b": still here\n\n"
                parts = self._parts.get(audience, {})
                for name, (tick, html) in list(parts.items()):
                    if tick > seen:
                        yield f"event: {name}\ndata: {json.dumps(html, ensure_ascii=False)}\n\n".encode()
                seen = self._tick
        finally:
            self._watchers[audience] -= 1
            if not self.watchers:
                self._somebody.clear()

    async def _next_tick(self, seen: int) -> bool:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await self._ticked.wait_for(lambda: self._tick > seen)
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._somebody.wait()
            began = loop.time()
            try:
                await self._draw_all()
                pause = TICK_SECONDS
            except Exception:
                log.exception("the live figures could not be drawn")
                pause = _REST_SECONDS
            await asyncio.sleep(max(0.0, began + pause - loop.time()))

    async def _draw_all(self) -> None:
        drawn = {}
        for audience in [audience for audience, watchers in self._watchers.items() if watchers]:
            drawn[audience] = await self._draw(audience)
        async with self._ticked:
            self._tick += 1
            for audience, parts in drawn.items():
                known = self._parts.setdefault(audience, {})
                for name, html in parts.items():
                    if name not in known or known[name][1] != html:
                        known[name] = (self._tick, html)
            self._ticked.notify_all()

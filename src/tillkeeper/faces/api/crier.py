"""Every answer says when maintenance is going on or near: `Till-Maintenance: state=scheduled; begins=…; ends=…; …`."""

import asyncio
import logging

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.maintenance import notices
from tillkeeper.store import Store

log = logging.getLogger(__name__)


class Crier:
    """Puts the header on answers. The notices are read behind the requests, so that none waits for it."""

    def __init__(self, app: ASGIApp, store: Store, clock: Clock) -> None:
        self._app = app
        self._store = store
        self._clock = clock
        self._header: tuple[bytes, bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = self._header
        if header is None or scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        await self._app(scope, receive, telling)

    async def keep_reading(self) -> None:
        """Read the notices again and again, until cancelled. While the database is away the last word stands."""
        while True:
            try:
                async with self._store.tx("notices") as tx:
                    said = notices.header(await notices.ahead(tx, self._clock.now()))
                self._header = (b"till-maintenance", said.encode()) if said else None
            except Exception as error:  # noqa: BLE001 - nobody's payment depends on it
                log.warning("notices cannot be read: %r", error)
            await asyncio.sleep(limits.NOTICE_REFRESH_SECONDS)

"""The console as its people meet it: in process over ASGI, each person with a session of their own."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx

from tests.support.people import Drawer, link_for
from tests.support.shop import ZONE
from tillkeeper import access
from tillkeeper.access import OpenedSession
from tillkeeper.access.entrance import Entrance
from tillkeeper.base.clock import Clock, SystemClock
from tillkeeper.faces.console import create_console
from tillkeeper.faces.console.desk import SESSION_COOKIE
from tillkeeper.faces.console.sites import Sites
from tillkeeper.payments import Till
from tillkeeper.store import Store
from tillkeeper.vault import Vault

HOME = "http://till.test"


class Colleague:
    """A signed-in person: gets pages, sends forms with their own token."""

    def __init__(self, client: httpx.AsyncClient, opened: OpenedSession) -> None:
        self._client = client
        self.session = opened.session
        self._headers = {"cookie": f"{SESSION_COOKIE}={opened.cookie}"}

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._client.get(path, headers=self._headers | headers)

    async def post(self, path: str, headers: dict[str, str] | None = None, /, **form: Any) -> httpx.Response:
        """A form as the page would send it."""
        data = {"csrf": self.session.csrf} | form
        return await self._client.post(path, data=data, headers=self._headers | (headers or {}))


class Console:
    """A console of the test's own."""

    def __init__(self, application: Any, client: httpx.AsyncClient, store: Store, clock: Clock) -> None:
        self.application, self.client, self.store, self.clock = application, client, store, clock

    async def sign_in(self, person: str, roles: Iterable[str] = access.WORKING_ROLES) -> Colleague:
        """A person of these roles, made if need be, in a browser of their own."""
        async with self.store.tx("sign in") as tx:
            token = await link_for(tx, person, self.clock, roles)
            opened = await access.open_session(tx, token, self.clock)
        assert isinstance(opened, OpenedSession)
        return Colleague(self.client, opened)


@asynccontextmanager
async def console(
    store: Store, vault: Vault, clock: Clock | None = None, **options: Any
) -> AsyncIterator[Console]:
    """A console on a store."""
    clock = clock or SystemClock()
    till = Till(store, None, clock, ZONE)
    entrance = Entrance(store, clock, Drawer())
    application = create_console(store, clock, ZONE, till, vault, entrance, sites=Sites(HOME), **options)
    transport = httpx.ASGITransport(cast("Any", application), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
        yield Console(application, client, store, clock)
    await till.close()

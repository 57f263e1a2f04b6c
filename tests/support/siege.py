"""A home of its own with a durable PostgreSQL and `till serve api` as a process that can be killed and comes again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.aftermath import broken_promises, counts
from tests.support.api import new_key
from tests.support.platform import ZONE, Platform
from tests.support.ports import free_port
from tests.support.shop import _RULES
from tests.support.storm import CUSTOMERS, FUNDS, MERCHANTS, Storm
from tests.support.strongroom import bare_vault
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import to_typeid
from tillkeeper.payments import Till
from tillkeeper.store import Store, migrate
from tillkeeper.store.embedded import EmbeddedServer
from tillkeeper.vault import catalogue

READY_SECONDS = 150.0  # it imports much, and a busy machine takes five times as long
LEAST_STRIKES = 3
LEAST_PROMISES = 20
"""Between two strikes, however slow the machine is."""


class Api:
    """`till serve api`, kept alive: whenever it ends it is started again, as `till up` does."""

    def __init__(self, home: Path, port: int, rules: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.starts = 0
        self.log = home / "api.log"
        self._environment = os.environ | {
            "TILL_HOME": str(home),
            "TILL_API_PORT": str(port),
            "TILL_RULES_FILE": str(rules),
        }
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()

    async def ready(self) -> None:
        """Wait until it takes payments."""
        async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(READY_SECONDS):
            while True:
                try:
                    if (await client.get(f"{self.url}/health")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Kept alive for the block, then stopped in order."""
        self._keeping = asyncio.create_task(self._keep_alive())
        try:
            await self.ready()
            yield
        finally:
            self._keeping.cancel()
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(self._process.wait(), 30)

    async def _keep_alive(self) -> None:
        while True:
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tillkeeper", "serve", "api"),
                    env=self._environment,
                    stdout=log,
                    stderr=log,
                )
            self.starts += 1
            await self._process.wait()
            await asyncio.sleep(0.05)


async def heard(storm: Storm, promises: int) -> None:
    """Wait until the clients were promised so much."""
    async with asyncio.timeout(READY_SECONDS):
        while len(storm.promises) < promises:  # noqa: ASYNC110 - no bell rings
            await asyncio.sleep(0.05)


class Siege:
    """The place of a storm."""

    def __init__(self, server: EmbeddedServer, store: Store, api: Api) -> None:
        self.server, self.store, self.api = server, store, api

    async def withstand(
        self, seed: int, seconds: float, strike: Callable[["Siege"], Awaitable[int]]
    ) -> tuple[Storm, list[str]]:
        """A storm of so many seconds, during which `strike` is called again and again; and what it broke.

        `strike` gives the number of processes it killed.
        """
        storm = await self._gather(seed)
        async with aclosing(storm):
            before = await counts(self.store)
            raging = asyncio.create_task(storm.rage())
            await self._strike_for(storm, seconds, strike)
            storm.calm()
            await raging
            await self.api.ready()
            async with Store.opened(self.server.app_url) as store:  # of our own all connections may be dead
                return storm, [*await storm.ask_again(), *await broken_promises(storm, store, before)]

    async def _strike_for(
        self, storm: Storm, seconds: float, strike: Callable[["Siege"], Awaitable[int]]
    ) -> None:
        ends_at, strikes = asyncio.get_running_loop().time() + seconds, 0
        while strikes < LEAST_STRIKES or asyncio.get_running_loop().time() < ends_at:
            await heard(storm, len(storm.promises) + LEAST_PROMISES)
            strikes += await strike(self)

    async def _gather(self, seed: int) -> Storm:
        clock = SystemClock()
        storm = Storm(self.api.url, await new_key(self.store, clock), seed)
        till = Till(self.store, None, clock, ZONE)
        people = Platform(self.store, till, clock, bare_vault(tables=catalogue()))
        storm.customers = [to_typeid("cus", await people.customer(funds=FUNDS)) for _ in range(CUSTOMERS)]
        storm.merchants = [to_typeid("mer", await people.merchant()) for _ in range(MERCHANTS)]
        await till.close()
        return storm

    def last_words(self) -> str:
        """The end of the api's log."""
        return self.api.log.read_text(errors="replace")[-3000:]


@asynccontextmanager
async def besieged(home: Path, **more: Any) -> AsyncIterator[Siege]:
    """A new home, its database, and its api, running."""
    rules = home / "rules.toml"
    rules.write_text(_RULES, "utf-8")
    async with EmbeddedServer(home).running() as server:
        await migrate(server.admin_url)
        async with Store.opened(server.app_url) as store:
            api = Api(home, free_port(), rules)
            async with api.alive():
                yield Siege(server, store, api)

"""Where bad changes are planted: the api, the agent and steady payments, each in a process of its own; a backup that was proved."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import httpx
import msgspec
import psutil
import psycopg
from psycopg_pool import PoolTimeout

from bench.fault_agent import MARKS
from bench.payments import payer
from bench.stage import People, Stage, api, sql
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.maintenance import backups, runs
from tillkeeper.maintenance.runs import RunView
from tillkeeper.monitoring import Books
from tillkeeper.store import Store

CUSTOMERS: Final = 20_000
RATE: Final = 40.0  # payments a second
SLOW: Final = 1.0  # seconds: whoever waits longer is hurt
PATIENCE: Final = 15.0  # then a caller gives up
DEADLINE: Final = 90.0  # of one run
T = TypeVar("T")
POLL: Final = 0.05
CLOCK: Final = SystemClock()


class Sent(msgspec.Struct):
    """One call: when it was sent, how long it took, and the status; 0: no answer."""

    at: datetime
    took: float
    status: int


class Load:
    """Payments at a steady rate over HTTP, whoever answers or not."""

    def __init__(self, stage: Stage, people: People) -> None:
        self._stage = stage
        self._payers = [payer(number, each) for number, each in enumerate(people.customers)]
        self._payees = [to_typeid("mer", each) for each in people.merchants]
        self._place = 0
        self.sent: list[Sent] = []
        self.paid: list[str] = []

    async def run(self) -> None:
        """Until cancelled."""
        headers = {"authorization": f"Bearer {self._stage.key}", "content-type": "application/json"}
        bounds = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        base = f"http://127.0.0.1:{self._stage.settings.api_port}"
        async with (
            httpx.AsyncClient(base_url=base, headers=headers, limits=bounds, timeout=PATIENCE) as client,
            asyncio.TaskGroup() as group,
        ):
            due = CLOCK.monotonic()
            while True:
                group.create_task(self._pay(client))
                due += 1 / RATE
                await asyncio.sleep(max(0.0, due - CLOCK.monotonic()))

    async def _pay(self, client: httpx.AsyncClient) -> None:
        self._place += 1
        body = self._payers[self._place % len(self._payers)]
        payee = self._payees[self._place % len(self._payees)]
        call = Sent(CLOCK.now(), 0.0, 0)
        began = CLOCK.monotonic()
        try:
            content = f'{body}"{payee}","amount":{1000 + self._place % 9000}}}'
            key = {"idempotency-key": new_id().hex}
            answer = await client.post("/v1/payments", content=content, headers=key)
            call.status = answer.status_code
            if len(self.paid) < 50 and answer.status_code == 201:
                self.paid.append(answer.json()["id"])
        except httpx.HTTPError:
            call.status = 0
        call.took = CLOCK.monotonic() - began
        self.sent.append(call)

    def between(self, since: datetime, until: datetime) -> list[Sent]:
        return [each for each in self.sent if since <= each.at < until]


class Field(msgspec.Struct):
    """Where the faults are planted."""

    stage: Stage
    store: Store
    load: Load
    agent: "AgentProcess"

    async def ask(self, query: str) -> list[tuple[Any, ...]]:
        """What the superuser is told, on a connection of its own: the server may have been restarted."""

        async def asked() -> list[tuple[Any, ...]]:
            url = self.stage.urls.admin
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
                cursor = await admin.execute(query.encode())
                found: list[tuple[Any, ...]] = await cursor.fetchall() if cursor.description else []
                return found

        return await steadily(asked)


class AgentProcess:
    """The agent, which can be killed and started again."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._process: asyncio.subprocess.Process | None = None
        self.started_at = CLOCK.now()

    async def start(self) -> None:
        self.started_at = CLOCK.now()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TILL_")}
        environment |= {"TILL_HOME": str(self._stage.settings.home), "TILL_COMMANDS": "/bin/sleep"}
        with (self._stage.settings.home / "agent.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.fault_agent"), stdout=log, stderr=log, env=environment
            )

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 30)
            if self._process.returncode is None:
                await self.kill()


@asynccontextmanager
async def planted_field(stage: Stage, people: People) -> AsyncIterator[Field]:
    """Payments running, the agent at work, a backup proved, and some rows to play with."""
    async with (
        await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin,
        Store.opened(stage.urls.app) as store,
        _apis(stage),
    ):
        await admin.execute(MARKS.encode())
        await admin.execute(b"CREATE TABLE public.fault_rows (id uuid PRIMARY KEY, n integer, tag text)")
        await admin.execute(
            b"INSERT INTO public.fault_rows SELECT gen_random_uuid(), n % 4000, NULL FROM generate_series(1, 20000) AS n"
        )
        field = Field(stage, store, Load(stage, people), AgentProcess(stage))
        loading = asyncio.create_task(field.load.run())
        await asyncio.sleep(5.0)
        await admin.execute(sql.statistics)
        await backups.backup_now(stage.settings, CLOCK, by="bench")
        drill = await backups.drill(stage.settings, CLOCK, by="bench")
        print(f"backup and drill: {'passed' if drill.passed else 'NOT PASSED'}")
        await field.agent.start()
        try:
            yield field
        finally:
            await field.agent.stop()
            loading.cancel()
            with suppress(asyncio.CancelledError):
                await loading


@asynccontextmanager
async def _apis(stage: Stage) -> AsyncIterator[None]:
    """The api, started again whenever it ends, as `till up` does."""
    ready = asyncio.Event()

    async def keep() -> None:
        while True:
            async with api(stage) as pid:
                ready.set()
                while _lives(pid):  # noqa: ASYNC110 - another process rings no bell
                    await asyncio.sleep(0.1)

    keeping = asyncio.create_task(keep())
    await asyncio.wait({keeping, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def _lives(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


async def steadily(act: Callable[[], Awaitable[T]]) -> T:
    """Do it, again while the database is away: some changes restart it."""
    deadline = CLOCK.monotonic() + DEADLINE
    while True:
        try:
            return await act()
        except (psycopg.Error, PoolTimeout, OSError):
            if CLOCK.monotonic() > deadline:
                raise
        await asyncio.sleep(0.5)


async def no_faults(field: Field) -> bool:
    """Whether the books are in order."""
    return not (await steadily(Books(field.store, CLOCK).look)).faults


async def until(field: Field, run: UUID, there: Callable[[RunView], bool]) -> RunView:
    """The run once it is so. Raises TimeoutError."""
    deadline, seen = CLOCK.monotonic() + DEADLINE, None
    while CLOCK.monotonic() < deadline:
        with suppress(psycopg.Error, PoolTimeout, OSError):
            async with field.store.tx("bench looks") as tx:
                seen = await runs.view(tx, run)
            if seen is not None and there(seen):
                return seen
        await asyncio.sleep(POLL)
    log = (field.stage.settings.home / "agent.log").read_text()[-1500:]
    raise TimeoutError(f"the run did not get there within {DEADLINE:g} s: {seen}\n{log}")

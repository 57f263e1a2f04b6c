"""The stage of a bench: a fresh home, an embedded PostgreSQL that is safe against crashes, funded people, an api process.

Everything is made for the run and thrown away after it; nothing of one's own installation is touched.
"""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import psycopg

from tillkeeper import access, ledger
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.settings import Settings
from tillkeeper.ledger import Entry, NewAccount, Op, Outcome
from tillkeeper.payments import open_wallets
from tillkeeper.store import Store, Tx, columns, migrate, queries
from tillkeeper.store.embedded import EmbeddedServer
from tillkeeper.store.opening import Urls

ACCOUNTS: Final = 10_000
FUNDS: Final = 10**11  # minor units: nobody runs dry
FEE_BPS: Final = Settings().default_fee_bps
_READY_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.1
_CHUNK: Final = 5000
_clock = SystemClock()
sql = queries("bench", "stage.sql")


class Stage(msgspec.Struct, frozen=True):
    """Where a bench plays. `postgres` is the server's process id, `key` an API key that may pay."""

    settings: Settings
    urls: Urls
    postgres: int
    key: str
    principal: UUID


class People(msgspec.Struct, frozen=True):
    """Those who pay and are paid."""

    customers: list[UUID]
    merchants: list[UUID]


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """A migrated database on a server of its own, in a temporary home."""
    with tempfile.TemporaryDirectory(prefix="till-bench-") as folder:
        settings = Settings(home=Path(folder) / "home", api_port=_free_port())
        settings.home.parent.chmod(0o711)  # where root measures, PostgreSQL runs as another user
        async with EmbeddedServer(settings.home).running() as server:
            assert server.pid is not None
            await migrate(server.admin_url)
            async with Store.opened(server.app_url) as store, store.tx("bench key") as tx:
                key, text = await access.create_key(
                    tx, None, "bench", ["payments:write"], None, _clock, actor="bench"
                )
            urls = Urls(server.app_url, server.admin_url)
            yield Stage(settings, urls, server.pid, text, key.principal)


@asynccontextmanager
async def api(stage: Stage) -> AsyncIterator[int]:
    """The api process, ready to be called, for the block; its process id. Its words go to <home>/api.log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILL_")}
    environment |= {"TILL_HOME": str(stage.settings.home), "TILL_API_PORT": str(stage.settings.api_port)}
    with (stage.settings.home / "api.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tillkeeper", "serve", "api", "--with-parent"),
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        await _answers(stage.settings, process)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)


async def populate(stage: Stage, customers: int, merchants: int) -> People:
    """Funded customers with the usual daily limit, and merchants who pay the usual fee."""
    people = People(_ids(customers), _ids(merchants))
    async with Store.opened(stage.urls.app) as store:
        for each, fee_bps in ((people.customers, None), (people.merchants, FEE_BPS)):
            for at in range(0, len(each), _CHUNK):
                async with store.tx("bench people") as tx:
                    await _add(tx, each[at : at + _CHUNK], fee_bps)
    await tidy(stage)
    return people


async def _add(tx: Tx, owners: list[UUID], fee_bps: int | None) -> None:
    """Customers, or merchants where there is a fee."""
    now, ids = _clock.now(), columns.uuids(owners)
    if fee_bps is None:
        await tx.run(sql.add_customers, {"ids": ids, "at": now})
    else:
        await tx.run(sql.add_merchants, {"ids": ids, "fee_bps": fee_bps, "at": now})
    accounts = await open_funded(tx, len(owners), None if fee_bps else Settings().default_daily_limit)
    await tx.run(sql.add_wallets, {"owners": ids, "accounts": columns.uuids(accounts), "at": now})


async def open_funded(tx: Tx, count: int, day_limit: int | None = None) -> list[UUID]:
    """So many new accounts of the ledger, each with FUNDS of the bank."""
    now = _clock.now()
    bank: UUID | None = await tx.value(sql.bank)
    if bank is None:
        await open_wallets(tx, new_id(), ["CNY"], None, now)  # opens the platform's own accounts too
        bank = await tx.value(sql.bank)
    accounts = _ids(count)
    await ledger.open_accounts(
        tx, [NewAccount(one, "CNY", "credit", "wallet", 0, day_limit) for one in accounts], now
    )
    top_ups = [Entry(new_id(), Op.POST, bank, one, FUNDS, "top_up", new_id(), now) for one in accounts]
    outcomes = await ledger.post(tx, top_ups, now)
    assert set(outcomes) == {Outcome.OK}, set(outcomes)
    return accounts


async def tidy(stage: Stage) -> None:
    """Fresh statistics and clean pages, so that no figure depends on when PostgreSQL's housekeeping woke up."""
    async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
        await admin.execute(sql.statistics)
        await admin.execute(sql.checkpoint)


async def _answers(settings: Settings, process: asyncio.subprocess.Process) -> None:
    for _ in range(int(_READY_SECONDS / _POLL_SECONDS)):
        if process.returncode is not None:
            raise RuntimeError(f"the api ended at once: {(settings.home / 'api.log').read_text()[-500:]}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", settings.api_port)
        except OSError:
            await asyncio.sleep(_POLL_SECONDS)
        else:
            writer.close()
            return
    raise RuntimeError(f"the api was not ready within {_READY_SECONDS:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ids(count: int) -> list[UUID]:
    return [new_id() for _ in range(count)]

"""The archive of the log and a backup are killed again and again while payments are booked: nothing acknowledged is lost,
and no half backup is ever listed. STORM_KILLS: how often (3).
"""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.books import Books, account, bank, pay
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups import Backups, backup_now, drill, in_repository, wal_state
from tillkeeper.store import Store, migrate
from tillkeeper.store.opening import database
from tillkeeper.vault import root_of

KILLS = int(os.environ.get("STORM_KILLS", "3"))
CLOCK = SystemClock()


@pytest.mark.timeout(300 + 60 * KILLS)
async def test_nothing_is_lost_though_archive_and_backups_are_killed(tmp_path: Path, seed: int) -> None:
    rng, settings = random.Random(seed), Settings(home=tmp_path / "till")
    async with database(settings) as urls, Store.opened(urls.app) as store:
        await migrate(urls.admin)
        await root_of(settings).make()
        await backup_now(settings, CLOCK, by="anna")
        async with booking(store, urls.admin) as booked:
            whole = 1
            for _ in range(KILLS):
                archive = await begun("tests.support.archive_process", str(settings.home))
                backup = await begun("tillkeeper", "backup", "now", "--full", home=settings.home)
                await asyncio.sleep(rng.uniform(0.5, 2.5))
                for victim in (backup, archive):
                    if victim.returncode is None:
                        victim.kill()
                    await victim.wait()
                listed = await in_repository(settings)
                assert len(listed) >= whole, "what was whole stays"
                whole = len(listed)
            archive = await begun("tests.support.archive_process", str(settings.home))
            moment = CLOCK.now()
            count = len(booked)
            await archived(store, settings.home, moment)
        found = await drill(settings, CLOCK, to=moment, by="anna")
        archive.kill()
        await archive.wait()
        assert found.passed, found.checks
        assert count > 0
        said = {each.name: each.said for each in found.checks}
        assert int(said["ledger"].split()[0]) >= count, "every acknowledged transfer came back"
        done = {each.id for each in await Backups(store).list(100) if each.state == "done"}
        assert done <= {each.id for each in await in_repository(settings)}


async def begun(module: str, *arguments: str, home: Path | None = None) -> asyncio.subprocess.Process:
    environment = dict(os.environ) | ({"TILL_HOME": str(home)} if home else {})
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env=environment, stderr=asyncio.subprocess.DEVNULL
    )


async def archived(store: Store, home: Path, moment: object) -> None:
    async with asyncio.timeout(60):
        while True:
            async with store.tx("test") as tx:
                reached = (await wal_state(tx, home)).reached
            if reached is not None and reached > moment:  # type: ignore[operator]
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def booking(store: Store, admin_url: str) -> AsyncIterator[list[int]]:
    """Payments, one after the other, for the block; those that were acknowledged."""
    books, purse, till = Books(store), bank(), account()
    await books.open(purse, till)
    acknowledged: list[int] = []

    async def book() -> None:
        async with await psycopg.AsyncConnection.connect(admin_url, autocommit=True) as admin:
            while True:
                await books.post(pay(purse, till, 1))
                acknowledged.append(1)
                if len(acknowledged) % 50 == 0:
                    await admin.execute("SELECT pg_switch_wal()")  # so that whole segments are shipped too
                await asyncio.sleep(0.005)

    task = asyncio.ensure_future(book())
    try:
        yield acknowledged
    finally:
        task.cancel()
        await asyncio.wait([task])

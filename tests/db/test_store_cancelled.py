"""Whoever waits for a connection and is cancelled is cancelled, whatever comes at that moment."""

import asyncio

import pytest

from tests.support.postgres import Database
from tillkeeper.store import Store


@pytest.mark.parametrize("steps", range(8))
async def test_a_connection_that_comes_as_its_asker_is_cancelled_goes_back(
    database: Database, steps: int
) -> None:
    async with Store.opened(database.app_url, size=1) as store:

        async def ask() -> None:
            async with store.tx("asks") as tx:
                await tx.value(b"SELECT 1")
            await asyncio.Event().wait()  # only a cancellation ends it

        async with store.tx("holds") as tx:
            await tx.value(b"SELECT 1")
            asking = asyncio.create_task(ask())
            for _ in range(20):
                await asyncio.sleep(0)
            assert store._pool.get_stats()["requests_waiting"] == 1
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        done, _ = await asyncio.wait([asking], timeout=20)
        assert done, "told to end, it goes on"
        assert asking.cancelled()
        async with store.tx("after") as tx:
            assert await tx.value(b"SELECT 1") == 1

"""The agent as a process of its own, killed again and again in the midst of its work: nothing is lost or done twice."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.postgres import Database
from tests.support.receiver import receiving
from tillkeeper import ledger, parties, payments
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.payments import Till, rails, webhooks
from tillkeeper.payments.commands import TopUp
from tillkeeper.store import Store
from tillkeeper.vault import FileRoot, Vault

KILLS = 3
WAIT_SECONDS = 180
INSTRUCTIONS = ("", "", "", "late", "twice", "no")

# What a killed process had claimed comes back by itself after a while; here the while is over at once.
NO_WAITING = """
DELETE FROM store.leases;
UPDATE payments.rail_attempts SET due_at = now() WHERE state = 'sent';
UPDATE payments.webhook_deliveries SET due_at = now() WHERE state = 'due';
UPDATE payments.webhook_endpoints SET failures = 0, paused_until = NULL
"""


TAKEN_UP = b"SELECT count(*) FROM payments.rail_attempts WHERE state <> 'due'"
HALF_DONE = (
    b"SELECT count(*) FROM payments.rail_attempts WHERE state = 'sent' AND instruction IN ('', 'twice')"
)
GONE = b"SELECT (count(*) = 0)::int FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'agent'"
ENDED = b"SELECT count(*) FROM payments.payments WHERE state IN ('succeeded', 'failed')"


@asynccontextmanager
async def agent(home: Path, database: Database) -> AsyncIterator[asyncio.subprocess.Process]:
    """`till serve agent`, killed at the end of the block if it still runs."""
    settings = {
        "TILL_HOME": str(home),
        "TILL_DATABASE_URL": database.app_url,
        "TILL_ADMIN_DATABASE_URL": database.admin_url,
        "TILL_ALLOW_PRIVATE_WEBHOOKS": "true",
        "PGAPPNAME": "agent",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillkeeper", "serve", "agent"),
        env=os.environ | settings,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def open_town(store: Store, vault: Vault, url: str, people: int) -> tuple[list[TopUp], str]:
    """Customers who want to top up, and the secret of the endpoint that hears of it."""
    now = SystemClock().now()
    customers = [new_id() for _ in range(people)]
    async with store.tx("test") as tx:
        for each in customers:
            await parties.add_customer(tx, vault, parties.Newcomer(each, "Li"), now)
            await payments.open_wallets(tx, each, ["CNY"], None, now)
        _, secret = await webhooks.create_endpoint(
            tx, vault, url, ["payment.*"], SystemClock(), private_targets=True, actor="test"
        )
    orders = [TopUp(each, 100, "CNY", INSTRUCTIONS[place % 6]) for place, each in enumerate(customers)]
    return orders, secret


async def wait_for(store: Store, statement: bytes, count: int) -> None:
    """Until a statement counts so many."""
    async with asyncio.timeout(WAIT_SECONDS):
        while await counted(store, statement) < count:  # noqa: ASYNC110 - another process rings no bell
            await asyncio.sleep(0.005)


async def counted(store: Store, statement: bytes) -> int:
    async with store.tx("test") as tx:
        return int(await tx.value(statement))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_an_agent_killed_again_and_again_settles_everything_once(
    store: Store, database: Database, admin: psycopg.AsyncConnection, tmp_path: Path, seed: int
) -> None:
    draw, clock, count = random.Random(seed), SystemClock(), 150 * KILLS
    till = Till(store, None, clock, "Asia/Shanghai")
    half_done: list[int] = []
    root = FileRoot(tmp_path.with_name(f"{tmp_path.name}-keys") / "root.key")  # where the agents look for it
    async with receiving() as receiver:
        async with Vault.opened(store, root, clock) as vault:
            orders, secret = await open_town(store, vault, receiver.url(), count)
        for kill in range(KILLS):
            async with agent(tmp_path, database) as process, admin.transaction():
                if kill == 0:  # this one is sure to die in the midst: until it is dead no money can be booked
                    await admin.execute("LOCK TABLE ledger.transfers IN EXCLUSIVE MODE")
                await asyncio.gather(*(till.submit(order) for order in orders[kill::KILLS]))
                await wait_for(store, HALF_DONE if kill == 0 else TAKEN_UP, kill * count // KILLS + 1)
                await asyncio.sleep(draw.random() * 0.04)
                process.send_signal(signal.SIGKILL)
                await process.wait()
                half_done.append(await counted(store, HALF_DONE))
            await wait_for(
                store, GONE, 1
            )  # what the server still does for the dead one comes before what follows
            await admin.execute(NO_WAITING)
        async with agent(tmp_path, database) as process:
            await wait_for(store, ENDED, count)
            async with asyncio.timeout(WAIT_SECONDS):
                while len(set(receiver.ids)) < 2 * count:
                    await receiver.received(len(receiver.requests) + 1)
            process.terminate()
            assert await process.wait() == 0
        heard = {each.headers["webhook-id"]: each for each in receiver.requests}

    bank = rails.SandboxBank(clock, tmp_path / "sandbox-bank.jsonl")
    journal = bank.journal()
    await bank.close()
    assert half_done[0] > 0
    assert Counter(entry.did for entry in journal) == {"accepted": count * 5 // 6, "rejected": count // 6}
    async with store.tx("test") as tx:
        rows = await tx.tuples(b"SELECT state, count(*) FROM payments.payments GROUP BY state")
        settled = await tx.tuples(b"SELECT id, state FROM payments.rail_attempts")
        transfers = await tx.value(b"SELECT count(*) FROM ledger.transfers")
    assert dict(rows) == {"succeeded": count * 5 // 6, "failed": count // 6}
    assert dict(settled) == {entry.id: entry.did for entry in journal}
    assert transfers == count * 5 // 6
    assert (await ledger.verify(store)).balanced
    told = Counter(
        (body["data"]["id"], body["type"])
        for body in (Webhook(secret).verify(each.body, each.headers) for each in heard.values())
    )
    assert len(told) == 2 * count
    assert set(told.values()) == {1}
    await till.close()

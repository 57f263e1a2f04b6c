"""The agent: one active by lease, its loops kept going, everything let go when it stops; and all of it together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.postgres import Database
from tests.support.receiver import Receiver, receiving
from tillkeeper import audit, ledger, parties, payments
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, ManualClock, SystemClock
from tillkeeper.base.ids import from_typeid, new_id
from tillkeeper.faces.agent import Agent, Loop, loops_of
from tillkeeper.payments import Till, rails, webhooks
from tillkeeper.payments.commands import Pay, TopUp, Withdraw
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Answer, Store, leases
from tillkeeper.vault import Vault

ZONE = "Asia/Shanghai"
PLANT = """
INSERT INTO payments.payments (id, kind, state, payer, payee, amount, currency, event_at, created_at, changed_at, expires_at)
VALUES (%s, 'payment', %s, %s, %s, 100, 'CNY', now(), now(), now(), %s)
"""


class Bell:
    """A loop that counts its starts and says when it works."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.starts = 0
        self.working = asyncio.Event()

    async def loop(self) -> None:
        self.starts += 1
        if self.starts <= self.failures:
            raise RuntimeError(f"failure {self.starts}")
        self.working.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.working.clear()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LEASE_SECONDS", 60.0)  # longer than any machine is busy with something else
    monkeypatch.setattr(limits, "LEASE_RENEW_SECONDS", 0.1)
    monkeypatch.setattr(limits, "LOOP_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(limits, "EXPIRY_POLL_SECONDS", 0.1)


@asynccontextmanager
async def running(
    store: Store, clock: Clock | None = None, /, **loops: Loop
) -> AsyncIterator[asyncio.Task[None]]:
    """An agent at work, stopped at the end of the block."""
    task = asyncio.create_task(Agent(store, loops, clock or SystemClock()).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(20):
        await event.wait()


async def holder(store: Store) -> str | None:
    async with store.tx("test") as tx:
        lease = await leases.holder(tx, "agent")
    return lease.holder if lease else None


async def expiry(store: Store) -> datetime:
    """Until when the lease is somebody's."""
    async with store.tx("test") as tx:
        lease = await leases.holder(tx, "agent")
    assert lease is not None
    return lease.expires_at


async def test_one_works_and_the_other_takes_over_when_it_stops(store: Store) -> None:
    first, second = Bell(), Bell()
    async with running(store, bell=first.loop):
        await until(first.working)
        async with running(store, bell=second.loop):
            begun = await expiry(store)
            async with asyncio.timeout(20):
                while await expiry(store) < begun + timedelta(seconds=0.5):  # noqa: ASYNC110 - renewed again and again
                    await asyncio.sleep(0.02)
            assert first.working.is_set()
            assert second.starts == 0
    assert await holder(store) is None
    async with running(store, bell=second.loop):
        await until(second.working)
        assert first.starts == 1
        assert not first.working.is_set()


async def test_a_killed_agents_lease_runs_out(store: Store) -> None:
    async with store.tx("test") as tx:
        assert await leases.try_take(tx, "agent", "a dead process", 1.0)
    dead, bell = await expiry(store), Bell()
    async with running(store, bell=bell.loop):
        await until(bell.working)
    async with store.tx("test") as tx:
        assert await tx.value(b"SELECT now()") > dead


async def test_an_agent_that_lost_its_lease_stops_at_the_next_renewal(
    store: Store, admin: psycopg.AsyncConnection
) -> None:
    bell = Bell()
    async with running(store, bell=bell.loop):
        await until(bell.working)
        await admin.execute("UPDATE store.leases SET holder = 'another', expires_at = now() + interval '1 h'")
        async with asyncio.timeout(30):
            while bell.working.is_set():  # noqa: ASYNC110 - a loop's end rings no bell
                await asyncio.sleep(0.02)
        assert await holder(store) == "another"
        await admin.execute("UPDATE store.leases SET expires_at = now()")
        await until(bell.working)  # and takes it again when the other is gone
        assert bell.starts == 2


async def test_an_agent_that_cannot_renew_stops_before_another_may_begin(
    store: Store,
    admin: psycopg.AsyncConnection,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It counts from before it asked, so it stops sooner than the database lets another begin."""
    monkeypatch.setattr(limits, "LEASE_SECONDS", 1.0)

    async def tried(times: int) -> None:
        caplog.clear()
        async with asyncio.timeout(20):
            while caplog.text.count("was not renewed") < times:  # noqa: ASYNC110 - a log rings no bell
                await asyncio.sleep(0.01)

    bell = Bell()
    async with running(store, clock, bell=bell.loop):
        await until(bell.working)
        await admin.execute("REVOKE ALL ON store.leases FROM till_app")
        clock.advance(limits.LEASE_SECONDS - 0.2)
        await tried(2)
        assert bell.working.is_set()
        clock.advance(0.2)
        async with asyncio.timeout(20):
            while bell.working.is_set():  # noqa: ASYNC110 - a loop's end rings no bell
                await asyncio.sleep(0.02)
        await admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON store.leases TO till_app")
        await until(bell.working)


async def test_a_failing_loop_is_started_again_and_troubles_no_other(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    failing, steady = Bell(failures=3), Bell()
    async with running(store, failing=failing.loop, steady=steady.loop):
        await until(failing.working)
        assert (failing.starts, steady.starts) == (4, 1)
        assert steady.working.is_set()
    assert caplog.text.count("the agent's loop 'failing' failed") == 3
    assert not failing.working.is_set()
    assert not steady.working.is_set()


# -- all of it together


class Town:
    """A counter, a customer, a shop, and a receiver of all news."""

    def __init__(
        self, store: Store, vault: Vault, till: Till, bank: rails.SandboxBank, receiver: Receiver
    ) -> None:
        self.store, self.vault, self.till, self.bank, self.receiver = store, vault, till, bank, receiver
        self.customer, self.shop = new_id(), new_id()
        self.secret = ""

    async def settle_in(self) -> None:
        clock = SystemClock()
        async with self.store.tx("test") as tx:
            await parties.add_customer(tx, self.vault, parties.Newcomer(self.customer, "Li"), clock.now())
            shop = parties.Merchant(self.shop, "Tea", "food", "active", 60, None, None, None, clock.now())
            await parties.add_merchant(tx, shop)
            await payments.open_wallets(tx, self.customer, ["CNY"], None, clock.now())
            await payments.open_wallets(tx, self.shop, ["CNY"], None, clock.now())
            _, self.secret = await webhooks.create_endpoint(
                tx, self.vault, self.receiver.url(), ["payment.*"], clock, private_targets=True, actor="test"
            )

    async def ask(self, command: object) -> UUID:
        """The payment that a command makes."""
        answer = await self.till.submit(command)
        assert answer.status < 300, answer.body
        return from_typeid("pay", msgspec.json.decode(answer.body)["id"])

    async def state(self, payment: UUID) -> str:
        async with self.store.tx("test") as tx:
            found = await payments.payment(tx, payment)
        assert found is not None
        return found.state

    async def reaches(self, payment: UUID, state: str) -> None:
        async with asyncio.timeout(30):
            while await self.state(payment) != state:  # noqa: ASYNC110 - another process would have to look, too
                await asyncio.sleep(0.02)

    async def balance(self) -> int:
        async with self.store.tx("test") as tx:
            found = await payments.wallets_with_accounts(tx, [self.customer])
        return sum(account.balance - account.held for _, account in found)


@pytest.fixture
async def town(database: Database, store: Store, vault: Vault, tmp_path: Path) -> AsyncIterator[Town]:
    clock = SystemClock()
    habits = rails.Habits(answer_seconds=0.005, late_seconds=0.2)
    bank = rails.SandboxBank(clock, habits=habits)
    engine = await RiskEngine.open(store, None, clock, ZONE)
    till = Till(store, engine, clock, ZONE)
    async with receiving() as receiver, webhooks.Sender(private_targets=True) as sender:
        made = Town(store, vault, till, bank, receiver)
        await made.settle_in()
        submit = Till(store, None, clock, ZONE).submit
        sealer = audit.Sealer(store, tmp_path, [], clock)
        loops = loops_of(store, vault, {rails.SANDBOX: bank}, submit, sender, sealer, clock)
        async with running(store, **loops):
            yield made
        await bank.close()
        await till.close()


async def test_top_ups_and_withdrawals_end_as_the_bank_says_and_the_news_goes_out(town: Town) -> None:
    good = [
        await town.ask(TopUp(town.customer, 1000, "CNY", instruction))
        for instruction in ("", "late", "twice")
    ]
    bad = await town.ask(TopUp(town.customer, 5000, "CNY", "no"))
    for payment in good:
        await town.reaches(payment, "succeeded")
    await town.reaches(bad, "failed")
    assert await town.balance() == 3000

    out, refused = [await town.ask(Withdraw(town.customer, 700, "CNY", each)) for each in ("late", "no")]
    await town.reaches(out, "succeeded")
    await town.reaches(refused, "failed")
    assert await town.balance() == 2300
    booked = {entry.direction: 0 for entry in town.bank.journal()}
    for entry in town.bank.journal():
        booked[entry.direction] += entry.amount if entry.did == "accepted" else 0
    assert booked == {"in": 3000, "out": 700}

    async with asyncio.timeout(30):
        await town.receiver.received(12)  # six payments, each made and ended
    heard = [Webhook(town.secret).verify(each.body, each.headers) for each in town.receiver.requests]
    ended = [each["data"]["id"] for each in heard if each["type"] in {"payment.succeeded", "payment.failed"}]
    assert len(ended) == len(set(ended)) == 6
    assert (await ledger.verify(town.store)).balanced


async def test_what_is_only_reserved_expires_and_the_money_is_free_again(
    town: Town, admin: psycopg.AsyncConnection
) -> None:
    await town.reaches(await town.ask(TopUp(town.customer, 1000, "CNY")), "succeeded")
    payment = await town.ask(Pay(town.customer, town.shop, 400, "CNY", manual=True))
    assert await town.state(payment) == "authorized"
    assert await town.balance() == 600
    await asyncio.sleep(0.3)
    assert await town.state(payment) == "authorized"
    past = SystemClock().now() - timedelta(seconds=1)
    await admin.execute("UPDATE payments.payments SET expires_at = %s WHERE id = %s", (past, payment))
    await town.reaches(payment, "expired")
    assert await town.balance() == 1000


async def test_only_what_waits_too_long_is_asked_to_expire_and_the_turn_has_the_last_word(
    store: Store, admin: psycopg.AsyncConnection
) -> None:
    clock = SystemClock()
    now = clock.now()
    planted = {
        (state, hours): new_id()
        for state in ("challenged", "in_review", "authorized", "succeeded", "declined")
        for hours in (-2, -1, 1)
    }
    for (state, hours), payment in planted.items():
        await admin.execute(PLANT, (payment, state, new_id(), new_id(), now + timedelta(hours=hours)))
    asked: list[UUID] = []

    async def judge(command: payments.commands.Expire) -> Answer:
        asked.append(command.payment)
        return Answer(409 if command.payment == planted["authorized", -1] else 200, b"")

    assert await payments.expire_due(store, judge, clock) == 5
    due = {planted[state, hours] for state in ("challenged", "in_review", "authorized") for hours in (-2, -1)}
    assert set(asked) == due
    assert len(asked) == 6
    assert set(asked[:3]) == {planted[state, -2] for state in ("challenged", "in_review", "authorized")}

"""Faults that a review found, each as small as it could be made: retries, keys, locks, and what two do at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from tests.support.api import calling
from tests.support.platform import FINE, HELD, Platform, key, opened
from tests.support.postgres import Database
from tillkeeper import ledger, parties, payments
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.faces.api.door import Counter, once
from tillkeeper.payments import commands
from tillkeeper.payments import turn as turn_module
from tillkeeper.payments.commands import Pay, Review
from tillkeeper.store import Answer, Store, StoreUnavailableError, Tx, sole
from tillkeeper.vault import Vault


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


async def test_one_key_twice_at_once_outside_the_turn(store: Store, clock: ManualClock) -> None:
    counter = Counter(store, clock, None, None, None, None, None)  # type: ignore[arg-type]
    inside, acts = asyncio.Barrier(2), list[int]()

    async def act(tx: Tx, _: datetime) -> Answer:
        acts.append(1)
        if len(acts) <= 2:
            await inside.wait()  # both have seen that the key is free
        return Answer(201, b"%d" % len(acts))

    first, second = await asyncio.gather(*(once(counter, key("k"), "test", act) for _ in range(2)))
    assert first == second


async def test_one_key_and_reference_twice_at_once(store: Store, clock: ManualClock, vault: Vault) -> None:
    counter = Counter(store, clock, None, None, None, None, None)  # type: ignore[arg-type]
    inside, acts = asyncio.Barrier(2), list[int]()

    async def act(tx: Tx, now: datetime) -> Answer:
        acts.append(1)
        if len(acts) <= 2:
            await inside.wait()
        await parties.add_customer(tx, vault, parties.Newcomer(new_id(), "Li", "li"), now)
        return Answer(201, b"made")

    said = await asyncio.gather(*(once(counter, key("k"), "test", act) for _ in range(2)))
    assert [answer.body for answer in said] == [b"made"] * 2


async def test_a_turn_that_waits_for_the_one_before_holds_no_payment(
    platform: Platform, database: Database
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    held = [(await platform.pay(payer, shop, HELD)).id for _ in range(2)]
    lock = "SELECT id FROM payments.payments WHERE id = %s FOR UPDATE"
    async with await psycopg.AsyncConnection.connect(database.admin_url) as other:
        await other.execute("SET lock_timeout = 1000")
        await other.execute(lock, (held[0],))
        first = platform.till.offer(Review(held[0], True, "Wang", ""))
        await asyncio.sleep(0.2)
        second = platform.till.offer(Review(held[1], True, "Wang", ""))
        await asyncio.sleep(0.2)
        await other.execute(lock, (held[1],))  # as another process does, by id: 1, then 2
    assert [answer.status for answer in await asyncio.gather(first, second)] == [200, 200]


async def test_a_retry_while_the_lost_commit_is_still_under_way(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    carry, look, calls = turn_module.Till._carry, turn_module.Till._look, list[str]()

    async def deaf(till: Any, turn: Any, works: Any) -> Any:
        answers = await carry(till, turn, works)
        if "lost" not in calls:
            calls.append("lost")
            raise psycopg.OperationalError("the connection is lost")
        return answers

    async def early(till: Any, tx: Any, turn: Any, works: Any) -> Any:
        known, facts = await look(till, tx, turn, works)
        if known and "early" not in calls:
            calls.append("early")
            return {}, facts  # what it would have seen before the commit
        return known, facts

    monkeypatch.setattr(turn_module.Till, "_carry", deaf)
    monkeypatch.setattr(turn_module.Till, "_look", early)
    said = await platform.ask(Pay(payer, shop, FINE, "CNY"), key("k"))
    assert calls == ["lost", "early"]
    assert (said.status, said.body.get("state")) == (201, "succeeded")
    assert (await platform.wallet(payer)).balance == 1_000_000 - FINE


async def test_a_retry_looks_again_at_who_may_pay(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    book, engine, failed = turn_module.Till._book, platform.till._engine, list[str]()
    assert engine is not None

    async def deadlock(till: Any, tx: Any, plans: Any, now: Any) -> Any:
        if not failed:
            failed.append("once")
            async with platform.store.tx("freeze") as other:
                await parties.set_customer_state(other, payer, "frozen")
            raise psycopg.errors.DeadlockDetected
        return await book(till, tx, plans, now)

    monkeypatch.setattr(turn_module.Till, "_book", deadlock)
    assert (await platform.pay(payer, shop)).code == "customer_frozen"
    assert await platform.count("risk.decisions") == 0
    assert (await platform.pay(await platform.customer(), shop)).state == "succeeded"
    assert engine.counts()["payments"] == 1  # the attempt that came to nothing is forgotten


async def test_a_turn_given_up_does_not_pause_once_more(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    slept = list[float]()

    async def away(*_: Any) -> None:
        raise StoreUnavailableError

    async def asleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(limits, "TURN_TRIES", 3)
    monkeypatch.setattr(turn_module.Till, "_carry", away)
    own = SimpleNamespace(**(vars(asyncio) | {"sleep": asleep}))  # of the turn: others may sleep meanwhile
    monkeypatch.setattr(turn_module, "asyncio", own)
    assert (await platform.pay(payer, shop)).code == "unavailable"
    assert slept == [0.05, 0.1]


async def test_currencies_new_to_the_house_opened_in_two_orders(store: Store, clock: ManualClock) -> None:
    start = asyncio.Barrier(2)
    original = payments.wallets.ledger.open_accounts  # type: ignore[attr-defined]

    async def slow(*args: Any) -> None:
        await original(*args)
        await asyncio.sleep(0.2)

    async def one(currencies: list[str]) -> None:
        async with store.tx("test") as tx:
            await start.wait()
            await payments.open_wallets(tx, new_id(), currencies, None, clock.now())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payments.wallets.ledger, "open_accounts", slow)  # type: ignore[attr-defined]
        await asyncio.gather(one(["CNY", "USD"]), one(["USD", "CNY"]))


async def test_the_sole_job_is_taken_again_when_the_server_is_full_at_first(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SOLE_CHECK_SECONDS", 0.05)
    take, tries, again = sole._take, list[int](), asyncio.Event()

    async def full(url: str, name: str) -> Any:
        tries.append(1)
        if len(tries) == 2:
            raise psycopg.errors.TooManyConnections
        taken = await take(url, name)
        if len(tries) > 2:
            again.set()
        return taken

    async def lost() -> None:
        raise AssertionError

    monkeypatch.setattr(sole, "_take", full)
    async with sole.sole(database.app_url, "a job", lost):
        async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'till a job' AND datname = current_database()"
            )
        async with asyncio.timeout(60):
            await again.wait()
        with pytest.raises(sole.TakenError):
            await take(database.app_url, "a job")


async def test_a_statement_before_its_first_line_is_empty(platform: Platform) -> None:
    account = await platform.wallet(await platform.customer())
    async with platform.store.tx("test") as tx:
        assert len(await ledger.statement(tx, account.id, 1)) == 0
        assert len(await ledger.statement(tx, account.id, 0)) == 0


@pytest.mark.parametrize("what", ["customers", "merchants", "payments"])
async def test_a_nul_in_a_reference_asked_for(
    store: Store, clock: ManualClock, tmp_path: Path, what: str
) -> None:
    async with calling(store, clock, tmp_path) as api:
        answer = await api.get(f"/v1/{what}", reference="a\x00b")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        422,
        "invalid_value",
        "reference",
    )


async def test_a_shop_is_no_customer_to_open_a_wallet_for(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    async with calling(store, clock, tmp_path) as api:
        shop = await api.merchant("shop")
        answer = await api.post(f"/v1/customers/cus{shop[3:]}/wallets", {"currency": "USD"})
    assert answer.status_code == 404


async def test_no_more_wallets_than_allowed_when_opened_at_once(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_WALLETS", 2)
    owner = new_id()
    async with store.tx("test") as tx:
        await payments.open_wallets(tx, owner, ["CNY"], None, clock.now())

    async def one(currency: str) -> None:
        async with store.tx("test") as tx:
            await payments.open_wallets(tx, owner, [currency], None, clock.now())

    await asyncio.gather(one("USD"), one("JPY"), return_exceptions=True)
    monkeypatch.setattr(limits, "MAX_WALLETS", 16)
    async with store.tx("test") as tx:
        assert len(await payments.wallets_with_accounts(tx, [owner])) == 2


async def test_transfers_of_a_refund_come_in_the_order_they_were_booked(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    paid = await platform.pay(payer, shop)
    await platform.ask(commands.RefundPayment(paid.id))
    async with platform.store.tx("test") as tx:
        kinds = [each.kind for each in await ledger.transfers_of(tx, paid.id)]
    assert kinds == ["payment", "fee", "fee_return", "refund"]

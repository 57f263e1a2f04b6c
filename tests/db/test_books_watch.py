"""The books are looked at while they move: every kind of fault is planted and found, and what is right raises no alarm."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.support.shop import HELD, Shop, open_shop
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.ledger import begin_watch
from tillkeeper.monitoring import Books
from tillkeeper.store import Store

Admin = psycopg.AsyncConnection


@pytest.fixture
async def shop(store: Store, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as shop:
        yield shop


async def found(books: Books) -> set[str]:
    """The codes of what a look that sums everything up finds."""
    books.sum_up_next()
    return {fault.code for fault in (await books.look()).faults}


async def test_nothing_is_found_in_books_that_are_right(shop: Shop, store: Store) -> None:
    books = Books(store)
    assert await found(books) == set()
    payer, merchant = await shop.customer("王芳"), await shop.merchant("茶馆")
    paid = await shop.pay(payer, merchant)
    await shop.pay(payer, merchant, HELD)
    await shop.refund(paid["id"], 100)
    await shop.refund(paid["id"])
    assert await found(books) == set()
    assert await found(Books(store)) == set()


# What a person, a script or a migration might do to the money, and what must be said of it.
FAULTS = {
    "money out of nothing": (
        "UPDATE ledger.accounts SET balance = balance + 100 WHERE purpose = 'wallet' AND balance > 0",
        {"unbalanced", "moved_without_transfer"},
    ),
    "money moved between two accounts": (
        (
            "UPDATE ledger.accounts SET balance = balance + CASE WHEN id = (SELECT min(id::text)::uuid FROM ledger.accounts"
            " WHERE purpose = 'wallet') THEN 7 ELSE -7 END WHERE purpose = 'wallet'"
        ),
        {"moved_without_transfer"},
    ),
    "a transfer lost": (
        "DELETE FROM ledger.transfers WHERE kind = 'fee'; SELECT pg_stat_force_next_flush()",
        {"moved_without_transfer", "fee_differs"},
    ),
    "an account below its limit": (
        (
            "ALTER TABLE ledger.accounts DROP CONSTRAINT within_limit;"
            "UPDATE ledger.accounts SET lower_limit = balance + 5 WHERE purpose = 'fees'"
        ),
        {"guard_missing", "account_below_limit"},
    ),
    "a refund booked twice": (
        (
            "INSERT INTO ledger.transfers SELECT uuidv7(), debit_account, credit_account, amount, kind, payment, hold,"
            " reverses, debit_balance, credit_balance, debit_version + 100, credit_version + 100, counted_day, event_at, booked_at"
            " FROM ledger.transfers WHERE kind = 'refund'"
        ),
        {"refund_differs", "moved_without_transfer"},
    ),
    "a refund without its row": (
        "DELETE FROM payments.refunds",
        {"refund_differs"},
    ),
    "a capture that the books do not know": (
        "UPDATE payments.payments SET captured = captured + 1, amount = amount + 1 WHERE kind = 'payment' AND captured > 0",
        {"captured_differs"},
    ),
    "more captured than authorised": (
        (
            "ALTER TABLE payments.payments DROP CONSTRAINT payments_check;"
            "UPDATE payments.payments SET amount = 1 WHERE kind = 'payment' AND captured > 0"
        ),
        {"captured_beyond_authorised"},
    ),
    "more refunded than captured": (
        (
            "ALTER TABLE payments.payments DROP CONSTRAINT payments_check1;"
            "UPDATE payments.payments SET captured = 1 WHERE kind = 'payment' AND captured > 0"
        ),
        {"refunded_beyond_captured", "captured_differs"},
    ),
    "a hold of a payment that ended": (
        "UPDATE payments.payments SET state = 'declined' WHERE state = 'in_review'",
        {"hold_left_open"},
    ),
    "a hold captured that the payment does not know": (
        "UPDATE ledger.holds SET captured = 1 WHERE state = 'open'",
        {"hold_differs"},
    ),
    "the bank says otherwise": (
        "UPDATE payments.rail_attempts SET amount = amount + 1",
        {"rail_differs"},
    ),
    "a transfer of no payment": (
        (
            "INSERT INTO ledger.transfers SELECT uuidv7(), debit_account, credit_account, amount, kind, uuidv7(), hold,"
            " reverses, debit_balance, credit_balance, debit_version + 100, credit_version + 100, counted_day, event_at, booked_at"
            " FROM ledger.transfers WHERE kind = 'fee'"
        ),
        {"transfer_without_payment", "moved_without_transfer"},
    ),
    "keys may be used twice": (
        "ALTER TABLE store.idempotency DROP CONSTRAINT idempotency_pkey",
        {"guard_missing"},
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_planted_fault_is_found(name: str, shop: Shop, store: Store, admin: Admin) -> None:
    payer, merchant = await shop.customer("王芳"), await shop.merchant("茶馆")
    paid = await shop.pay(payer, merchant)
    await shop.pay(payer, merchant, HELD)
    await shop.refund(paid["id"], 100)
    books = Books(store)
    assert await found(books) == set()
    sql, codes = FAULTS[name]
    await admin.execute(sql.encode())
    assert await found(books) == codes
    assert await found(books) == codes, "a fault stays found until it is mended"


async def test_a_fault_that_is_mended_is_found_no_more(shop: Shop, store: Store, admin: Admin) -> None:
    await shop.customer("王芳")
    books = Books(store)
    await found(books)
    await admin.execute(b"UPDATE ledger.accounts SET balance = balance + 1 WHERE purpose = 'bank'")
    assert await found(books) == {"unbalanced", "moved_without_transfer"}
    await admin.execute(b"UPDATE ledger.accounts SET balance = balance - 1 WHERE purpose = 'bank'")
    assert await found(books) == set()


async def test_what_was_done_to_every_payment_makes_no_look_longer_and_longer(
    shop: Shop, store: Store, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, merchant = await shop.customer("王芳"), await shop.merchant("茶馆")
    for _ in range(4):
        await shop.pay(payer, merchant)
    monkeypatch.setattr(limits, "BOOKS_WALK", 1)
    monkeypatch.setattr(limits, "BOOKS_SUSPECTS", 2)
    books = Books(store)
    await admin.execute(
        b"UPDATE payments.payments SET captured = captured + 1, amount = amount + 1 WHERE kind = 'payment'"
    )
    faults = [(await books.look()).faults for _ in range(8)]
    assert max(map(len, faults)) == len(faults[-1]) == 2
    await admin.execute(
        b"UPDATE payments.payments SET captured = captured - 1, amount = amount - 1 WHERE kind = 'payment'"
        b" AND id IN (SELECT id FROM payments.payments WHERE kind = 'payment' ORDER BY id LIMIT 3)"
    )
    faults = [(await books.look()).faults for _ in range(8)]
    assert len(faults[-1]) == 1, "one that is left is found by the walk"


async def test_the_account_and_the_amount_are_named(shop: Shop, store: Store, admin: Admin) -> None:
    await shop.customer("王芳", 5_000)
    await admin.execute(b"UPDATE ledger.accounts SET balance = balance - 321 WHERE purpose = 'wallet'")
    look = await Books(store).look()
    amounts = {fault.code: (fault.currency, fault.amount) for fault in look.faults}
    assert amounts == {"unbalanced": ("CNY", 321), "moved_without_transfer": ("CNY", 321)}
    assert "4679" in next(fault.said for fault in look.faults if fault.code == "moved_without_transfer")


async def test_a_transfer_that_commits_late_raises_no_alarm(shop: Shop, store: Store, admin: Admin) -> None:
    """Its id is older than what the looks in between have read."""
    payer, merchant = await shop.customer("王芳"), await shop.merchant("茶馆")
    await shop.pay(payer, merchant)
    books = Books(store)
    await found(books)
    late = (
        b"INSERT INTO ledger.transfers SELECT uuidv7(interval '-1 hour'), debit_account, credit_account, 0 + 1, 'test', payment,"
        b" NULL, NULL, debit_balance, credit_balance, debit_version + 50, credit_version + 50, NULL, event_at, booked_at"
        b" FROM ledger.transfers WHERE kind = 'fee'"
    )
    async with admin.transaction():
        await admin.execute(late)
        await admin.execute(
            b"UPDATE ledger.accounts AS a SET balance = balance + CASE WHEN a.id = credit_account THEN 1 ELSE -1 END"
            b" FROM ledger.transfers AS t WHERE t.kind = 'test' AND a.id IN (debit_account, credit_account)"
        )
        assert await found(books) == set(), "it is not there yet"
    assert "moved_without_transfer" not in await found(books)


async def test_looks_while_payments_go_on_raise_no_alarm(shop: Shop, store: Store) -> None:
    payer, merchant = await shop.customer("王芳", 100_000_000), await shop.merchant("茶馆")
    books = Books(store)
    done = asyncio.Event()

    async def trade() -> None:
        for _ in range(15):
            paid = await asyncio.gather(*(shop.pay(payer, merchant) for _ in range(10)))
            await asyncio.gather(*(shop.refund(each["id"]) for each in paid[:3]))
        done.set()

    trading, looks = asyncio.create_task(trade()), 0
    while not done.is_set() or looks < 10:
        assert await found(books) == set()
        looks += 1
    await trading


async def test_a_snapshot_is_a_moment(store: Store) -> None:
    async with store.tx("first") as tx:
        first = await begin_watch(tx)
    async with store.tx("second") as tx:
        second = await begin_watch(tx)
    assert first.end <= second.end


async def test_summing_up_costs_no_more_than_its_share(shop: Shop, store: Store) -> None:
    """After a sum that took long the next one waits."""
    await shop.customer("王芳")
    clock = SystemClock()
    books = Books(store, clock, share=0.0001)
    first = await books.look()
    second = await books.look()
    assert first.checked > second.checked

"""What may leave a wallet in a day: two payments cannot both pass, the day ends where the business is."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.platform import ASKED, Platform, key, opened
from tests.support.postgres import Database
from tillkeeper import ledger
from tillkeeper.base.clock import ManualClock
from tillkeeper.payments.commands import (
    AnswerChallenge,
    Capture,
    Pay,
    RefundPayment,
    SendMoney,
    Void,
    Withdraw,
)
from tillkeeper.store import Store

LIMIT = 1000


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


async def test_parallel_payments_of_two_processes_pass_the_limit_together_never(
    platform: Platform, database: Database, tmp_path: Path
) -> None:
    payer, shop = await platform.customer(day_limit=LIMIT), await platform.merchant()
    async with Store.opened(database.app_url) as store, opened(store, platform.clock, tmp_path) as other:
        said = await asyncio.gather(
            *((platform, other)[n % 2].ask(Pay(payer, shop, 90, "CNY"), key(str(n))) for n in range(30))
        )
    assert Counter(each.code for each in said) == {"None": 11, "daily_limit_exceeded": 19}
    wallet = await platform.wallet(payer)
    assert (wallet.day_spent, wallet.balance) == (990, 1_000_000 - 990)


async def test_payments_sends_withdrawals_and_holds_count_together(platform: Platform) -> None:
    payer, friend = await platform.customer(day_limit=LIMIT), await platform.customer()
    shop = await platform.merchant()
    assert (await platform.pay(payer, shop, 300)).state == "succeeded"
    assert (await platform.ask(SendMoney(payer, friend, 300, "CNY"))).state == "succeeded"
    assert (await platform.ask(Withdraw(payer, 300, "CNY"))).state == "pending"
    assert (await platform.pay(payer, shop, 100, manual=True)).state == "authorized"
    for more in (Pay(payer, shop, 1, "CNY"), SendMoney(payer, friend, 1, "CNY"), Withdraw(payer, 1, "CNY")):
        said = await platform.ask(more)
        assert (said.state, said.code) == ("declined", "daily_limit_exceeded")


async def test_what_is_released_may_be_spent_and_what_is_refunded_not(platform: Platform) -> None:
    payer, shop = await platform.customer(day_limit=LIMIT), await platform.merchant()
    held = [await platform.pay(payer, shop, 500, manual=True) for _ in range(2)]
    assert (await platform.pay(payer, shop, 1)).code == "daily_limit_exceeded"
    await platform.ask(Void(held[0].id))
    await platform.ask(Capture(held[1].id, 200))
    assert (await platform.wallet(payer)).day_spent == 200
    paid = await platform.pay(payer, shop, 800)
    assert paid.state == "succeeded"
    await platform.ask(RefundPayment(paid.id))
    assert (await platform.pay(payer, shop, 1)).code == "daily_limit_exceeded"


async def test_a_refused_withdrawal_gives_its_part_of_the_day_back(platform: Platform) -> None:
    payer = await platform.customer(day_limit=LIMIT)
    said = await platform.ask(Withdraw(payer, LIMIT, "CNY"))
    await platform.settle(said.id, accepted=False)
    assert (await platform.ask(Withdraw(payer, LIMIT, "CNY"))).state == "pending"


async def test_a_challenge_answered_the_next_day_counts_on_the_day_it_was_asked(
    platform: Platform, clock: ManualClock
) -> None:
    payer, shop = await platform.customer(day_limit=ASKED), await platform.merchant()
    clock.advance((4 * 60 - 1) * 60)  # 23:59 in Shanghai
    said = await platform.pay(payer, shop, ASKED)
    clock.advance(120)
    done = await platform.ask(AnswerChallenge(said.id, said.body["challenge"]["sandbox_code"]))
    assert done.state == "succeeded"
    assert (await platform.pay(payer, shop, ASKED)).state == "challenged"
    assert (await platform.pay(payer, shop, 1)).code == "daily_limit_exceeded"


async def test_the_day_ends_at_midnight_of_the_business(platform: Platform, clock: ManualClock) -> None:
    payer, shop = await platform.customer(day_limit=LIMIT), await platform.merchant()
    assert (await platform.pay(payer, shop, LIMIT)).state == "succeeded"
    clock.advance((datetime(2026, 4, 15, 15, 59, 59, tzinfo=UTC) - clock.now()).total_seconds())
    assert (await platform.pay(payer, shop, 1)).code == "daily_limit_exceeded"
    clock.advance(1)
    assert (await platform.pay(payer, shop, LIMIT)).state == "succeeded"


async def test_events_of_yesterday_get_no_second_allowance(platform: Platform, clock: ManualClock) -> None:
    payer, shop = await platform.customer(day_limit=LIMIT), await platform.merchant()
    yesterday = datetime(2026, 4, 14, 4, tzinfo=UTC)
    assert (await platform.pay(payer, shop, LIMIT)).state == "succeeded"
    assert (await platform.pay(payer, shop, 1, event_at=yesterday)).code == "daily_limit_exceeded"


async def test_a_changed_limit_holds_for_the_same_day(platform: Platform) -> None:
    payer, shop = await platform.customer(day_limit=LIMIT), await platform.merchant()
    assert (await platform.pay(payer, shop, LIMIT)).state == "succeeded"
    wallet = await platform.wallet(payer)
    for limit, amount, state in (
        (LIMIT + 5, 6, "declined"),
        (LIMIT + 5, 5, "succeeded"),
        (None, 400, "succeeded"),
    ):
        async with platform.store.tx("limit") as tx:
            assert await ledger.limit_day(tx, wallet.id, limit)
        assert (await platform.pay(payer, shop, amount)).state == state


async def test_each_wallet_has_its_own_day(platform: Platform) -> None:
    currencies = ("CNY", "JPY")
    payer, shop = (
        await platform.customer(currencies=currencies, day_limit=LIMIT),
        await platform.merchant(currencies=currencies),
    )
    for currency in currencies:
        assert (await platform.pay(payer, shop, LIMIT, currency=currency)).state == "succeeded"


async def test_what_merchants_pay_out_has_no_limit(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant(fee_bps=0)
    await platform.pay(payer, shop, 40_000)
    assert (await platform.ask(Withdraw(shop, 40_000, "CNY"))).state == "pending"

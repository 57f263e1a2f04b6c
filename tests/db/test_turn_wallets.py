"""The turn remembers whose account is whose: what is not there is asked for again, and the memory is bounded."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.platform import FINE, Platform, opened
from tillkeeper import payments
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.store import Store


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


async def test_a_wallet_opened_later_is_found(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant(fee_bps=0, currencies=["USD"])
    assert (await platform.pay(payer, shop)).code == "unknown_wallet"
    async with platform.store.tx("open") as tx:
        await payments.open_wallets(tx, shop, ["CNY"], None, platform.clock.now())
    assert (await platform.pay(payer, shop)).state == "succeeded"
    assert (await platform.wallet(shop)).balance == FINE


async def test_beyond_its_bound_the_memory_begins_anew(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WALLETS_REMEMBERED", 3)
    payers = [await platform.customer() for _ in range(4)]
    shop = await platform.merchant(fee_bps=0)
    for payer in payers * 2:
        assert (await platform.pay(payer, shop)).state == "succeeded"
        assert len(platform.till._wallets) <= 3 + 2  # a turn adds its own before it looks again
    assert (await platform.wallet(shop)).balance == 8 * FINE

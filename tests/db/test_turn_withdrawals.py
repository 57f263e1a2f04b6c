"""Withdrawals are decided by risk like payments: allowed, refused, or held for a person, and no money is lost or stuck."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.desk import console
from tests.support.platform import ZONE, Platform, Said, key, opened
from tillkeeper import parties, payments
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.payments import Till, expire_due
from tillkeeper.payments.commands import Context, Pay, Review, SettleRail, Withdraw
from tillkeeper.payments.flows.rail import bank_account
from tillkeeper.payments.watch import on_the_way
from tillkeeper.risk import RiskEngine, explain, receipt
from tillkeeper.store import Store

RULES = """
reference = "CNY"
other = 100
[worth]
CNY = 100
[[rule]]
name = "cash_out"
version = 1
outcome = "hold"
on = "withdrawal"
when = "(amount >= 50_000) & (payee_new == 1)"
reason.zh = "向新银行账户提现 {amount}"
reason.en = "{amount} to a new bank account"
[[rule]]
name = "far_too_much"
version = 1
outcome = "deny"
on = ["payment", "withdrawal"]
when = "amount >= 500_000"
reason.zh = "{amount}"
reason.en = "{amount} is too much"
[[rule]]
name = "by_phone"
version = 1
outcome = "challenge"
on = "withdrawal"
when = "(device_customers_24h >= 1) & (amount == 777)"
reason.zh = "{device_customers_24h}"
reason.en = "{device_customers_24h}"
"""


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        (tmp_path / "exact.toml").write_text(RULES, "utf-8")
        engine = await RiskEngine.open(store, tmp_path / "exact.toml", clock, ZONE)
        made.till = Till(store, engine, clock, ZONE)
        yield made
        await made.till.close()


async def banks_asked(platform: Platform) -> int:
    """Orders that banks are asked about now."""
    async with platform.store.tx("look") as tx:
        asked = await payments.unanswered(tx, platform.clock.now() + timedelta(days=1))
        assert sum(each.attempts for each in await on_the_way(tx)) == len(asked)
    return len(asked)


async def review(platform: Platform, said: Said, *, release: bool) -> Said:
    return await platform.ask(Review(said.id, release, "anna", "looked at it"))


async def test_what_risk_has_nothing_against_goes_to_the_bank(platform: Platform) -> None:
    who = await platform.customer()
    said = await platform.ask(Withdraw(who, 1000, "CNY", "DE00 1234"))
    assert (said.state, said.body["risk"]) == ("pending", "allow")
    async with platform.store.tx("look") as tx:
        found = await receipt(tx, said.id)
    assert found is not None
    assert (found.kind, found.customer, found.payee) == ("withdrawal", who, bank_account(who, "DE00 1234"))
    assert explain(found).same
    assert (await platform.settle(said.id, accepted=True)).state == "succeeded"


async def test_a_refused_withdrawal_leaves_everything_as_it_was(platform: Platform) -> None:
    who = await platform.customer()
    said = await platform.ask(Withdraw(who, 500_000, "CNY"), key("much"))
    assert (said.state, said.code) == ("declined", "denied_by_risk")
    assert [each["rule"] for each in said.body["reasons"]] == ["cash_out", "far_too_much"]
    assert (await platform.wallet(who)).held == 0
    assert await banks_asked(platform) == 0
    assert (await platform.ask(Withdraw(who, 500_000, "CNY"), key("much"))).raw == said.raw
    shop = await platform.merchant()
    assert (await platform.ask(Pay(who, shop, 500_000, "CNY"))).state == "declined"


async def test_a_held_withdrawal_is_released_to_its_bank(platform: Platform, clock: ManualClock) -> None:
    who = await platform.customer()
    said = await platform.ask(Withdraw(who, 60_000, "CNY", "new account"))
    assert (said.state, said.body["risk"]) == ("in_review", "hold")
    assert (await platform.wallet(who)).held == 60_000
    assert await banks_asked(platform) == 0
    bank = SettleRail(await platform.attempt(said.id), said.id, True, "nobody asked")
    assert (await platform.ask(bank)).code == "wrong_state"
    clock.advance(3600)
    async with platform.store.tx("freeze") as tx:
        await parties.set_customer_state(tx, who, "frozen")
    assert (await review(platform, said, release=True)).code == "customer_frozen"
    async with platform.store.tx("unfreeze") as tx:
        await parties.set_customer_state(tx, who, "active")
    released = await review(platform, said, release=True)
    assert (released.state, released.body["expires_at"]) == ("pending", None)
    assert await banks_asked(platform) == 1
    clock.advance(limits.REVIEW_SECONDS + 1)
    assert await expire_due(platform.store, platform.till.submit, clock) == 0  # the bank has the word now
    assert (await platform.settle(said.id, accepted=True)).state == "succeeded"
    wallet = await platform.wallet(who)
    assert (wallet.balance, wallet.held) == (1_000_000 - 60_000, 0)
    assert (await review(platform, said, release=True)).code == "wrong_state"
    assert await platform.balanced()


@pytest.mark.parametrize("how", ["refused", "expired", "rejected"])
async def test_a_held_withdrawal_that_comes_to_nothing_gives_the_money_back(
    platform: Platform, clock: ManualClock, how: str
) -> None:
    who = await platform.customer()
    said = await platform.ask(Withdraw(who, 60_000, "CNY", "new account"))
    if how == "refused":
        assert (await review(platform, said, release=False)).state == "declined"
    elif how == "expired":
        clock.advance(limits.REVIEW_SECONDS + 1)
        assert await expire_due(platform.store, platform.till.submit, clock) == 1
        assert (await platform.payment(said.id)).state == "expired"
    else:
        await review(platform, said, release=True)
        assert (await platform.settle(said.id, accepted=False)).state == "failed"
    wallet = await platform.wallet(who)
    assert (wallet.balance, wallet.held) == (1_000_000, 0)
    assert await banks_asked(platform) == 0
    assert await platform.count("payments.rail_attempts WHERE state = 'due'") == 0
    assert await platform.balanced()


async def test_what_would_be_a_challenge_waits_for_a_person(platform: Platform) -> None:
    who = await platform.customer()
    said = await platform.ask(Withdraw(who, 777, "CNY", context=Context(device="phone")))
    assert (said.state, said.body["risk"], said.body["challenge"]) == ("in_review", "challenge", None)


async def test_a_payout_is_decided_too(platform: Platform) -> None:
    who, shop = await platform.customer(), await platform.merchant(fee_bps=0)
    for _ in range(2):
        await platform.pay(who, shop, 40_000)
    said = await platform.ask(Withdraw(shop, 60_000, "CNY"))
    assert (said.body["kind"], said.state) == ("payout", "in_review")
    assert (await review(platform, said, release=True)).state == "pending"


async def test_the_bank_account_is_the_payee(platform: Platform, clock: ManualClock) -> None:
    """A new account is new once; an account that the owner used before is not."""
    who = await platform.customer()
    small = await platform.ask(Withdraw(who, 10, "CNY", "mine"))
    await platform.settle(small.id, accepted=True)
    clock.advance(60)
    assert (await platform.ask(Withdraw(who, 60_000, "CNY", "mine"))).state == "pending"
    assert (await platform.ask(Withdraw(who, 60_000, "CNY", "other"))).state == "in_review"
    assert bank_account(who, "") != bank_account(await platform.customer(), "")
    assert bank_account(who, "de00 1234\t5") == bank_account(
        who, "DE0012345"
    )  # another spelling is no other account


async def test_a_held_withdrawal_is_seen_and_released_in_the_console(platform: Platform) -> None:
    who = await platform.customer()
    said = await platform.ask(Withdraw(who, 60_000, "CNY", "new account"))
    async with console(platform.store, platform.vault, platform.clock) as open_console:
        anna = await open_console.sign_in("anna", ["operator"])
        for page in ("/held", f"/payments/{said.body['id']}", "/payments?kind=withdrawal"):
            shown = await anna.get(page)
            assert (shown.status_code, said.body["id"] in shown.text) == (200, True), page
        done = await anna.post(f"/held/{said.body['id']}", verdict="release", reason="she called")
        assert done.headers["location"] == "/held?notice=released"
    assert (await platform.payment(said.id)).state == "pending"
    assert await banks_asked(platform) == 1

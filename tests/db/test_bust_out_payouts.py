"""A merchant that goes bust takes the money out: what one person proposes and a second agrees to holds what is still there."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.platform import ZONE, Platform, Said, opened
from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.base.results import Refusal
from tillkeeper.payments import Till
from tillkeeper.payments.commands import Context, Pay, Review, Withdraw
from tillkeeper.risk import Listing, Proposal, RiskEngine, warning
from tillkeeper.store import Store

RULES = """
reference = "CNY"
other = 100
[worth]
CNY = 100
[[rule]]
name = "vast"
version = 1
outcome = "deny"
when = "amount >= 90_000_000"
reason.zh = "{amount}"
reason.en = "{amount}"
"""
SALES = 12
PRICE = 50_000


class Town:
    """Shops, their guests, and the watch."""

    def __init__(self, platform: Platform, engine: RiskEngine, clock: ManualClock) -> None:
        self.platform, self.engine, self.clock = platform, engine, clock
        self.watch = warning.Watchman(platform.store, clock)
        self.guests: list[UUID] = []

    async def sells(self, shop: UUID, price: int, *, phone: str, every: float) -> None:
        """Each guest buys once, on the phone of that name and their number in it."""
        for n, guest in enumerate(self.guests):
            self.clock.advance(every)
            context = Context(device=phone.format(n, n % 2))
            said = await self.platform.ask(Pay(guest, shop, price, "CNY", context=context))
            assert said.state == "succeeded"

    async def lives(self, *shops: UUID) -> None:
        """Every guest was at every shop, an hour ago at the latest, on a phone of their own."""
        for shop in shops:
            await self.sells(shop, PRICE // 5, phone="own-{0}", every=300)
        self.clock.advance(3600)

    async def goes_bust(self, shop: UUID) -> warning.Signal:
        """Guests of a second, on two phones; the signal that comes of it."""
        await self.sells(shop, PRICE, phone="till-{1}", every=1)
        await self.watch.look()
        async with self.platform.store.tx("test") as tx:
            found = [each for each in await warning.open_signals(tx) if each.kind == "merchant_bust_out"]
        (signal,) = found
        assert signal.about == str(shop)
        return signal

    async def proposes(self, signal: warning.Signal) -> Proposal:
        async with self.platform.store.tx("test") as tx:
            made = await warning.propose(tx, signal.id, "li.na", "it takes the money", self.clock)
        assert not isinstance(made, Refusal)
        return made

    async def agrees(self, made: Proposal) -> None:
        """As a second person does; the four eyes are tested elsewhere."""
        async with self.platform.store.tx("test") as tx:
            now = self.clock.now()
            assert await risk.activate(tx, made.rule_set, now, "people", "li.na, wang.wei", made.id)
        await self.engine.refresh()

    async def pays_out(self, owner: UUID, amount: int) -> Said:
        return await self.platform.ask(Withdraw(owner, amount, "CNY", f"bank of {owner}"))

    async def watched(self) -> list[Listing]:
        async with self.platform.store.tx("test") as tx:
            return [each for each in await risk.listings(tx, self.clock.now()) if each.list == "watch"]


@pytest.fixture
async def clock() -> ManualClock:
    """Ids are made by the machine's clock, so the watch begins at that time; it looks once, at everything since."""
    return ManualClock(SystemClock().now())


@pytest.fixture
async def town(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Town]:
    async with opened(store, clock, tmp_path) as platform:
        (tmp_path / "plain.toml").write_text(RULES, "utf-8")
        engine = await RiskEngine.open(store, tmp_path / "plain.toml", clock, ZONE)
        platform.till = Till(store, engine, clock, ZONE)
        made = Town(platform, engine, clock)
        made.guests = [await platform.customer() for _ in range(SALES)]
        await made.watch.begin()
        yield made
        await platform.till.close()


async def test_what_is_still_there_when_two_people_have_agreed_waits_for_a_person(town: Town) -> None:
    shop, honest = await town.platform.merchant(), await town.platform.merchant()
    await town.lives(honest, shop)
    signal = await town.goes_bust(shop)
    made = await town.proposes(signal)
    # A proposal alone stops nothing: it is one person's.
    first = await town.pays_out(shop, 10_000)
    assert first.state == "pending"
    (entry,) = await town.watched()
    assert (entry.entity, entry.key, entry.author) == ("customer", str(shop), "li.na")
    await town.agrees(made)
    town.clock.advance(600)
    left = (await town.platform.wallet(shop)).available
    held = await town.pays_out(shop, left)
    assert (held.state, held.body["risk"]) == ("in_review", "hold")
    (reason,) = held.body["reasons"]
    assert reason["rule"].endswith("_payouts")
    assert f"a watched merchant that {SALES} customers paid" in reason["text"]
    assert (await town.platform.wallet(shop)).available == 0
    # The shop next door, with as many guests, has its money, and so has a guest.
    assert (await town.pays_out(honest, PRICE)).state == "pending"
    assert (await town.pays_out(town.guests[0], PRICE)).state == "pending"
    refused = await town.platform.ask(Review(held.id, False, "anna", "gone bust"))
    assert refused.state == "declined"
    assert (await town.platform.wallet(shop)).available == left


async def test_the_hold_ends_by_itself(town: Town) -> None:
    shop = await town.platform.merchant()
    await town.lives(shop)
    await town.agrees(await town.proposes(await town.goes_bust(shop)))
    town.clock.advance(limits.REMEDY_SECONDS - 60)
    assert (await town.pays_out(shop, 1000)).state == "in_review"
    town.clock.advance(120)
    assert (await town.pays_out(shop, 1000)).state == "pending"
    assert await town.watched() == []


async def test_one_person_stops_payouts_at_once_with_the_block_list(town: Town) -> None:
    shop, now = await town.platform.merchant(), town.clock.now()
    await town.lives(shop)
    async with town.platform.store.tx("test") as tx:
        entry = Listing("block", "customer", str(shop), now + timedelta(days=1), "gone bust", "anna", now)
        await risk.put_on_list(tx, entry, town.clock)
    await town.engine.refresh()
    refused = await town.pays_out(shop, 1000)
    assert (refused.state, refused.code) == ("declined", "denied_by_risk")
    assert (await town.platform.wallet(shop)).held == 0


async def test_who_is_watched_for_reasons_of_their_own_stays_so_for_as_long_and_waits_for_nothing(
    town: Town,
) -> None:
    shop, person, now = await town.platform.merchant(), town.guests[0], town.clock.now()
    await town.lives(shop)
    signal = await town.goes_bust(shop)
    async with town.platform.store.tx("test") as tx:
        for each in (shop, person):
            entry = Listing("watch", "customer", str(each), None, "a case", "anna", now)
            await risk.put_on_list(tx, entry, town.clock)
    await town.agrees(await town.proposes(signal))
    assert {(each.key, each.author, each.until) for each in await town.watched()} == {
        (str(shop), "anna", None), (str(person), "anna", None),
    }  # fmt: skip
    assert (await town.pays_out(shop, 1000)).state == "in_review"
    assert (await town.pays_out(person, 1000)).state == "pending"


async def test_whom_people_took_off_the_watch_list_is_put_on_it_again(town: Town) -> None:
    shop, now = await town.platform.merchant(), town.clock.now()
    await town.lives(shop)
    signal = await town.goes_bust(shop)
    async with town.platform.store.tx("test") as tx:
        await risk.put_on_list(
            tx, Listing("watch", "customer", str(shop), None, "a case", "anna", now), town.clock
        )
        assert await risk.take_off_list(tx, "watch", "customer", str(shop), "anna", "closed", town.clock)
    await town.agrees(await town.proposes(signal))
    assert (await town.pays_out(shop, 1000)).state == "in_review"

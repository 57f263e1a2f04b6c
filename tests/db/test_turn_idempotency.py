"""One key, one effect, the same bytes: in one turn, in many, in two processes, after a restart."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.platform import ASKED, FINE, REFUSED, ZONE, Platform, Said, key, opened
from tests.support.postgres import Database
from tests.support.strongroom import bare_vault
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.payments import Till
from tillkeeper.payments.commands import Pay, RefundPayment, SettleRail, TopUp, Withdraw
from tillkeeper.risk import Attempt, Decision
from tillkeeper.store import Store, Tx
from tillkeeper.vault import catalogue


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


async def _effects(platform: Platform) -> dict[str, int]:
    """How many rows there are of everything that a command may leave."""
    tables = ("payments.payments", "ledger.transfers", "ledger.holds", "risk.decisions", "store.outbox")
    return {table: await platform.count(table) for table in tables}


async def test_the_same_key_in_one_turn(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    command = Pay(payer, shop, FINE, "CNY")
    said = await asyncio.gather(*(platform.ask(command, key("k", command)) for _ in range(5)))
    assert {each.raw for each in said} == {said[0].raw}
    assert (said[0].status, said[0].state) == (201, "succeeded")
    assert (await platform.wallet(payer)).balance == 1_000_000 - FINE


async def test_the_same_key_in_later_turns_and_later_days(platform: Platform, clock: ManualClock) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    command = Pay(payer, shop, FINE, "CNY")
    first = await platform.ask(command, key("k", command))
    before = await _effects(platform)
    for _ in range(3):
        clock.advance(30 * 86400)
        assert await platform.ask(command, key("k", command)) == first
    assert await _effects(platform) == before


async def test_the_same_key_with_another_body_is_refused_and_changes_nothing(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    first = await platform.ask(Pay(payer, shop, FINE, "CNY"), key("k", 1))
    before = await _effects(platform)
    other = Pay(payer, shop, FINE + 1, "CNY")
    together = await asyncio.gather(*(platform.ask(other, key("k", 2)) for _ in range(2)))
    assert {(said.status, said.code) for said in together} == {(409, "idempotency_key_reused")}
    assert await _effects(platform) == before
    assert await platform.ask(Pay(payer, shop, FINE, "CNY"), key("k", 1)) == first


async def test_two_bodies_with_one_key_at_once_one_wins(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await asyncio.gather(
        *(platform.ask(Pay(payer, shop, FINE + n, "CNY"), key("k", n)) for n in range(4))
    )
    assert sorted(each.status for each in said) == [201, 409, 409, 409]


async def test_keys_of_two_principals_do_not_meet(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    command = Pay(payer, shop, FINE, "CNY")
    said = [await platform.ask(command, key("k", command, principal=new_id())) for _ in range(2)]
    assert said[0].id != said[1].id


async def test_a_refusal_is_an_answer_too_and_stays(platform: Platform) -> None:
    payer, shop = await platform.customer(funds=0), await platform.merchant()
    unknown, poor = Pay(payer, new_id(), FINE, "CNY"), Pay(payer, shop, FINE, "CNY")
    first = [await platform.ask(command, key(str(n), command)) for n, command in enumerate((unknown, poor))]
    assert [each.code for each in first] == ["unknown_merchant", "insufficient_funds"]
    top_up = await platform.ask(TopUp(payer, 1_000_000, "CNY"))
    await platform.settle(top_up.id, accepted=True)
    assert [
        await platform.ask(command, key(str(n), command)) for n, command in enumerate((unknown, poor))
    ] == first


async def test_the_code_of_a_challenge_is_answered_again(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    command = Pay(payer, shop, ASKED, "CNY")
    first = await platform.ask(command, key("k", command))
    assert len(first.body["challenge"]["sandbox_code"]) == 6
    assert await platform.ask(command, key("k", command)) == first


async def test_every_kind_of_command_keeps_its_key(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    paid = await platform.pay(payer, shop)
    for command in (
        TopUp(payer, 10, "CNY"),
        Withdraw(payer, 10, "CNY"),
        RefundPayment(paid.id, 10),
        Pay(payer, shop, REFUSED, "CNY"),
    ):
        first = await platform.ask(command, key(type(command).__name__, command))
        before = await _effects(platform)
        assert await platform.ask(command, key(type(command).__name__, command)) == first
        assert await _effects(platform) == before


async def test_the_word_of_the_bank_heard_twice_at_once(platform: Platform) -> None:
    payer = await platform.customer(funds=0)
    top_up = await platform.ask(TopUp(payer, 500, "CNY"))
    word = SettleRail(await platform.attempt(top_up.id), top_up.id, accepted=True)
    said = await asyncio.gather(*(platform.ask(word) for _ in range(3)))
    assert sorted(each.status for each in said) == [200, 409, 409]
    assert (await platform.wallet(payer)).balance == 500


@pytest.fixture
async def neighbour(platform: Platform, database: Database, tmp_path: Path) -> AsyncIterator[Platform]:
    """A second process on the same database, with connections and profiles of its own."""
    async with Store.opened(database.app_url) as store, opened(store, platform.clock, tmp_path) as made:
        yield made


async def test_one_key_in_two_processes_at_once(platform: Platform, neighbour: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    for round_ in range(10):
        command = Pay(payer, shop, FINE + round_, "CNY")
        said = await asyncio.gather(
            *(
                each.ask(command, key(f"k{round_}", command))
                for each in (platform, neighbour, platform, neighbour)
            )
        )
        assert {each.raw for each in said} == {said[0].raw}
        assert said[0].state == "succeeded"
    # Ten, and the top-up.
    assert await platform.count("payments.payments") == 11
    assert await platform.balanced()


async def test_one_key_after_a_restart(platform: Platform, database: Database, tmp_path: Path) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    command = Pay(payer, shop, FINE, "CNY")
    first = await platform.ask(command, key("k", command))
    await platform.till.close()
    async with Store.opened(database.app_url) as store, opened(store, platform.clock, tmp_path) as reborn:
        assert await reborn.ask(command, key("k", command)) == first


class Generous:
    """A risk engine that knows nobody and allows everything."""

    def decide(self, attempts: list[Attempt]) -> list[Decision]:
        return [Decision(attempt, "allow", (), 0, b"") for attempt in attempts]

    async def write(self, tx: Tx, decisions: list[Decision]) -> None:
        """Nothing is kept."""


asks = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 600_000])), min_size=1, max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(asks, min_size=1, max_size=3))
async def test_any_mix_of_keys_and_bodies(
    store: Store, database: Database, clock: ManualClock, turns: list[list[tuple[int, int]]]
) -> None:
    """The first body of a key decides for ever. Risk allows everything, so this till is quick to make."""
    till = Till(store, Generous(), clock, ZONE)  # type: ignore[arg-type]
    platform = Platform(store, till, clock, bare_vault(tables=catalogue()))
    payer = await platform.customer()
    principal, first = new_id(), dict[int, tuple[int, Said]]()
    for turn in turns:
        said = await asyncio.gather(
            *(
                platform.ask(Withdraw(payer, amount, "CNY"), key(str(name), amount, principal))
                for name, amount in turn
            )
        )
        for (name, amount), each in zip(turn, said, strict=True):
            decided, answer = first.setdefault(name, (amount, each))
            assert each == answer if amount == decided else each.code == "idempotency_key_reused"
    held = sum(amount for amount, said in first.values() if said.state == "pending")
    assert (await platform.wallet(payer)).held == held

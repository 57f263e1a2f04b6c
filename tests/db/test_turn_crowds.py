"""How turns follow each other: crowds of like size, booked while the one before commits, durable in their order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Platform, opened
from tillkeeper import ledger
from tillkeeper.base.clock import ManualClock
from tillkeeper.payments import rows
from tillkeeper.payments.commands import SendMoney
from tillkeeper.store import Store


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


class Books:
    """The ledger's door: shut while a test collects a crowd, and it counts who comes through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()
        self.sizes: list[int] = []
        post = ledger.post

        async def counted(tx: Any, entries: Sequence[Any], booked_at: Any) -> Any:
            self.reached.set()
            await self.opened.wait()
            outcomes = await post(tx, entries, booked_at)
            self.sizes.append(len({entry.payment for entry in entries}))
            return outcomes

        monkeypatch.setattr(ledger, "post", counted)

    async def came_through(self, crowds: int) -> None:
        """Wait until so many turns were booked."""
        async with asyncio.timeout(30):
            while len(self.sizes) < crowds:  # noqa: ASYNC110 - a matter of milliseconds
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("first", "stragglers", "expected"),
    [
        pytest.param(4, 3, [4, 3], id="few wait until the turn before is booked, and then go together"),
        pytest.param(1, 5, [1, 1, 4], id="as many as the turn before has need not wait"),
    ],
)
async def test_turns_are_of_like_size(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, first: int, stragglers: int, expected: list[int]
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    books = Books(monkeypatch)
    paying = [asyncio.ensure_future(platform.pay(payer, shop)) for _ in range(first)]
    await books.reached.wait()
    for _ in range(stragglers):
        paying.append(asyncio.ensure_future(platform.pay(payer, shop)))
        await asyncio.sleep(0.02)
    books.opened.set()
    assert [said.status for said in await asyncio.gather(*paying)] == [201] * (first + stragglers)
    assert books.sizes == expected
    assert await platform.balanced()


async def test_a_turn_is_booked_early_but_durable_in_its_order(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [await platform.customer() for _ in range(4)]
    before = await platform.count("payments.payments")
    first, second = (SendMoney(payer, payee, 100, "CNY") for payer, payee in (people[:2], people[2:]))
    books, may_write = Books(monkeypatch), asyncio.Event()
    books.opened.set()
    write = rows.write
    committed: list[int] = []

    async def late(tx: Any, results: Sequence[Any]) -> None:
        committed.append(await platform.count("payments.payments") - before)
        await may_write.wait()
        await write(tx, results)

    monkeypatch.setattr(rows, "write", late)
    sent = []
    for place, command in enumerate((first, second), 1):
        sent.append(asyncio.ensure_future(platform.ask(command)))
        await books.came_through(place)  # the second, too, though the first has not committed
    await asyncio.sleep(0.2)  # they have no account in common: nothing but the order holds the second back
    heard = list(committed)
    may_write.set()
    assert heard == [0]
    assert [said.status for said in await asyncio.gather(*sent)] == [201, 201]
    assert committed == [0, 1]
    assert await platform.balanced()

"""When a turn begins: crowds of like size, one deciding while the other is being booked."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Platform, opened
from tillkeeper import ledger
from tillkeeper.base.clock import ManualClock
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
            self.sizes.append(len({entry.payment for entry in entries}))
            return await post(tx, entries, booked_at)

        monkeypatch.setattr(ledger, "post", counted)


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

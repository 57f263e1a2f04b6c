"""News: every row reaches every reader once and in an order that never skips, however transactions overlap."""

import asyncio
import random
from collections import Counter
from uuid import UUID

import pytest

from tests.support.books import NOON
from tillkeeper.base.ids import new_id
from tillkeeper.store import News, Store, outbox
from tillkeeper.store.outbox import Delivered


def news(topic: str) -> News:
    return News(NOON, topic, new_id(), '{"a": 1}')


async def publish(store: Store, *topics: str) -> None:
    async with store.tx("publish") as tx:
        await outbox.publish(tx, [news(topic) for topic in topics])


async def take(store: Store, reader: str = "reader", limit: int = 100) -> list[Delivered]:
    """What a reader does: read, deal with it, advance, all in one transaction."""
    async with store.tx("read") as tx:
        found = await outbox.read(tx, reader, limit)
        if found:
            await outbox.advance(tx, reader, found[-1])
    return found


async def page(store: Store, reader: str = "reader", limit: int = 100) -> list[str]:
    """One reading's topics."""
    return [each.topic for each in await take(store, reader, limit)]


async def topics(store: Store, count: int, reader: str = "reader") -> list[str]:
    """That many topics, in as many readings as it needs: open transactions of other databases delay them too."""
    found: list[str] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found += await page(store, reader)
    return found


async def test_news_arrive_once_in_order_with_all_they_say(store: Store) -> None:
    sent = [news("a"), news("b")]
    async with store.tx("publish") as tx:
        await outbox.publish(tx, sent)
    await settle(store)
    found = await take(store)
    assert [(each.topic, each.subject, each.payload, each.at) for each in found] == [
        (each.topic, each.subject, each.payload, NOON) for each in sent
    ]
    assert await take(store) == []
    await publish(store, "c")
    assert await topics(store, 1) == ["c"]


async def settle(store: Store) -> None:
    """Wait until nobody in the whole server is older than what was committed last."""
    async with asyncio.timeout(30):
        while True:
            async with store.tx("settled") as tx:
                if await tx.value(
                    b"SELECT coalesce(max(xid) < pg_snapshot_xmin(pg_current_snapshot()), true) FROM store.outbox"
                ):
                    return


async def test_a_page_at_a_time(store: Store) -> None:
    await publish(store, *"abcde")
    await settle(store)
    pages = [await page(store, limit=2) for _ in range(4)]
    assert pages == [["a", "b"], ["c", "d"], ["e"], []]


async def test_readers_have_their_own_places(store: Store) -> None:
    await publish(store, "a")
    assert await topics(store, 1, "one") == ["a"]
    await publish(store, "b")
    assert await topics(store, 2, "two") == ["a", "b"]
    assert await topics(store, 1, "one") == ["b"]


async def test_news_of_a_failed_transaction_were_never_there(store: Store) -> None:
    with pytest.raises(KeyError):
        async with store.tx("publish") as tx:
            await outbox.publish(tx, [news("lie")])
            raise KeyError
    await publish(store, "truth")
    assert await topics(store, 1) == ["truth"]


async def test_what_a_reader_did_not_finish_comes_again(store: Store) -> None:
    await publish(store, "a")
    await settle(store)
    with pytest.raises(KeyError):
        async with store.tx("read") as tx:
            found = await outbox.read(tx, "reader")
            await outbox.advance(tx, "reader", found[-1])
            raise KeyError
    assert await topics(store, 1) == ["a"]


async def test_nothing_is_skipped_while_an_earlier_writer_is_still_open(store: Store) -> None:
    """The trap: rows commit out of order, and a cursor that had passed the later ids would never see the earlier."""
    async with store.tx("slow writer") as tx:
        await outbox.publish(tx, [news("early")])
        assert await tx.value(b"SELECT count(*) FROM store.outbox") == 1  # it is written, but not committed
        await publish(store, "late")
        assert await page(store) == []
    assert await topics(store, 2) == ["early", "late"]


async def test_a_reader_that_was_ahead_of_an_open_writer(store: Store) -> None:
    await publish(store, "before")
    await settle(store)
    async with store.tx("slow writer") as tx:
        await outbox.publish(tx, [news("open")])
        await tx.value(b"SELECT 1")
        assert await topics(store, 1) == ["before"]
        await publish(store, "after")
        assert await page(store) == []
    assert await topics(store, 2) == ["open", "after"]


async def test_many_writers_many_pauses_nothing_lost_nothing_twice(store: Store, seed: int) -> None:
    rng, sent, writing = random.Random(seed), list[UUID](), 5
    found: list[Delivered] = []

    async def write(pauses: list[float]) -> None:
        nonlocal writing
        for pause in pauses:
            item = news("n")
            async with store.tx("write") as tx:
                await outbox.publish(tx, [item])
                await tx.value(b"SELECT 1")
                await asyncio.sleep(pause)
            sent.append(item.subject)
        writing -= 1

    async def read() -> None:
        async with asyncio.timeout(30):
            while writing or len(found) < len(sent):
                found.extend(await take(store, limit=5))

    writers = (write([rng.random() * 0.02 for _ in range(15)]) for _ in range(writing))
    await asyncio.gather(read(), *writers)
    await settle(store)
    found.extend(await take(store))
    assert Counter(each.subject for each in found) == Counter(sent)
    places = [(int(each.xid), each.id) for each in found]
    assert places == sorted(places)


async def test_two_processes_with_one_readers_name_take_turns(store: Store) -> None:
    await publish(store, *"abcdefgh")
    await settle(store)
    pages = await asyncio.gather(*(page(store, limit=2) for _ in range(6)))
    assert sorted(topic for each in pages for topic in each) == list("abcdefgh")


async def test_how_far_a_reader_is_behind(store: Store) -> None:
    assert await page(store) == []
    await publish(store, *"abc")
    async with store.tx("lag") as tx:
        assert await outbox.lag(tx, "reader") == (3, NOON)
    assert await topics(store, 3) == list("abc")
    async with store.tx("lag") as tx:
        assert await outbox.lag(tx, "reader") == (0, None)

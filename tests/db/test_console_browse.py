"""The console's read models on rows that the turn wrote, and on many rows: exact, bounded, by index."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest

from tests.support.console_rows import FIRST_MERCHANT, fill
from tests.support.postgres import Database
from tests.support.shop import ASKED, FINE, HELD, REFUSED, ZONE, Shop, open_shop
from tillkeeper import audit
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.base.ids import from_typeid
from tillkeeper.faces.console.board import Board
from tillkeeper.parties import browse as people
from tillkeeper.payments import browse
from tillkeeper.payments.browse import Filter
from tillkeeper.payments.commands import Review
from tillkeeper.risk import browse as risks
from tillkeeper.store import Store
from tillkeeper.vault import Vault


def early() -> ZoneInfo:
    """Where it is between one and two at night now: the day began, and does not end while a test runs."""
    behind = (SystemClock().now().hour - 1) % 24
    return ZoneInfo(f"Etc/GMT{behind if behind <= 12 else behind - 24:+d}")


@pytest.fixture
async def shop(store: Store, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as opened:
        yield opened


async def found(store: Store, wanted: Filter, before: UUID | None = None, limit: int = 50) -> browse.Page:
    async with store.tx("test") as tx:
        return await browse.search(tx, wanted, before, limit)


async def test_each_filter_finds_its_payments_and_no_others(store: Store, shop: Shop) -> None:
    ann, ben = await shop.customer("Ann"), await shop.customer("Ben")
    cafe = await shop.merchant("Cafe")
    fine = await shop.pay(ann, cafe, reference="order-1")
    held = await shop.pay(ben, cafe, HELD)
    refused = await shop.pay(ann, cafe, REFUSED)

    async def ids(**wanted: object) -> list[str]:
        page = await found(store, Filter(**wanted))  # type: ignore[arg-type]
        return [f"{row.id}" for row in page.rows]

    def raw(*payments: dict[str, object]) -> list[str]:
        return [str(from_typeid("pay", str(each["id"]))) for each in payments]

    assert await ids(kind="payment") == raw(refused, held, fine)
    assert await ids(kind="payment", party=ann) == raw(refused, fine)
    assert await ids(kind="payment", party=cafe) == raw(refused, held, fine)
    assert await ids(state="in_review") == raw(held)
    assert await ids(state="declined") == raw(refused)
    assert await ids(risk="deny") == raw(refused)
    assert await ids(failure="denied_by_risk") == raw(refused)
    assert await ids(reference="order-1") == raw(fine)
    assert await ids(reference="order-1", party=ben) == []
    assert await ids(kind="payment", least=FINE + 1, most=REFUSED) == raw(refused)
    assert await ids(kind="payment", currency="USD") == []
    assert await ids(kind="payment", until=shop.clock.now() - timedelta(hours=1)) == []
    assert await ids(kind="payment", since=shop.clock.now() - timedelta(hours=1)) == raw(refused, held, fine)


async def test_pages_cover_everything_once_in_order(store: Store, shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Cafe")
    made = [await shop.pay(ann, cafe, FINE + n) for n in range(7)]
    seen: list[UUID] = []
    before = None
    while True:
        page = await found(store, Filter(party=cafe), before, 3)
        seen += [row.id for row in page.rows]
        if (before := page.next_before) is None:
            break
    assert seen == [from_typeid("pay", each["id"]) for each in reversed(made)]


async def test_the_story_has_moves_refunds_and_rail(store: Store, shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Cafe")
    paid = await shop.pay(ann, cafe, 10_000)
    await shop.refund(paid["id"], 4_000)
    top_up = (await found(store, Filter(kind="top_up"))).rows[0]
    async with store.tx("test") as tx:
        story = await browse.story(tx, from_typeid("pay", paid["id"]))
        rail = await browse.story(tx, top_up.id)
    assert [move.to_state for move in story.moves] == ["partially_refunded"]
    assert [(refund.amount, refund.fee_returned, refund.reason) for refund in story.refunds] == [
        (4_000, 40, "broken")
    ]
    assert [(attempt.direction, attempt.state) for attempt in rail.rail_attempts] == [("in", "accepted")]


async def test_the_queue_holds_who_waits_longest_first(store: Store, shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Cafe")
    first = from_typeid("pay", (await shop.pay(ann, cafe, HELD))["id"])
    second = from_typeid("pay", (await shop.pay(ann, cafe, HELD + 1))["id"])
    async with store.tx("test") as tx:
        assert [row.id for row in await browse.held(tx, None, 10)] == [first, second]
        assert [row.id for row in await browse.held(tx, first, 10)] == [second]
        size, since = await browse.held_size(tx)
    assert size == 2
    assert since is not None
    await shop.till.submit(Review(first, True, "ann", "called"))
    async with store.tx("test") as tx:
        assert (await browse.held_size(tx))[0] == 1


async def test_rules_hits_and_names(store: Store, shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Cafe")
    await shop.customer("annika", 0)
    held = from_typeid("pay", (await shop.pay(ann, cafe, HELD))["id"])
    await shop.pay(ann, cafe)
    async with store.tx("test") as tx:
        hits = await risks.hits(tx)
        assert (hits.decided, hits.by_rule) == (2, {"very_large": 1})
        assert await risks.hit_by(tx, "very_large", 10) == [held]
        assert await risks.hit_by(tx, "large", 10) == []
        assert len(await risks.rule_sets(tx)) == 1
        assert [each.name for each in await people.merchants_named(tx, "ca", 10)] == ["Cafe"]


async def test_the_board_counts_what_is_there_and_hears_of_later_moves(
    store: Store, shop: Shop, vault: Vault
) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Cafe")
    board = Board(store, vault, SystemClock(), early())
    await shop.pay(ann, cafe, 2_000)
    await shop.pay(ann, cafe, REFUSED)
    held = await shop.pay(ann, cafe, HELD)
    first = await board.refresh()
    assert first.today is not None
    assert (first.today.accepted, first.today.refused, first.today.waiting) == (2, 1, 1)  # with the top-up
    assert first.today.outcomes == {"allow": 1, "deny": 1, "hold": 1}
    assert first.today.captured == {"CNY": 10_002_000}
    assert first.books is not None
    assert first.books.balanced
    assert [row.failure for row in first.refusals] == ["denied_by_risk"]
    assert first.held == 1
    await shop.till.submit(Review(from_typeid("pay", held["id"]), True, "ann", "called"))
    await asyncio.sleep(0.6)
    second = await board.refresh()
    assert second.today is not None
    assert second.today.captured == {"CNY": 10_002_000 + HELD}
    assert second.held == 0


async def test_waits_that_ended_name_the_minutes_they_began_in(store: Store, shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Cafe")
    paid, before = await shop.pay(ann, cafe), shop.clock.now()
    held = await shop.pay(ann, cafe, HELD)
    arrived = shop.clock.now()
    await asyncio.sleep(0.01)
    began = shop.clock.now()
    await shop.refund(paid["id"])
    hour = timedelta(hours=1)
    async with store.tx("test") as tx:
        assert await browse.ended_waits(tx, began, arrived - hour, arrived + hour, 60) == []
    await shop.till.submit(Review(from_typeid("pay", held["id"]), True, "ann", "called"))
    async with store.tx("test") as tx:
        (slot,) = await browse.ended_waits(tx, began, arrived - hour, arrived + hour, 60)
        assert await browse.ended_waits(tx, began, arrived + hour, arrived + hour, 60) == []
    assert before.timestamp() - 60 < slot <= arrived.timestamp()


async def test_a_day_read_in_minutes_equals_the_truth(database: Database, store: Store, vault: Vault) -> None:
    await fill(database.admin_url, 3_000, customers=20, merchants=5, spacing=2.0)  # 100 minutes
    async with store.tx("test") as tx:
        clock = ManualClock(await tx.value(b"SELECT max(created_at) FROM payments.payments"))
    zone = early()
    figures = await Board(store, vault, clock, zone).refresh()
    async with store.tx("test") as tx:
        truth = await tx.tuples(
            b"SELECT count(*), coalesce(sum(captured), 0)::bigint FROM payments.payments"
            b" WHERE created_at >= date_trunc('day', %(now)s, %(zone)s::text)",
            {"now": clock.now(), "zone": zone.key},
        )
    assert figures.today is not None
    assert (figures.today.payments, figures.today.captured["CNY"]) == truth[0]
    recent = sum(bucket.payments for bucket in figures.series)
    assert 145 <= recent <= 150  # five minutes of one payment every two seconds


async def test_books_that_do_not_balance_are_seen(
    store: Store, shop: Shop, vault: Vault, admin: psycopg.AsyncConnection
) -> None:
    await shop.customer("Ann")
    await admin.execute("UPDATE ledger.accounts SET balance = balance + 1 WHERE purpose = 'wallet'")
    figures = await Board(store, vault, SystemClock(), ZoneInfo(ZONE)).refresh()
    assert figures.books is not None
    assert not figures.books.balanced


async def test_a_verification_that_found_something_turns_the_light(
    store: Store, shop: Shop, vault: Vault
) -> None:
    await shop.customer("Ann")
    for action, balanced in (("ledger.verified", True), ("ledger.differs", False), ("ledger.verified", True)):
        async with store.tx("test") as tx:
            await audit.append(tx, "root", action, "ledger", "12 transfers")
        books = (await Board(store, vault, SystemClock(), ZoneInfo(ZONE)).refresh()).books
        assert books is not None
        assert books.verified is not None
        assert books.balanced is balanced


async def test_lists_walk_an_index_and_stop_at_their_bound(database: Database, store: Store) -> None:
    await fill(database.admin_url, 60_000, spacing=0.001)
    params = {"before": browse.LAST_ID, "since": UUID(int=0), "scan": browse.SCAN, "limit": 26}
    nobody = Filter(state="failed")
    page = await found(store, nobody)
    assert page.rows == []
    assert page.partial
    rest = 0
    while page.next_before is not None:
        page = await found(store, nobody, page.next_before)
        rest += 1
    assert rest == 3  # 60,000 rows in walks of 20,000, and the last word that there is no more
    asked = {
        "payments_pkey": Filter(),
        "payments_by_payee": Filter(party=FIRST_MERCHANT),
        "payments_by_reference": Filter(reference="order-7"),
        "payments_waiting": Filter(state="in_review"),
    }
    for index, wanted in asked.items():
        values = msgspec.structs.asdict(wanted) | params | {"way": wanted.way}
        async with store.tx("test") as tx:
            plan = "\n".join(
                row[0] for row in await tx.tuples(b"EXPLAIN (ANALYZE) " + browse._sql.find_payments, values)
            )
        walked = [line for line in plan.splitlines() if "never executed" not in line and "Scan" in line]
        assert any(index in line for line in walked), plan
        assert not any("Seq Scan" in line for line in walked), plan


async def test_a_challenge_is_asked_and_stands_in_the_list(store: Store, shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Cafe")
    await shop.pay(ann, cafe, ASKED)
    assert [row.risk for row in (await found(store, Filter(state="challenged"))).rows] == ["challenge"]

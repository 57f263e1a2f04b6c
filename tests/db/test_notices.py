"""Notices follow plans and runs: each stage once, with its news, the status page's reads, and the real downtime."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import psycopg

from tests.support.upkeep import approved, change_run, end_plan, measured, plan_of, ran
from tillkeeper.base.clock import ManualClock
from tillkeeper.maintenance import notices
from tillkeeper.maintenance.notices import Herald
from tillkeeper.store import Store, outbox


async def news(store: Store) -> list[tuple[str, dict[str, Any]]]:
    """What was told so far, in order."""
    async with store.tx("news") as tx:
        return [(each.topic, msgspec.json.decode(each.payload)) for each in await outbox.read(tx, "test")]


async def test_a_maintenance_is_told_from_its_announcement_to_its_real_downtime(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    begin = clock.now() + timedelta(hours=25)
    plan = plan_of(begin)
    plan_id = await approved(admin, plan, clock.now())
    herald = Herald(store, clock)
    assert await herald.beat() == 0
    clock.advance(3600)
    assert await herald.beat() == 1
    async with store.tx("look") as tx:
        (planned,) = await notices.planned(tx)
        assert await notices.current(tx) == []
        assert await notices.ahead(tx, clock.now()) == [planned]
    assert (planned.plan, planned.state, planned.begins) == (plan_id, "scheduled", begin)

    clock.advance(24 * 3600)
    await measured(admin, clock.now() - timedelta(seconds=30), 60)
    run = await ran(admin, plan_id, plan, "running", clock.now())
    clock.advance(30)
    await measured(admin, clock.now(), 4, failed=20)
    clock.advance(4)
    assert await herald.beat() == 1
    async with store.tx("look") as tx:
        (current,) = await notices.current(tx)
        assert await notices.planned(tx) == []
    assert current.begun_at == clock.now() - timedelta(seconds=34)

    await change_run(admin, run, "succeeded", clock.now())
    await end_plan(admin, plan_id, "done", clock.now())
    assert await herald.beat() == 1
    assert await herald.beat() == 0
    async with store.tx("look") as tx:
        assert await notices.current(tx) == []
        (past,) = await notices.history(tx, clock.now() - timedelta(days=90))
    assert past.downtime_seconds == 4.0
    assert past.ended_at == clock.now()
    told = await news(store)
    assert [topic for topic, _ in told] == [
        "maintenance.scheduled",
        "maintenance.begun",
        "maintenance.completed",
    ]
    assert told[-1][1]["downtime_seconds"] == 4.0
    assert {payload["notice"] for _, payload in told} == {past.public_id}
    assert told[0][1]["words"]["zh-CN"]["title"]


async def test_two_agents_at_one_moment_tell_it_once(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    await approved(admin, plan_of(clock.now() + timedelta(hours=1)), clock.now())
    await asyncio.gather(*(Herald(store, clock).beat() for _ in range(4)))
    assert [topic for topic, _ in await news(store)] == ["maintenance.scheduled"]


async def test_what_does_not_take_place_is_called_off(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    plan_id = await approved(admin, plan_of(clock.now() + timedelta(hours=1)), clock.now())
    herald = Herald(store, clock)
    await herald.beat()
    await end_plan(admin, plan_id, "withdrawn", clock.now())
    await herald.beat()
    await herald.beat()
    assert [topic for topic, _ in await news(store)] == ["maintenance.scheduled", "maintenance.cancelled"]
    async with store.tx("look") as tx:
        (past,) = await notices.history(tx, clock.now() - timedelta(days=1))
    assert (past.state, past.downtime_seconds) == ("cancelled", None)


async def test_nobody_measured_is_not_no_downtime(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    plan = plan_of()
    plan_id = await approved(admin, plan, clock.now())
    await ran(admin, plan_id, plan, "undone", clock.now() - timedelta(seconds=9), clock.now())
    await end_plan(admin, plan_id, "done", clock.now())
    assert await Herald(store, clock).beat() == 2
    told = await news(store)
    assert [topic for topic, _ in told] == ["maintenance.begun", "maintenance.undone"]
    assert told[-1][1]["downtime_seconds"] is None

"""Notices follow plans and runs: each stage once, with its news, the status page's reads, and the real downtime."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.upkeep import approved, change_run, end_plan, measured, plan_of, ran, told
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.faces.api.crier import Crier
from tillkeeper.maintenance import notices
from tillkeeper.maintenance.notices import Herald
from tillkeeper.store import Store, Tx


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
    news = await told(store)
    assert [topic for topic, _ in news] == [
        "maintenance.scheduled",
        "maintenance.begun",
        "maintenance.completed",
    ]
    assert news[-1][1]["downtime_seconds"] == 4.0
    assert {payload["notice"] for _, payload in news} == {past.public_id}
    assert news[0][1]["words"]["zh-CN"]["title"]


async def test_two_agents_at_one_moment_tell_it_once(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    await approved(admin, plan_of(clock.now() + timedelta(hours=1)), clock.now())
    await asyncio.gather(*(Herald(store, clock).beat() for _ in range(4)))
    assert [topic for topic, _ in await told(store)] == ["maintenance.scheduled"]


async def test_what_does_not_take_place_is_called_off(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    plan_id = await approved(admin, plan_of(clock.now() + timedelta(hours=1)), clock.now())
    herald = Herald(store, clock)
    await herald.beat()
    await end_plan(admin, plan_id, "withdrawn", clock.now())
    await herald.beat()
    await herald.beat()
    assert [topic for topic, _ in await told(store)] == ["maintenance.scheduled", "maintenance.cancelled"]
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
    news = await told(store)
    assert [topic for topic, _ in news] == ["maintenance.begun", "maintenance.undone"]
    assert news[-1][1]["downtime_seconds"] is None


async def test_answers_of_the_api_say_when_maintenance_is_near(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": [(b"own", b"1")]})

    async def headers(crier: Crier) -> dict[bytes, bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await crier({"type": "http"}, None, send)  # type: ignore[arg-type]
        return dict(sent[0]["headers"])

    async def freshly_read() -> Crier:
        crier, ahead = Crier(answer, store, clock), notices.ahead
        readings, second = list[int](), asyncio.Event()

        async def counted(tx: Tx, now: datetime) -> list[notices.Notice]:
            readings.append(1)
            if len(readings) == 2:  # what the first one said stands
                second.set()
            return await ahead(tx, now)

        with monkeypatch.context() as patch:
            patch.setattr(notices, "ahead", counted)
            patch.setattr(limits, "NOTICE_REFRESH_SECONDS", 0.01)
            reading = asyncio.create_task(crier.keep_reading())
            await second.wait()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return crier

    await approved(admin, plan_of(clock.now() + timedelta(hours=24)), clock.now())
    assert await headers(await freshly_read()) == {b"own": b"1"}
    await Herald(store, clock).beat()
    found = await headers(await freshly_read())
    assert found.pop(b"till-maintenance").startswith(b"state=scheduled; begins=2026-04-16T12:00:00Z;")
    assert found == {b"own": b"1"}

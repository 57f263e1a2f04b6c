"""The register of processes: heartbeats, wishes that end by themselves, a drain that touches no key; and who is dead."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
import psycopg
import pytest
from litestar.types import ASGIApp

from tests.support.api import Api, calling, problem_of
from tests.support.postgres import Database
from tests.support.steps import Step, Trial, site_on
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.faces.api.turnstile import Turnstile
from tillkeeper.maintenance.steps import StepError
from tillkeeper.store import Store, leases, processes
from tillkeeper.store.incarnation import incarnation, incarnation_of, is_dead
from tillkeeper.store.processes import Presence, Process


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROCESS_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(limits, "PROCESS_DRAIN_BEAT_SECONDS", 0.02)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a presence ends its process, which is pytest's own here."""
    found = asyncio.Event()

    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGTERM)
        found.set()

    monkeypatch.setattr(os, "kill", kill)
    return found


@asynccontextmanager
async def beating(presence: Presence) -> AsyncIterator[None]:
    keeping = asyncio.create_task(presence.keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def another_process() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


async def listed(store: Store) -> list[Process]:
    async with store.tx("test") as tx:
        return await processes.listed(tx)


async def wish(store: Store, presence: Presence, wished: processes.Wish, seconds: float = 60.0) -> bool:
    async with store.tx("test") as tx:
        return await processes.wish(tx, presence.id, wished, seconds)


async def reaches(store: Store, state: str) -> Process:
    async with asyncio.timeout(30):
        while not (found := await listed(store)) or found[0].state != state:  # noqa: ASYNC110 - no bell rings
            await asyncio.sleep(0.01)
    return found[0]


async def test_a_process_is_seen_while_it_beats_has_stopped_after_and_is_forgotten_in_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence = Presence(store, "api")
    async with beating(presence):
        found = await reaches(store, "serving")
        assert (found.id, found.kind, found.pid, found.wish) == (presence.id, "api", os.getpid(), "none")
        assert found.alive
        seen = found.seen_at
        async with asyncio.timeout(30):
            while (await listed(store))[0].seen_at == seen:  # noqa: ASYNC110 - no bell rings
                await asyncio.sleep(0.01)
    (found,) = await listed(store)
    assert found.state == "stopped"
    assert not found.alive
    assert not await wish(store, presence, "drain")
    monkeypatch.setattr(limits, "PROCESS_KEEP_SECONDS", 0.0)
    async with store.tx("test") as tx:
        await processes.forget_old(tx)
    assert await listed(store) == []


async def test_a_wish_to_drain_holds_until_its_time_is_over_or_it_is_taken_back(
    store: Store, admin: psycopg.AsyncConnection
) -> None:
    presence = Presence(store, "api")
    async with beating(presence):
        await reaches(store, "serving")
        assert await wish(store, presence, "drain", seconds=30)
        await reaches(store, "draining")
        await admin.execute("UPDATE store.processes SET wished_until = wished_until - interval '30 s'")
        await reaches(store, "serving")  # nobody took it back
        assert not presence.draining
        assert await wish(store, presence, "drain")
        await reaches(store, "draining")
        assert await wish(store, presence, "serve")
        await reaches(store, "serving")


async def test_a_restart_waits_for_what_is_in_flight(store: Store, ended: asyncio.Event) -> None:
    presence = Presence(store, "api")
    presence.in_flight = 2
    async with beating(presence):
        await reaches(store, "serving")
        await wish(store, presence, "restart")
        found = await reaches(store, "draining")
        assert found.detail == {"in_flight": 2}
        await asyncio.sleep(0.1)
        assert not ended.is_set()
        presence.in_flight = 0
        async with asyncio.timeout(30):
            await ended.wait()


def test_a_clock_that_is_set_right_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment of the boot is told by the clock, so it moves with it."""
    with another_process() as other:
        before = incarnation_of(other.pid)
        booted = psutil.boot_time()
        for module in (psutil, psutil._psplatform):
            monkeypatch.setattr(module, "boot_time", lambda: booted - 3600)
        assert incarnation_of(other.pid) == before
        assert not is_dead(before)


async def test_silence_and_death_are_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_process() as other:
        alive = incarnation_of(other.pid)
        assert not is_dead(alive)
        other.kill()
        other.wait()
    assert is_dead(alive)
    host, boot, namespace, pid, began = incarnation().split(":")
    assert not is_dead(incarnation())
    assert is_dead(f"{host}:{boot}:{namespace}:{pid}:{int(began) - 1}")  # the number was given again
    for elsewhere in (
        f"{host}:{boot}:{namespace}0:{pid}:1",
        f"{host}:another-boot:{namespace}:{pid}:1",
        f"other:{boot}:{namespace}:{pid}:1",
        "another",
        "",
    ):
        assert not is_dead(elsewhere)

    presence = Presence(store, "api")
    presence._params["incarnation"] = alive
    await presence._beat("serving")
    (found,) = await listed(store)
    assert not found.alive
    presence._params["incarnation"] = incarnation()
    await Presence._beat(presence, "serving")
    monkeypatch.setattr(limits, "PROCESS_SILENT_SECONDS", 0.0)
    assert not (await listed(store))[0].alive


async def test_postgresql_ends_what_a_killed_process_was_at(
    database: Database, admin: psycopg.AsyncConnection
) -> None:
    code = f"""
import asyncio
from tillkeeper.store import as_owner
async def work():
    async with as_owner({database.admin_url!r}, "step orphan") as db:
        await db.run("SELECT pg_sleep(60)")
asyncio.run(work())
"""
    orphans = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'till step orphan' AND datname = current_database()"
    )

    async def until(count: int) -> None:
        async with asyncio.timeout(50):
            while await (await admin.execute(orphans)).fetchone() != (count,):  # noqa: ASYNC110 - no bell rings
                await asyncio.sleep(0.05)

    with subprocess.Popen([sys.executable, "-c", code]) as process:  # noqa: ASYNC220 - begun, not waited for
        await until(1)
        process.kill()
    await until(0)


async def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(store: Store) -> None:
    with another_process() as other:
        holder = f"{incarnation_of(other.pid)}:abcd"
        async with store.tx("test") as tx:
            assert await leases.try_take(tx, "job", holder)
            assert not await leases.try_take(tx, "job", f"{incarnation()}:1")
        other.kill()
        other.wait()
    async with store.tx("test") as tx:
        assert await leases.try_take(tx, "job", f"{incarnation()}:1")
        assert not await leases.try_take(tx, "job", f"{incarnation()}:2")  # of the same process, which lives


async def test_the_door_of_a_draining_process_begins_nothing_new_and_lets_what_is_in_end(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    presence = Presence(store, "api")
    async with calling(store, clock, tmp_path) as api:
        through, held = asyncio.Event(), asyncio.Event()

        async def slowly(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/v1/payments":
                through.set()
                await held.wait()
            await app(scope, receive, send)

        app: ASGIApp = api.client._transport.app  # type: ignore[attr-defined]
        gauge = api.platform.till.gauge
        transport = httpx.ASGITransport(cast("Any", Turnstile(cast("ASGIApp", slowly), presence, gauge)))
        async with httpx.AsyncClient(transport=transport, base_url="http://till.test") as client:
            api.client = client
            await _drain_in_the_midst(api, presence, through, held)
        sample = gauge._sample(clock.now())
        assert (sample["answers_5xx"], sample["asked"], sample["failed"]) == (1, 2, 0)


async def _drain_in_the_midst(
    api: Api, presence: Presence, through: asyncio.Event, held: asyncio.Event
) -> None:
    anna, shop = await api.customer("anna", funds=5000), await api.merchant("shop")
    order = {"payer": anna, "merchant": shop, "amount": 100, "currency": "CNY"}
    first = asyncio.create_task(api.post("/v1/payments", order, idempotency_key="first"))
    await through.wait()
    assert presence.in_flight == 1
    presence.draining = True
    refused = await api.post("/v1/payments", order, idempotency_key="second")
    assert problem_of(refused) == (503, "under_maintenance", None)
    assert refused.headers["retry-after"] == "1"
    assert (await api.client.get("/health")).status_code == 200
    held.set()
    assert (await first).status_code == 201
    assert presence.in_flight == 0

    presence.draining = False
    other = order | {"amount": 200}  # the key was not used up: it may even stand for something else
    again = await api.post("/v1/payments", other, idempotency_key="second")
    assert (again.status_code, again.json()["amount"]) == (201, 200)


# -- the step


class Supervised:
    """An api that a supervisor starts again: each start is a presence; it ends by itself when it is wished to."""

    def __init__(self, store: Store, stays_away: bool = False) -> None:  # noqa: FBT001, FBT002 - a test's own
        self.store = store
        self.stays_away = stays_away
        self.presences: list[Presence] = []

    async def run(self, ended: asyncio.Event) -> None:
        while True:
            ended.clear()
            self.presences.append(Presence(self.store, "api"))
            async with beating(self.presences[-1]):
                await ended.wait()
            if self.stays_away:
                return


@asynccontextmanager
async def supervised(store: Store, ended: asyncio.Event, **how: bool) -> AsyncIterator[Supervised]:
    made = Supervised(store, **how)
    running = asyncio.create_task(made.run(ended))
    try:
        await reaches(store, "serving")
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_workers_are_restarted_after_a_drain_and_the_new_one_serves(
    database: Database, store: Store, tmp_path: Path, ended: asyncio.Event
) -> None:
    async with site_on(database, store, SystemClock(), tmp_path) as site, supervised(store, ended) as api:
        step, trial = Step(site, "workers.restart", drain_seconds=40, ready_seconds=40), Trial()
        assert await step.stands_in_the_way() == []
        evidence = await step.run(trial)
        first, second = api.presences
        assert evidence["old"] == [str(first.id)]
        assert await step.faults(evidence) == []
        assert [each.id for each in await listed(store) if each.alive] == [second.id]
        assert (await step.run(Trial(trial.saved)))["restarted"] == evidence["restarted"]
        assert len(api.presences) == 2  # one that is done is not done again


async def test_a_drain_that_never_ends_leaves_the_process_serving(
    database: Database, store: Store, tmp_path: Path, ended: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site_on(database, store, SystemClock(), tmp_path) as site, supervised(store, ended) as api:
        api.presences[0].in_flight = 3
        async with asyncio.timeout(30):
            while (await listed(store))[0].detail != {"in_flight": 3}:  # noqa: ASYNC110 - no bell rings
                await asyncio.sleep(0.01)
        step = Step(site, "workers.restart", drain_seconds=0.3)
        with pytest.raises(StepError, match=r"after 0.3 s 3 calls were still in flight.*serves on"):
            await step.run()
        assert (await reaches(store, "serving")).id == api.presences[0].id
        assert not api.presences[0].draining


async def test_a_process_that_nobody_starts_again_is_an_error_that_says_so(
    database: Database, store: Store, tmp_path: Path, ended: asyncio.Event
) -> None:
    async with (
        site_on(database, store, SystemClock(), tmp_path) as site,
        supervised(store, ended, stays_away=True),
    ):
        step = Step(site, "workers.restart", ready_seconds=0.3)
        with pytest.raises(StepError, match="no new api serves"):
            await step.run()

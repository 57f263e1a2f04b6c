"""Runs on PostgreSQL: steps in order, tries, pause and resume, abort and undo, guardrails, the fence."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.support import counting as counting_support
from tests.support.counting import (
    FAULT,
    TABLES,
    Count,
    Open,
    Quiet,
    asked,
    at_work,
    bare_site,
    calls,
    counting,
    effects,
    kinds,
    step,
)
from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.plans import Guardrail, Plan, Window
from tillkeeper.maintenance.runs import RunView, Worker, journal
from tillkeeper.maintenance.steps import Finding
from tillkeeper.store import Store, StoreUnavailableError

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLOCK = SystemClock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(module_database: Database) -> AsyncIterator[tuple[Store, psycopg.AsyncConnection]]:
    connecting = psycopg.AsyncConnection.connect(module_database.admin_url, autocommit=True)
    async with Store.opened(module_database.app_url) as store, await connecting as admin:
        await admin.execute(TABLES)
        yield store, admin


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RUN_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(limits, "RUN_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(limits, "RUN_IDLE_SECONDS", 0.02)
    monkeypatch.setattr(limits, "RUN_GUARD_SECONDS", 0.05)
    monkeypatch.setattr(limits, "RUN_MONEY_SECONDS", 0.05)
    monkeypatch.setattr(limits, "RUN_RETRY_SECONDS", 0.01)


class House:
    """A run of a plan, its worker, and what a test looks at."""

    def __init__(self, database: Database, shop: tuple[Store, psycopg.AsyncConnection]) -> None:
        self.store, self.admin = shop
        self.id = new_id()
        self.books, self.gate, self.kinds = Quiet(), Open(), kinds()
        self.died = 0
        site = bare_site(self.store, database.app_url, database.admin_url)
        self.worker = Worker(site, self.kinds, self.gate, self.books, self._die)

    def _die(self) -> None:
        self.died += 1

    async def ask(self, plan: Plan) -> None:
        await asked(self.store, self.id, plan, CLOCK)

    async def view(self) -> RunView:
        async with self.store.tx("view") as tx:
            found = await runs.view(tx, self.id)
        assert found is not None
        return found

    async def until(self, done: Callable[[RunView], bool], seconds: float = 40) -> RunView:
        async with asyncio.timeout(seconds):
            while not done(found := await self.view()):  # noqa: ASYNC110 - it stands in the database
                await asyncio.sleep(0.01)
        return found

    async def ended(self) -> RunView:
        return await self.until(lambda seen: seen.run.ended_at is not None)

    async def state(self, state: str) -> RunView:
        return await self.until(lambda seen: seen.run.state == state)

    async def tell(self, wish: runs.Wish) -> Any:
        async with self.store.tx("wish") as tx:
            return await runs.command(tx, self.id, wish, "bert", CLOCK, reason="because")

    async def calls(self) -> list[str]:
        return await calls(self.admin, self.id)

    async def effects(self) -> list[str]:
        return await effects(self.admin, self.id)


@pytest_asyncio.fixture(loop_scope="module")
async def house(
    module_database: Database, shop: tuple[Store, psycopg.AsyncConnection]
) -> AsyncIterator[House]:
    made = House(module_database, shop)
    yield made
    await made.admin.execute(
        "UPDATE maintenance.runs SET state = 'failed', ended_at = now() WHERE ended_at IS NULL"
    )


def kinds_of(view: RunView) -> list[str]:
    return [event.kind for event in view.events if event.kind not in {"verdict", "step_saved"}]


async def test_steps_are_run_verified_and_written_down_in_order(house: House) -> None:
    await house.ask(counting(house.id, "one", "two"))
    async with at_work(house.worker):
        view = await house.ended()
    assert view.run.state == "succeeded"
    assert await house.calls() == ["run one", "ran one", "run two", "ran two"]
    assert kinds_of(view) == [
        "asked",
        "preflight",
        "begun",
        *["step_begun", "step_done", "step_verified"] * 2,
        "ended",
    ]
    assert [event.seq for event in view.events] == sorted({event.seq for event in view.events})
    assert [(each.state, each.attempts, each.share) for each in view.steps] == [("done", 1, 1.0)] * 2
    assert view.steps[0].evidence == {"counted": "one"}


async def test_a_failed_step_is_tried_again_and_then_waits_for_a_person(house: House) -> None:
    await house.ask(counting(house.id, step(house.id, "one", fails=3, tries=2)))
    async with at_work(house.worker):
        view = await house.state("paused")
        assert (view.pause_reason, view.steps[0].attempts) == ("run one failed", 2)
        assert (await house.tell("resume")).state == "running"
        view = await house.ended()
    assert (view.run.state, view.steps[0].attempts) == ("succeeded", 4)


async def test_a_step_that_did_not_do_what_it_should_is_no_done_step(house: House) -> None:
    await house.ask(counting(house.id, "one", step(house.id, "two", wrong=True)))
    async with at_work(house.worker):
        view = await house.state("paused")
        assert view.steps[1].state == "failed"
        await house.tell("abort")
        view = await house.ended()
    assert view.run.state == "aborted"
    assert await house.effects() == []


async def test_abort_stops_a_step_at_once_and_undoes_all_in_reverse(house: House) -> None:
    await house.ask(counting(house.id, "one", "two", step(house.id, "three", hangs=True), "four"))
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[2].state == "running")
        await house.tell("abort")
        view = await house.ended()
    assert view.run.state == "aborted"
    assert [each.state for each in view.steps] == ["undone", "undone", "undone", "waiting"]
    undone = [call for call in await house.calls() if call.startswith("undo")]
    assert undone == ["undo three", "undo two", "undo one"]
    assert await house.effects() == []


async def test_what_cannot_be_undone_is_kept_and_said(house: House) -> None:
    await house.ask(counting(house.id, "one", step(house.id, "two", "test.final"), "three"))
    async with at_work(house.worker):
        await house.ended()
        assert (await house.tell("undo")).state == "undoing"
        view = await house.ended()
    assert view.run.state == "undone"
    assert [each.state for each in view.steps] == ["undone", "kept", "undone"]
    assert await house.effects() == ["two"]


async def test_a_paused_step_rests_and_goes_on(house: House) -> None:
    await house.ask(counting(house.id, step(house.id, "one", rests=150)))
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[0].state == "running")
        await house.tell("pause")
        await asyncio.sleep(0.4)
        assert (await house.view()).steps[0].state == "running"
        await house.tell("resume")
        view = await house.ended()
    assert (view.run.state, view.steps[0].attempts) == ("succeeded", 1)


async def test_time_out_is_a_failure_and_rest_does_not_count(house: House) -> None:
    await house.ask(counting(house.id, step(house.id, "one", hangs=True, timeout_seconds=0.1)))
    async with at_work(house.worker):
        view = await house.state("paused")
    assert view.pause_reason == "not done in 0.1 s, ended"


async def test_a_money_fault_undoes_everything_at_once(house: House) -> None:
    await house.ask(counting(house.id, "one", step(house.id, "two", hangs=True)))
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[1].state == "running" and bool(seen.lights))
        house.books.faults = (FAULT,)
        view = await house.ended()
    assert (view.run.state, [each.state for each in view.steps]) == ("failed", ["undone", "undone"])
    assert view.events[-1].detail["said"] == "money: displaced: 700 are missing"  # undone, and not as before
    assert await house.effects() == []
    verdicts = [event.detail["verdict"] for event in view.events if event.kind == "verdict"]
    assert verdicts == ["pass", "fail"]
    asked_for = next(event for event in view.events if event.kind == "undo_asked")
    assert (asked_for.by, asked_for.detail["said"]) == ("agent", "money: displaced: 700 are missing")


async def test_a_money_fault_is_found_while_a_run_is_paused(house: House) -> None:
    await house.ask(counting(house.id, "one", step(house.id, "two", rests=1000)))
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[1].state == "running")
        await house.tell("pause")
        house.books.faults = (FAULT,)
        assert (await house.ended()).run.state == "failed"


async def test_books_that_are_wrong_before_keep_a_run_from_beginning(house: House) -> None:
    house.books.faults = (FAULT,)
    await house.ask(counting(house.id, "one"))
    async with at_work(house.worker):
        view = await house.state("paused")
        assert "700 are missing" in view.pause_reason
        house.books.faults = ()
        await house.tell("resume")
        assert (await house.ended()).run.state == "succeeded"


async def test_money_that_nobody_can_see_stops_the_step(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RUN_BLIND_SECONDS", 0.2)
    await house.ask(counting(house.id, step(house.id, "one", hangs=True)))
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[0].state == "running" and bool(seen.lights))
        house.books.away = True
        view = await house.state("paused")
        assert "could not be looked at" in view.pause_reason
        await house.until(lambda seen: seen.lights[0].verdict == "inconclusive")
        house.books.away = False
        await house.tell("abort")
        assert (await house.ended()).run.state == "aborted"


async def test_too_few_payments_pause_and_a_person_may_waive_that(house: House) -> None:
    rail = Guardrail("payments.success_rate", limit=99.0, seconds=1.0, samples=20)
    await house.ask(counting(house.id, step(house.id, "one", rests=150), guardrails=(rail,)))
    async with at_work(house.worker):
        view = await house.state("paused")
        assert view.pause_reason == "payments.success_rate: 0 samples, 20 needed"
        await house.tell("resume")
        view = await house.ended()
    assert view.run.state == "succeeded"
    assert {light.measure: light.verdict for light in view.lights} == {
        "money": "pass",
        "payments.success_rate": "inconclusive",
    }


async def test_an_undo_that_fails_too_often_is_said(house: House) -> None:
    await house.ask(counting(house.id, "one", step(house.id, "two", undo_fails=limits.RUN_UNDO_TRIES)))
    async with at_work(house.worker):
        await house.ended()
        await house.tell("undo")
        view = await house.ended()
        assert (view.run.state, await house.effects()) == ("failed", ["one", "two"])
        await house.tell("undo")
        view = await house.ended()
    assert (view.run.state, await house.effects()) == ("undone", [])


async def test_the_calendar_and_preflight_come_first(house: House) -> None:
    house.gate.shut = "freeze 11.11"
    house.gate.found = (Finding("disk", "the disk is nearly full"),)
    await house.ask(counting(house.id, "one"))
    async with at_work(house.worker):
        await asyncio.sleep(0.2)
        assert (await house.view()).run.state == "waiting"
        house.gate.shut = ""
        assert (await house.state("paused")).pause_reason == "the disk is nearly full"
        house.gate.found = ()
        await house.tell("resume")
        assert (await house.ended()).run.state == "succeeded"


async def test_a_step_is_asked_what_it_needs_when_its_turn_comes(house: House) -> None:
    await house.ask(
        counting(house.id, "one", step(house.id, "two", needs="one"), step(house.id, "three", needs="four"))
    )
    async with at_work(house.worker):
        assert (await house.state("paused")).pause_reason == "four is not there"
        assert await house.effects() == ["one", "two"]
        await house.tell("abort")
        assert (await house.ended()).run.state == "aborted"


@pytest.mark.parametrize(("rule", "end"), [("undo", "undone"), ("pause", "paused"), ("finish", "running")])
async def test_when_the_time_is_over(house: House, rule: Any, end: str) -> None:
    now = CLOCK.now()
    window = Window(now - timedelta(hours=1), now + timedelta(hours=1), rule)
    plan = counting(house.id, step(house.id, "one", rests=150))
    await house.ask(Plan("Count", "why", "anna", plan.steps, window=window))
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[0].state == "running")
        house.gate.until = now
        await asyncio.sleep(0.5)
        if end == "paused":
            await house.state("paused")
            await house.tell("resume")
        view = await house.ended()
    assert view.run.state == ("undone" if rule == "undo" else "succeeded")


async def test_commands_that_a_state_does_not_allow(house: House) -> None:
    await house.ask(counting(house.id, "one"))
    for wish in ("resume", "undo"):
        assert (await house.tell(wish)).code == "run_state"
    async with at_work(house.worker):
        await house.ended()
    for wish in ("pause", "resume", "abort"):
        assert (await house.tell(wish)).code == "run_state"  # type: ignore[arg-type]
    async with house.store.tx("wish") as tx:
        unknown = await runs.command(tx, new_id(), "pause", "bert", CLOCK)
    assert isinstance(unknown, Refusal)
    assert unknown.code == "unknown_run"


async def test_an_older_agent_writes_nothing_more(house: House) -> None:
    await house.ask(counting(house.id, step(house.id, "one", rests=500)))
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[0].state == "running")
        async with house.store.tx("fence") as tx:
            token = await journal.take_fence(tx)
        await asyncio.sleep(0.2)
        before = len((await house.view()).events)
        await asyncio.sleep(0.3)
        view = await house.view()
    assert len(view.events) == before
    assert {event.fence for event in view.events if event.fence} == {token - 1}


async def test_a_run_is_taken_up_where_the_other_agent_left_it(
    house: House, module_database: Database
) -> None:
    await house.ask(counting(house.id, "one", step(house.id, "two", rests=200), "three"))
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[1].state == "running")
    async with at_work(house.worker):
        await house.until(lambda seen: seen.steps[1].attempts == 2)
        view = await house.ended()
    assert [each.attempts for each in view.steps] == [1, 2, 1]
    assert "taken_over" in kinds_of(view)
    assert (await house.calls()).count("run one") == 1


async def test_a_line_that_saw_too_little_is_not_written(house: House) -> None:
    plan = counting(house.id, "one")
    await house.ask(plan)
    async with house.store.tx("stale") as tx:
        line = journal.line(house.id, "paused", CLOCK, by="bert", detail={"cause": "person"})
        assert await journal.append(tx, line, journal.fresh(plan)) is None


async def test_news_and_the_audit_trail_tell_a_run(house: House) -> None:
    await house.ask(counting(house.id, "one"))
    async with at_work(house.worker):
        await house.ended()
    cursor = await house.admin.execute(
        "SELECT topic FROM store.outbox WHERE subject = %s ORDER BY id", (house.id,)
    )
    assert [topic for (topic,) in await cursor.fetchall()] == ["run.begun", "run.ended"]
    subject = (await house.view()).run.public
    cursor = await house.admin.execute(
        "SELECT action, result FROM audit.events WHERE subject = %s ORDER BY id", (subject,)
    )
    assert await cursor.fetchall() == [("run.begun", "done"), ("run.ended", "done")]


async def test_a_database_that_went_away_under_a_step_is_no_failure_of_the_step(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = iter([True, False, True, False])

    async def fragile(site: Any, given: Any, said: str, really: Any = counting_support.note) -> None:
        if said in {"run", "undo"} and next(cut, False):
            raise StoreUnavailableError("away")
        await really(site, given, said)

    monkeypatch.setattr(counting_support, "note", fragile)
    await house.ask(counting(house.id, "one"))
    async with at_work(house.worker):
        view = await house.ended()
        assert (view.run.state, view.steps[0].attempts) == ("succeeded", 2)
        await house.tell("undo")
        view = await house.ended()
    assert (view.run.state, await house.effects()) == ("undone", [])
    assert not {"step_failed", "undo_failed"} & set(kinds_of(view))


async def test_a_step_that_does_not_stop_ends_the_agent(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RUN_STOP_SECONDS", 0.1)
    free = asyncio.Event()

    class Deaf(Count):
        async def run(self, _: Any, __: Any, ___: Any) -> Any:
            while not free.is_set():
                with suppress(asyncio.CancelledError):
                    await free.wait()
            return {}

    house.kinds["test.count"] = Deaf()
    await house.ask(counting(house.id, step(house.id, "one", timeout_seconds=0.1)))
    async with at_work(house.worker):
        await house.until(lambda _: house.died > 0)
        free.set()

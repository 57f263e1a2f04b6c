"""The turn in trouble: a poisoned command, a killed connection, a database that is away, a crowd, a stop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.platform import FINE, ZONE, Platform, key, opened
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.payments import Till
from tillkeeper.payments import turn as turn_module
from tillkeeper.payments.commands import Pay, TopUp, Void
from tillkeeper.payments.flows import FLOWS
from tillkeeper.payments.plan import Plan
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Store, Tx

POISON = 666


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TURN_RETRY_SECONDS", 0.01)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow of Pay raises for one amount."""
    flow = FLOWS[Pay]

    def plan(asked: Any, command: Pay, facts: Any) -> Any:
        if command.amount == POISON:
            raise ZeroDivisionError
        return flow.plan(asked, command, facts)

    monkeypatch.setitem(FLOWS, Pay, type(flow)(flow.needs, plan, flow.attempt))


class Rebuilds:
    """Counts how often the engine was asked to rebuild."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = RiskEngine.rebuild

        async def counted(engine: RiskEngine) -> None:
            self.count += 1
            await original(engine)

        monkeypatch.setattr(RiskEngine, "rebuild", counted)


@pytest.mark.usefixtures("poisoned")
async def test_a_poisoned_command_does_not_sink_its_neighbours(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    rebuilds = Rebuilds(monkeypatch)
    amounts = [*range(100, 110), POISON, *range(110, 117)]
    said = await asyncio.gather(*(platform.pay(payer, shop, amount) for amount in amounts))
    assert {each.body["amount"] for each in said if each.status == 201} == set(amounts) - {POISON}
    [bad] = [each for each in said if each.status != 201]
    assert (bad.status, bad.code) == (500, "internal")
    assert "poisoned Pay" in caplog.text
    assert await platform.count("risk.decisions") == len(amounts) - 1
    assert await platform.balanced()
    # Risk had heard of the poisoned attempt: before it decides again it forgets what is not in the database.
    assert rebuilds.count == 0
    await platform.pay(payer, shop)
    await platform.pay(payer, shop)
    assert rebuilds.count == 1


@pytest.mark.usefixtures("poisoned")
async def test_risk_forgets_the_poisoned_attempt(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    assert (await platform.pay(payer, shop, POISON)).code == "internal"
    await platform.pay(payer, shop, 100)
    async with platform.store.tx("features") as tx:
        rows = await tx.tuples(b"SELECT features FROM risk.decisions")
    assert len(rows) == 1
    engine = platform.till._engine
    assert engine is not None
    assert engine.counts()["payments"] == 1


@pytest.mark.usefixtures("poisoned")
async def test_a_poisoned_key_may_try_again(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """`internal` is nobody's answer: it is not kept."""
    payer, shop = await platform.customer(), await platform.merchant()
    command = Pay(payer, shop, POISON, "CNY")
    assert (await platform.ask(command, key("k", command))).code == "internal"
    monkeypatch.undo()
    assert (await platform.ask(command, key("k", command))).state == "succeeded"


async def _killed_after(
    step: str, platform: Platform, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """From now on the first call of a step of the turn ends with every connection of the application being killed."""
    original, kills = getattr(turn_module.Till, step), list[int]()

    async def killing(till: Till, tx: Tx, *more: Any) -> Any:
        done = await original(till, tx, *more)
        if not kills:
            cursor = await admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            kills.append(cursor.rowcount)
        return done

    monkeypatch.setattr(turn_module.Till, step, killing)
    return kills


@pytest.mark.parametrize("step", ["_look", "_book", "_write"])
async def test_a_connection_killed_in_a_turn_is_answered_once_after_a_retry(
    platform: Platform, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    kills = await _killed_after(step, platform, admin, monkeypatch)
    commands = [Pay(payer, shop, FINE + n, "CNY") for n in range(5)]
    said = await asyncio.gather(*(platform.ask(each, key(str(each.amount), each)) for each in commands))
    assert kills[0] >= 1
    assert {each.state for each in said} == {"succeeded"}
    assert await platform.count("payments.payments") == 1 + len(commands)
    assert await platform.count("risk.decisions") == len(commands)
    assert (await platform.wallet(payer)).balance == 1_000_000 - sum(each.amount for each in commands)
    engine = platform.till._engine
    assert engine is not None
    assert engine.counts()["payments"] == len(commands)  # heard once, however often the turn was tried
    assert await platform.balanced()


async def test_a_commit_whose_answer_is_lost_is_not_done_twice(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    command = Pay(payer, shop, FINE, "CNY")
    original, lost = turn_module.Till._carry, list[str]()

    async def deaf(till: Till, turn: Any, works: Any) -> Any:
        answers = await original(till, turn, works)
        if not lost:
            lost.append("the commit's answer")
            raise psycopg.OperationalError("the connection is lost")
        return answers

    monkeypatch.setattr(turn_module.Till, "_carry", deaf)
    said = await platform.ask(command, key("k", command))
    assert (said.state, lost) == ("succeeded", ["the commit's answer"])
    assert await platform.count("payments.payments") == 2
    assert (await platform.wallet(payer)).balance == 1_000_000 - FINE


async def test_a_database_that_stays_away_is_said_and_binds_no_key(
    platform: Platform, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    monkeypatch.setattr(limits, "TURN_TRIES", 3)
    command = Pay(payer, shop, FINE, "CNY")
    with monkeypatch.context() as away:
        away.setattr(turn_module.Till, "_look", _refuse_connection)
        said = await platform.ask(command, key("k", command))
    assert (said.status, said.code) == (503, "unavailable")
    assert (await platform.ask(command, key("k", command))).state == "succeeded"


async def _refuse_connection(*_: Any) -> None:
    raise psycopg.errors.CannotConnectNow


async def test_a_full_queue_says_so_at_once(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    payer = await platform.customer(funds=0)
    monkeypatch.setattr(limits, "MAX_QUEUE", 3)
    said = await asyncio.gather(*(platform.ask(TopUp(payer, 1, "CNY")) for _ in range(5)))
    assert [each.status for each in said] == [201, 201, 201, 503, 503]
    assert said[-1].code == "overloaded"


async def test_a_turn_has_its_bound_and_the_rest_follows(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer = await platform.customer(funds=0)
    monkeypatch.setattr(limits, "MAX_TURN", 4)
    sizes, original = list[int](), turn_module.Till._carry

    async def counted(till: Till, turn: Any, works: Any) -> Any:
        sizes.append(len(works))
        return await original(till, turn, works)

    monkeypatch.setattr(turn_module.Till, "_carry", counted)
    await asyncio.gather(*(platform.ask(TopUp(payer, 1, "CNY")) for _ in range(10)))
    assert sizes == [4, 4, 2]


async def test_two_turns_that_end_together_leave_nobody_waiting(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer = await platform.customer(funds=0)
    original, begun, carried = turn_module.Till._carry, list[int](), list[int]()
    both, together = asyncio.Event(), asyncio.Event()

    async def held_back(till: Till, turn: Any, works: Any) -> Any:
        begun.append(len(works))
        answers = await original(till, turn, works)
        carried.append(len(works))
        if len(carried) == 2:
            both.set()
        await together.wait()
        return answers

    monkeypatch.setattr(turn_module.Till, "_carry", held_back)
    asked = []
    for count in (1, 2, 3):  # two turns fill the counter, the third crowd waits in the queue
        asked += [asyncio.ensure_future(platform.ask(TopUp(payer, 1, "CNY"))) for _ in range(count)]
        while len(begun) < min(count, 2):  # noqa: ASYNC110 - a matter of milliseconds
            await asyncio.sleep(0.01)
    await both.wait()
    together.set()
    done, waiting = await asyncio.wait(asked, timeout=30)
    assert (len(done), waiting, carried) == (6, set(), [1, 2, 3])


async def test_close_carries_through_what_waits(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    payer = await platform.customer(funds=0)
    monkeypatch.setattr(limits, "MAX_TURN", 2)
    asked = [asyncio.ensure_future(platform.ask(TopUp(payer, 1, "CNY"))) for _ in range(9)]
    await asyncio.sleep(0)
    await platform.till.close()
    await asyncio.sleep(0)
    assert all(each.done() for each in asked)
    assert {each.result().status for each in asked} == {201}


async def test_a_caller_who_leaves_stops_nobody(platform: Platform) -> None:
    payer = await platform.customer(funds=0)
    leaving = asyncio.ensure_future(platform.ask(TopUp(payer, 1, "CNY"), key("k")))
    staying = asyncio.ensure_future(platform.ask(TopUp(payer, 2, "CNY")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).status == 201
    # What was begun is done: with the same key the caller finds it.
    assert (await platform.ask(TopUp(payer, 1, "CNY"), key("k"))).body["amount"] == 1
    assert await platform.count("payments.payments") == 2


async def test_without_risk_no_payment_is_taken_but_the_rest_is(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    held = await platform.pay(payer, shop, manual=True)
    till = Till(platform.store, None, platform.clock, ZONE)
    said = await platform.ask(Pay(payer, shop, FINE, "CNY"), key("k"), till)
    assert (said.status, said.code) == (503, "unavailable")
    assert (await platform.ask(Void(held.id), None, till)).state == "voided"
    assert (await platform.ask(Pay(payer, shop, FINE, "CNY"), key("k"))).state == "succeeded"


async def test_an_outcome_no_plan_expects_is_a_fault_not_a_payment(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that cannot fail and does: nothing of it is kept."""
    payer, shop = await platform.customer(funds=10), await platform.merchant()
    flow = FLOWS[Pay]

    def sure(asked: Any, command: Any, facts: Any) -> Plan:
        plan = flow.plan(asked, command, facts)
        assert isinstance(plan, Plan)
        return Plan(plan.done, plan.entries)

    monkeypatch.setitem(FLOWS, Pay, type(flow)(flow.needs, sure, flow.attempt))
    before = await platform.count("payments.payments")
    assert (await platform.pay(payer, shop)).code == "internal"
    assert await platform.count("payments.payments") == before


async def test_answers_are_given_in_arrival_order_of_ids(platform: Platform) -> None:
    payer = await platform.customer(funds=0)
    said = await asyncio.gather(*(platform.ask(TopUp(payer, 1, "CNY"), key(str(n))) for n in range(50)))
    ids = [each.id for each in said]
    assert ids == sorted(ids)
    assert new_id() > ids[-1]

"""The desk of logins on a database: crowds, keys, order, a database that goes away, and a start from what is stored."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.risk import logins
from tillkeeper.risk.logins import desk as desk_module
from tillkeeper.risk.logins import watch
from tillkeeper.risk.logins.habits import Population
from tillkeeper.risk.types import Event
from tillkeeper.store import Answer, Key, Store, Tx

ADA, EVE, GONE = (UUID(int=n << 64) for n in (1, 2, 3))


async def standings(_: Tx, customers: Sequence[UUID]) -> Mapping[UUID, Refusal | None]:
    return {each: Refusal("customer_erased") if each == GONE else None for each in customers if each != NIL}


def render(result: Any) -> Answer:
    what = result[1].outcome if isinstance(result, tuple) else type(result).__name__
    return Answer(201, f"{(result[0] if isinstance(result, tuple) else result).id} {what}".encode())


class Ear:
    """Rules that say what they are told to, and remember what they heard."""

    def __init__(self, outcome: str = "allow") -> None:
        self.heard: list[Event] = []
        self.outcome = outcome
        self.doubts = 0

    def judge_events(self, events: Sequence[Event]) -> Sequence[tuple[str, tuple[str, ...]]]:
        self.heard += events
        return [(self.outcome, ("a_rule",) if self.outcome != "allow" else ())] * len(events)

    def doubt(self) -> None:
        self.doubts += 1


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 2, 12, tzinfo=UTC))


def new_desk(store: Store, clock: ManualClock, ear: Ear | None = None) -> logins.Desk:
    return logins.Desk(store, clock, "Asia/Shanghai", standings, ear)


def key(text: str, what: bytes = b"x") -> Key:
    return Key(NIL, text, what)


def home(customer: UUID = ADA, **how: Any) -> logins.NewLogin:
    values: dict[str, Any] = {"succeeded": True, "ip": "36.5.7.9", "device": "d1"} | how
    return logins.NewLogin(customer, **values)


async def submit(desk: logins.Desk, command: Any, at: Key | None = None) -> tuple[UUID, str]:
    id_, _, what = (await desk.submit(command, at, render)).body.decode().partition(" ")
    return UUID(id_), what


async def settle(desk: logins.Desk, customer: UUID = ADA, times: int = 4) -> None:
    first, outcome = await submit(desk, home(customer))
    assert outcome == "ask_again"
    await submit(desk, logins.NewAnswer(first, passed=True))
    for _ in range(times):
        assert (await submit(desk, home(customer)))[1] == "allow"


async def stored(store: Store) -> list[Event]:
    async with store.tx("test") as tx:
        return [event async for batch in logins.events_after(tx, NIL, 3) for event in batch]


async def test_a_crowd_is_decided_in_order_and_one_key_has_one_effect(
    store: Store, clock: ManualClock
) -> None:
    ear = Ear()
    desk = new_desk(store, clock, ear)
    commands = [home(new_id(), at_us=1_000_000 * n) for n in range(100)]
    answers = await asyncio.gather(
        *(desk.submit(command, key(f"k{n}"), render) for n, command in enumerate(commands)),
        *(desk.submit(command, key(f"k{n}"), render) for n, command in enumerate(commands[:20])),
    )
    assert answers[100:] == answers[:20]
    heard = [event.customer for event in ear.heard]
    assert heard == [command.customer for command in commands]
    assert await stored(store) == ear.heard, "what is lived through again equals what was heard"


async def test_two_logins_of_one_turn_see_each_other(store: Store, clock: ManualClock) -> None:
    desk = new_desk(store, clock)
    await settle(desk, times=6)
    new = [home(device="d2", ip="39.144.3.3") for _ in range(8)]
    found = [what for _, what in await asyncio.gather(*(submit(desk, each) for each in new))]
    assert found[0] == "ask_again"
    assert set(found) == {"ask_again"}, "nobody answered yet"


async def test_a_key_used_for_another_request_is_refused(store: Store, clock: ManualClock) -> None:
    desk = new_desk(store, clock)
    await submit(desk, home(), key("one", b"a"))
    with pytest.raises(Refused) as refused:
        await submit(desk, home(EVE), key("one", b"b"))
    assert refused.value.refusal.code == "idempotency_key_reused"


async def test_a_refusal_leaves_its_key_free_and_its_neighbours_alone(
    store: Store, clock: ManualClock
) -> None:
    desk = new_desk(store, clock)
    sent = [home(GONE), home(ADA), logins.NewChange(NIL, "phone"), logins.NewAnswer(new_id(), passed=True)]
    found = await asyncio.gather(
        *(submit(desk, each, key(f"k{n}")) for n, each in enumerate(sent)), return_exceptions=True
    )
    codes = [each.refusal.code if isinstance(each, Refused) else each[1] for each in found]  # type: ignore[index]
    assert codes == ["customer_erased", "ask_again", "unknown_customer", "unknown_login"]
    assert (await submit(desk, home(EVE), key("k0")))[1] == "ask_again"


async def test_rules_make_it_severer_and_never_milder(store: Store, clock: ManualClock) -> None:
    await settle(new_desk(store, clock))
    assert (await submit(new_desk(store, clock, Ear("block")), home()))[1] == "block"
    assert (await submit(new_desk(store, clock, Ear("allow")), home(device="d9", ip="45.9.1.2")))[
        1
    ] != "allow"


async def test_after_a_restart_everything_is_as_it_was(store: Store, clock: ManualClock) -> None:
    desk = new_desk(store, clock)
    await settle(desk)
    await settle(desk, EVE, 2)
    strange, _ = await submit(desk, home(device="d7", ip="45.9.1.2"))
    again = new_desk(store, clock)
    await again.open()
    assert _seen(again) == _seen(desk)
    await submit(again, logins.NewAnswer(strange, passed=True))
    third = new_desk(store, clock)
    await third.open()
    assert _seen(third) == _seen(again) != _seen(desk)


def _seen(desk: logins.Desk) -> dict[str, Any]:
    assert isinstance(desk._population, Population)
    return vars(desk._population)


async def test_a_database_that_goes_away_costs_time_and_nothing_else(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TURN_RETRY_SECONDS", 0.001)
    ear, failures = Ear(), [psycopg.OperationalError("gone"), psycopg.OperationalError("gone")]
    whole = desk_module.Desk._write

    async def failing(self: logins.Desk, tx: Tx, turn: Any) -> None:
        await whole(self, tx, turn)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(desk_module.Desk, "_write", failing)
    desk = new_desk(store, clock, ear)
    assert (await submit(desk, home(), key("k")))[1] == "ask_again"
    assert len(ear.heard) == 1, "the engine heard of it once"
    assert await stored(store) == ear.heard


async def test_a_poisoned_login_sinks_no_neighbour(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = desk_module.Desk._write

    async def poisoned(self: logins.Desk, tx: Tx, turn: Any) -> None:
        await whole(self, tx, turn)
        if any(login.device == "poison" for login, _ in turn.logins):
            raise ValueError("poison")

    monkeypatch.setattr(desk_module.Desk, "_write", poisoned)
    ear = Ear()
    desk = new_desk(store, clock, ear)
    sent = [home(new_id(), device="poison" if n == 5 else "d") for n in range(9)]
    found = await asyncio.gather(*(submit(desk, each) for each in sent), return_exceptions=True)
    assert [n for n, each in enumerate(found) if isinstance(each, Refused)] == [5]
    assert len(await stored(store)) == 8
    assert (len(ear.heard), ear.doubts) == (9, 1)  # the rules heard of one that was never stored


async def test_a_full_queue_says_so(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_LOGIN_QUEUE", 3)
    desk = new_desk(store, clock)
    found = await asyncio.gather(*(submit(desk, home()) for _ in range(5)), return_exceptions=True)
    assert [each.refusal.code for each in found if isinstance(each, Refused)] == ["overloaded"] * 2


async def test_whoever_looks_sees_outcomes_networks_and_the_riskiest(
    store: Store, clock: ManualClock
) -> None:
    now = datetime.now(UTC)
    clock = ManualClock(now)
    desk = new_desk(store, clock)
    await settle(desk)
    for _ in range(3):
        await submit(desk, home(succeeded=False, ip="45.9.1.2", device="x"))
    asked, _ = await submit(desk, home(ip="45.9.1.2", device="x"))
    await submit(desk, logins.NewAnswer(asked, passed=False))
    since = now - timedelta(hours=1)
    async with store.tx("test") as tx:
        slots = await watch.outcomes(tx, since, timedelta(minutes=10))
        networks = await watch.by_network(tx, since, 5)
        riskiest = await watch.riskiest(tx, since, 2)
        answers = await watch.answered(tx, since)
    assert sum(slot.count for slot in slots) == 9
    assert sum(slot.failed for slot in slots) == 3
    assert (networks[0].network, networks[0].failed, networks[0].addresses) == ("Hivelocity LLC", 3, 1)
    assert {each.login.device for each in riskiest} == {"x"}
    assert (answers.passed, answers.failed) == (1, 1)

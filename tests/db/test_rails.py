"""Settling with the sandbox bank: every attempt ends once, whatever the bank or the process does."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.payments.commands import SettleRail
from tillkeeper.payments.rails import Habits, Listener, Notice, Rail, RailAnswer, RailAttempt, SandboxBank
from tillkeeper.payments.settlement import Settlement, unanswered
from tillkeeper.store import Store

INSERT = b"""
INSERT INTO payments.rail_attempts (id, payment, rail, direction, amount, currency, instruction, due_at, created_at)
SELECT id, payment, 'sandbox', 'in', 1000, 'CNY', instruction, %(at)s, %(at)s
FROM unnest(%(ids)s::uuid[], %(payments)s::uuid[], %(instructions)s::text[]) AS t (id, payment, instruction)
"""
SETTLE = b"""
UPDATE payments.rail_attempts SET state = %(state)s, answer = %(answer)s
WHERE id = %(id)s AND state IN ('due', 'sent') RETURNING id
"""
STATES = b"SELECT id, state, tries, acknowledged FROM payments.rail_attempts"


class FakeTurn:
    """Settles as the turn does: the first word counts, a repetition finds nothing to do."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.commands: list[SettleRail] = []
        self.effects: Counter[UUID] = Counter()
        self.broken = False
        self._settled = asyncio.Condition()

    async def settled(self, count: int) -> None:
        """Wait until so many attempts have ended."""
        async with self._settled:
            await self._settled.wait_for(lambda: len(self.effects) >= count)

    async def submit(self, command: SettleRail) -> None:
        self.commands.append(command)
        if self.broken:
            raise ConnectionError("the turn is away")
        state = "accepted" if command.accepted else "rejected"
        async with self.store.tx("settle") as tx:
            params = {"id": command.attempt, "state": state, "answer": command.answer}
            if await tx.value(SETTLE, params) is not None:
                self.effects[command.attempt] += 1
        async with self._settled:
            self._settled.notify_all()


class House:
    """A store with attempts, a bank, a turn and a settlement between them."""

    def __init__(self, store: Store, clock: ManualClock, bank: SandboxBank) -> None:
        self.store, self.clock, self.bank = store, clock, bank
        self.turn = FakeTurn(store)
        self.settlement = self.restarted()

    def restarted(self) -> Settlement:
        """What a new process would build."""
        return Settlement(self.store, {"sandbox": self.bank}, self.turn.submit, self.clock)

    async def order(self, *instructions: str) -> list[UUID]:
        ids = [new_id() for _ in instructions]
        params = {
            "ids": ids,
            "payments": [uuid4() for _ in ids],
            "instructions": list(instructions),
            "at": self.clock.now(),
        }
        async with self.store.tx("order") as tx:
            await tx.run(INSERT, params)
        return ids

    async def states(self) -> dict[UUID, tuple[str, int, bool]]:
        async with self.store.tx("states") as tx:
            return {row[0]: row[1:] for row in await tx.tuples(STATES)}

    async def state(self, attempt: UUID) -> str:
        return (await self.states())[attempt][0]

    async def work(self, seconds: float, step: float = 5.0) -> None:
        """Let time pass, dealing with what is due."""
        for _ in range(round(seconds / step)):
            await self.settlement.run_due()
            self.clock.advance(step)


@pytest.fixture
async def house(store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(limits, "RAIL_TIMEOUT_SECONDS", 5.0)  # a claim, twice as long, ends within `work`
    bank = SandboxBank(clock, habits=Habits(answer_seconds=0.0, late_seconds=0.05))
    yield House(store, clock, bank)
    await bank.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    """A bank that says nothing is given up soon, one that answers is still heard on a busy machine."""
    monkeypatch.setattr(limits, "RAIL_TIMEOUT_SECONDS", 0.5)


def did(bank: SandboxBank) -> dict[UUID, str]:
    return {entry.id: entry.did for entry in bank.journal()}


async def test_each_answer_ends_its_attempt(house: House) -> None:
    yes, no = await house.order("", "no")
    assert await house.settlement.run_due() == 2
    assert await house.state(yes) == "accepted"
    assert await house.state(no) == "rejected"
    assert await house.settlement.run_due() == 0
    assert house.turn.effects == {yes: 1, no: 1}


async def test_what_is_not_due_is_left_alone(house: House) -> None:
    (attempt,) = await house.order("")
    house.clock.advance(-1)
    assert await house.settlement.run_due() == 0
    assert await house.state(attempt) == "due"


async def test_late_is_settled_by_its_notice(house: House) -> None:
    (attempt,) = await house.order("late")
    await house.settlement.run_due()
    assert (await house.states())[attempt] == ("sent", 1, True)
    async with asyncio.timeout(20):
        await house.turn.settled(1)
    assert await house.state(attempt) == "accepted"


async def test_late_without_its_notice_is_settled_by_asking(house: House) -> None:
    (attempt,) = await house.order("late")
    await house.settlement.run_due()
    await house.bank.close()  # the notice is lost
    await house.work(20)
    assert await house.state(attempt) == "accepted"
    assert house.turn.effects == {attempt: 1}


async def test_twice_has_one_effect(house: House) -> None:
    (attempt,) = await house.order("twice")
    await house.settlement.run_due()
    await asyncio.sleep(0.05)
    await house.settlement.hear(Notice(attempt, accepted=True))
    await house.settlement.hear(Notice(attempt, accepted=False))  # a bank that contradicts itself, too late
    assert await house.state(attempt) == "accepted"
    assert house.turn.effects == {attempt: 1}


async def test_a_notice_about_nothing_of_ours_is_dropped(house: House) -> None:
    await house.settlement.hear(Notice(uuid4(), accepted=True))
    assert house.turn.commands == []


@pytest.mark.usefixtures("impatient")
async def test_never_is_rejected_only_once_the_bank_denies_to_know_it(house: House) -> None:
    (attempt,) = await house.order("never")
    for tries in range(1, limits.RAIL_TRIES + 1):
        assert await house.settlement.run_due() == 1
        assert (await house.states())[attempt] == ("sent", tries, False)
        assert house.turn.commands == []
        house.clock.advance(limits.RAIL_MAX_RETRY_SECONDS)
    await house.settlement.run_due()
    assert await house.state(attempt) == "rejected"
    assert did(house.bank) == {attempt: "unheard"}


@pytest.mark.usefixtures("impatient")
async def test_silence_settles_nothing_and_stays_visible(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RAIL_QUESTIONS", 4)
    (attempt,) = await house.order("silent")
    begun = house.clock.now()
    for _ in range(limits.RAIL_TRIES + 4):
        assert await house.settlement.run_due() == 1
        house.clock.advance(limits.RAIL_MAX_RETRY_SECONDS)
    assert await house.settlement.run_due() == 0  # asked often enough
    assert house.turn.commands == []
    async with house.store.tx("test") as tx:
        (waiting,) = await unanswered(tx, house.clock.now() - timedelta(hours=1))
        assert await unanswered(tx, begun - timedelta(seconds=1)) == []
    assert (waiting.id, waiting.answer, waiting.created_at) == (attempt, "no answer", begun)
    await house.settlement.hear(Notice(attempt, accepted=True))  # a word at last
    assert await house.state(attempt) == "accepted"


async def test_a_crash_between_the_bank_and_the_turn_has_no_double_effect(house: House) -> None:
    yes, no = await house.order("", "no")
    house.turn.broken = True  # the bank has done it; we die before we settle
    await house.settlement.run_due()
    assert did(house.bank) == {yes: "accepted", no: "rejected"}
    assert {state for state, _, _ in (await house.states()).values()} == {"sent"}
    house.turn.broken = False
    house.settlement = house.restarted()
    await house.work(30)
    assert house.turn.effects == {yes: 1, no: 1}
    assert len(house.bank.journal()) == 2
    assert (await house.state(yes), await house.state(no)) == ("accepted", "rejected")


async def test_a_crash_after_the_claim_loses_nothing(house: House) -> None:
    attempts = await house.order(*[""] * 10)
    await house.settlement._claim(10)
    assert await house.settlement.run_due() == 0  # they look taken
    house.settlement = house.restarted()
    await house.work(30)
    assert house.turn.effects == dict.fromkeys(attempts, 1)


async def test_dying_again_and_again_is_not_taken_for_the_banks_silence(house: House) -> None:
    (attempt,) = await house.order("")
    for _ in range(limits.RAIL_TRIES + 2):
        await house.settlement._claim(1)
        house.clock.advance(60)
        house.settlement = house.restarted()
    await house.settlement.run_due()
    assert await house.state(attempt) == "accepted"


async def test_two_processes_share_the_work(house: House) -> None:
    attempts = await house.order(*[""] * 300)
    other = house.restarted()
    await asyncio.gather(house.settlement.run_due(), other.run_due())
    await house.settlement.run_due()
    assert house.turn.effects == dict.fromkeys(attempts, 1)
    assert len(house.turn.commands) == 300  # none was taken by both


async def test_a_rail_that_raises_or_is_missing_stops_nobody_else(house: House) -> None:
    class Broken:
        async def submit(self, attempt: RailAttempt) -> RailAnswer:
            raise ConnectionError(attempt.id)

        async def query(self, attempt: UUID) -> RailAnswer:
            raise ValueError(attempt)

        def listen(self, listener: Listener) -> None:
            pass

    good, bad, lost = await house.order("", "", "")
    async with house.store.tx("test") as tx:
        for attempt, rail in ((bad, "broken"), (lost, "nowhere")):
            await tx.run(
                b"UPDATE payments.rail_attempts SET rail = %(rail)s WHERE id = %(id)s",
                {"id": attempt, "rail": rail},
            )
    rails: dict[str, Rail] = {"sandbox": house.bank, "broken": Broken()}
    house.settlement = Settlement(house.store, rails, house.turn.submit, house.clock)
    await house.work(120)
    states = await house.states()
    assert (states[good][0], states[bad][0], states[lost][0]) == ("accepted", "sent", "sent")
    assert house.turn.effects == {good: 1}


@pytest.mark.usefixtures("impatient")
async def test_everything_ends_and_agrees_with_the_banks_own_books(house: House, tmp_path: Path) -> None:
    await house.bank.close()
    habits = Habits(late=0.2, twice=0.1, no=0.1, never=0.05, answer_seconds=0.0, late_seconds=0.01)
    house.bank = SandboxBank(house.clock, tmp_path / "bank.jsonl", habits, seed=3)
    house.settlement = house.restarted()
    attempts = await house.order(*[""] * 150)
    await house.work(400, 10)
    ended = {attempt: state for attempt, (state, _, _) in (await house.states()).items()}
    assert ended == {
        attempt: "accepted" if what == "accepted" else "rejected" for attempt, what in did(house.bank).items()
    }
    assert house.turn.effects == dict.fromkeys(attempts, 1)
    assert {entry.behaviour for entry in house.bank.journal()} >= {"late", "twice", "no"}
    await house.bank.close()


async def test_a_hanging_bank_does_not_hold_up_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RAIL_TIMEOUT_SECONDS", 60.0)
    await house.order("silent", "silent")
    running = asyncio.create_task(house.settlement.run())
    quick = await house.order(*[""] * 20)
    async with asyncio.timeout(20):
        await house.turn.settled(20)
    assert house.turn.effects == dict.fromkeys(quick, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

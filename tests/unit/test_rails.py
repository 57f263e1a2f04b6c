"""The sandbox bank's promises, and the rules of settling: what is done next, and what an answer settles."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, ManualClock, SystemClock
from tillkeeper.payments.rails import Habits, Notice, RailAnswer, RailAttempt, SandboxBank
from tillkeeper.payments.settlement import conclude, next_step, pause_after

QUICK = Habits(answer_seconds=0.0, late_seconds=1.0)
ANSWERS = st.sampled_from(
    [RailAnswer("accepted"), RailAnswer("rejected"), RailAnswer("pending"), RailAnswer("unknown"), None]
)


def order(instruction: str = "", attempt: UUID | None = None) -> RailAttempt:
    return RailAttempt(attempt or uuid4(), "in", 1000, "CNY", instruction)


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[SandboxBank]:
    made = SandboxBank(SystemClock(), tmp_path / "bank.jsonl", QUICK)
    yield made
    await made.close()


@given(tries=st.integers(1, 500), acknowledged=st.booleans())
def test_what_the_bank_has_is_never_submitted_again(*, tries: int, acknowledged: bool) -> None:
    step = next_step(tries, acknowledged=acknowledged)
    assert step == "query" if acknowledged else step in {"submit", "query"}
    assert next_step(limits.RAIL_TRIES, acknowledged=False) == "submit"
    assert next_step(limits.RAIL_TRIES + 1, acknowledged=False) == "query"


@given(tries=st.integers(1, 10_000))
def test_pauses_grow_up_to_a_bound(tries: int) -> None:
    assert pause_after(tries) <= pause_after(tries + 1) <= limits.RAIL_MAX_RETRY_SECONDS
    assert pause_after(1) == limits.RAIL_FIRST_RETRY_SECONDS


@given(answer=ANSWERS)
def test_only_a_final_word_settles(answer: RailAnswer | None) -> None:
    submitted, asked = conclude("submit", answer), conclude("query", answer)
    if answer is None or answer.verdict == "pending":
        assert submitted is None
        assert asked is None
    elif answer.verdict == "unknown":
        assert submitted is None  # it may still be on its way
        assert asked is False
    else:
        assert submitted is asked is (answer.verdict == "accepted")


async def test_a_repeated_order_is_one_order(bank: SandboxBank) -> None:
    wanted = order()
    answers = await asyncio.gather(*(bank.submit(wanted) for _ in range(20)))
    assert {answer.verdict for answer in answers} == {"accepted"}
    assert (await bank.query(wanted.id)).verdict == "accepted"
    (entry,) = bank.journal()
    assert (entry.id, entry.did, entry.direction, entry.amount) == (wanted.id, "accepted", "in", 1000)


async def test_no_means_no_for_ever(bank: SandboxBank) -> None:
    wanted = order("no")
    assert (await bank.submit(wanted)).verdict == "rejected"
    assert (await bank.submit(order("", wanted.id))).verdict == "rejected"
    assert (await bank.query(wanted.id)).verdict == "rejected"


async def test_late_is_pending_first_and_sends_a_notice(bank: SandboxBank) -> None:
    heard = asyncio.Queue[Notice]()
    bank.listen(heard.put)
    wanted = order("late")
    assert (await bank.submit(wanted)).verdict == "pending"
    assert await asyncio.wait_for(heard.get(), 60) == Notice(wanted.id, accepted=True, text="done")
    assert (await bank.query(wanted.id)).verdict == "accepted"


async def test_twice_sends_its_notice_twice(bank: SandboxBank) -> None:
    heard = asyncio.Queue[Notice]()
    bank.listen(heard.put)
    wanted = order("twice")
    assert (await bank.submit(wanted)).verdict == "accepted"
    first, second = [await asyncio.wait_for(heard.get(), 60) for _ in range(2)]
    assert first == second
    assert len(bank.journal()) == 1


async def test_a_receiver_that_fails_does_not_trouble_the_bank(bank: SandboxBank) -> None:
    heard = asyncio.Queue[Notice]()

    async def listen(notice: Notice) -> None:
        heard.put_nowait(notice)
        raise ConnectionError

    bank.listen(listen)
    await bank.submit(order("twice"))
    for _ in range(2):
        await asyncio.wait_for(heard.get(), 60)


async def test_never_is_lost_and_once_denied_stays_refused(bank: SandboxBank) -> None:
    wanted = order("never")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bank.submit(wanted), 0.05)
    assert bank.journal() == []
    assert (await bank.query(wanted.id)).verdict == "unknown"
    assert (await bank.query(wanted.id)).verdict == "unknown"
    # The slow submission arrives after all: the bank has given its word.
    assert (await bank.submit(order("", wanted.id))).verdict == "rejected"
    assert all(entry.did != "accepted" for entry in bank.journal())


async def test_silent_does_it_and_says_nothing(bank: SandboxBank) -> None:
    wanted = order("silent")
    for call in (bank.submit(wanted), bank.query(wanted.id)):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.05)
    assert [entry.did for entry in bank.journal()] == ["accepted"]


async def test_the_bank_knows_after_a_crash_what_it_knew(tmp_path: Path) -> None:
    journal, clock = tmp_path / "bank.jsonl", SystemClock()
    before = SandboxBank(clock, journal, QUICK)
    wanted = [order(instruction) for instruction in ("", "no", "late")]
    for each in wanted:
        await before.submit(each)
    journal.write_bytes(journal.read_bytes() + b'\n{"id":"0190')  # cut short in the midst of a line
    after = SandboxBank(clock, journal, QUICK)
    assert list(after.journal()) == list(before.journal())
    fresh = order()
    await after.submit(fresh)
    assert (await before.query(fresh.id)).verdict == "accepted"  # two processes, one bank
    await asyncio.sleep(QUICK.late_seconds)
    assert [(await after.submit(each)).verdict for each in wanted] == ["accepted", "rejected", "accepted"]
    assert len(after.journal()) == 4
    await before.close()
    await after.close()


async def test_habits_come_as_often_as_set_and_the_same_for_one_seed(clock: ManualClock, seed: int) -> None:
    draw = random.Random(seed)
    orders = [order("", UUID(int=draw.getrandbits(128))) for _ in range(2000)]

    async def judge(seed: int, clock: Clock) -> list[str]:
        bank = SandboxBank(clock, habits=Habits(no=0.1, late=0.05, answer_seconds=0.0), seed=seed)
        answers: list[str] = [(await bank.submit(each)).verdict for each in orders]
        await bank.close()
        return answers

    once, again, other = [await judge(each, clock) for each in (7, 7, 8)]
    assert once == again != other
    assert 130 < once.count("rejected") < 280
    assert 50 < once.count("pending") < 160


async def test_a_late_decision_stands_at_its_time_and_not_before() -> None:
    clock = ManualClock(datetime(2026, 4, 15, 12, tzinfo=UTC))
    bank = SandboxBank(clock, habits=Habits(answer_seconds=0.0, late_seconds=2.0))
    wanted = order("late")
    await bank.submit(wanted)
    clock.advance(1.999)
    assert (await bank.query(wanted.id)).verdict == "pending"
    clock.advance(0.001)
    assert (await bank.query(wanted.id)).verdict == "accepted"
    await bank.close()

"""Backtests on stored history: asked for, done by the agent, kept, shown."""

import asyncio
import os
import sys
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, from_us, to_us
from tillkeeper.base.ids import first_id_at
from tillkeeper.base.results import Refused
from tillkeeper.risk import RiskEngine, backtest, load_rules
from tillkeeper.risk.backtest import Examiner, Question
from tillkeeper.risk.backtest import rows as kept
from tillkeeper.store import Store

HOUR = 3600 * 1_000_000
DAY = 24 * HOUR
RULES = """
reference = "CNY"
other = 100
[worth]
CNY = 100
[[rule]]
name = "large"
version = 1
outcome = "hold"
when = "amount >= 9_000"
reason.zh = "大"
reason.en = "large"
"""


async def a_past(admin: psycopg.AsyncConnection, now_us: int) -> None:
    """Fifty days, four payments a day; every tenth is large, and half of those are frauds known a week later."""
    payments, labels = [], []
    for n in range(200):
        at = now_us - (50 * DAY) + n * 6 * HOUR
        id_ = UUID(int=first_id_at(from_us(at)).int + n)
        payments.append(
            (id_, from_us(at), UUID(int=n % 9 + 1), UUID(int=n % 4 + 100), 9_000 if n % 10 == 0 else 500)
        )
        if n % 20 == 0 and n < 170:
            labels.append((id_, from_us(at + 7 * DAY)))
    async with admin.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO risk.decisions (id, at, kind, customer, payee, amount, currency, outcome, reasons, rule_set,"
            " features) VALUES (%s, %s, 'payment', %s, %s, %s, 'CNY', 'allow', '{}', 1, '')",
            payments,
        )
        await cursor.executemany(
            "INSERT INTO risk.labels (payment, fraud, source, known_at, written_at)"
            " VALUES (%s, true, 'test', %s, now())",
            labels,
        )


def question(clock: ManualClock, rules: str = RULES, base: str = "") -> Question:
    return Question(clock.now() - timedelta(days=10), clock.now(), rules, base_rules=base)


async def test_history_is_tried_and_kept(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    await a_past(admin, to_us(clock.now()))
    asked = Question(clock.now() - timedelta(days=40), clock.now(), RULES, base_rules=load_rules(None).source)
    async with store.tx("test") as tx:
        id_ = await backtest.ask(tx, asked, "kim", clock.now())
    assert await backtest.do_asked(store, id_, "UTC", clock) is None, "nobody claimed it"
    async with store.tx("test") as tx:
        await kept.claim(tx, clock.now())
    report = await backtest.do_asked(store, id_, "UTC", clock)
    assert report is not None
    (line,) = report.candidate.each_rule
    assert (report.payments, report.judged, report.frauds) == (160, 132, 7)
    assert (line.hits, line.frauds, line.honest) == (16, 7, 7)
    assert report.base is not None
    assert report.changes[0].after == "hold"
    assert report.changes[0].examples[0].startswith("pay_")
    async with store.tx("test") as tx:
        done = await backtest.one(tx, id_)
        newer = await backtest.keep(tx, asked, "kim", clock.now(), clock.now(), report)
        again = await backtest.of_rules(tx, RULES)
        listed = await backtest.latest(tx)
    assert done is not None
    assert again is not None
    assert (done.state, done.share, done.report, done.question) == ("done", 1.0, report, asked)
    assert (again.id, again.state, again.report, again.question) == (newer, "done", report, asked)
    assert [(each.id, each.report) for each in listed] == [(newer, None), (id_, None)]


async def test_the_agent_does_what_was_asked(store: Store, clock: ManualClock) -> None:
    """With a stand-in for the child process, which says on standard error why it could not."""
    async with store.tx("test") as tx:
        id_ = await backtest.ask(tx, question(clock), "kim", clock.now())
        asked = await backtest.one(tx, id_)
    assert asked is not None
    assert (asked.state, asked.share, asked.author) == ("asked", 0.0, "kim")
    complains = (sys.executable, "-c", "import sys; sys.exit(f'no memory left for {sys.argv[1]}')")
    examiner = Examiner(store, clock, complains)
    assert await examiner.beat()
    assert not await examiner.beat()
    async with store.tx("test") as tx:
        failed = await backtest.one(tx, id_)
    assert failed is not None
    assert (failed.state, failed.said) == ("failed", f"no memory left for {id_}")


async def test_what_a_dead_agent_had_begun_is_done_again(store: Store, clock: ManualClock) -> None:
    async with store.tx("test") as tx:
        id_ = await backtest.ask(tx, question(clock), "kim", clock.now())
        assert await kept.claim(tx, clock.now()) == id_
        await kept.tell(tx, id_, 0.4)
        assert await kept.claim(tx, clock.now()) is None
        await kept.again(tx)
        found = await backtest.one(tx, id_)
        assert found is not None
        assert (found.state, found.share) == ("asked", 0.0)
        assert await kept.claim(tx, clock.now()) == id_


async def test_two_agents_for_a_moment_do_not_begin_the_same(database: Database, clock: ManualClock) -> None:
    async with Store.opened(database.app_url, size=2) as store:
        async with store.tx("test") as tx:
            first, second = [await backtest.ask(tx, question(clock), "kim", clock.now()) for _ in range(2)]
        async with store.tx("one") as one, store.tx("two") as two:
            assert await kept.claim(one, clock.now()) == first
            async with asyncio.timeout(5):
                assert await kept.claim(two, clock.now()) == second


async def test_who_is_left_behind_by_a_killed_agent_gives_up(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store.tx("test") as tx:
        id_ = await backtest.ask(tx, question(clock), "kim", clock.now())
        await kept.claim(tx, clock.now())
    parents = iter([7])
    monkeypatch.setattr(limits, "BACKTEST_TOLD_SECONDS", 0.001)
    monkeypatch.setattr(os, "getppid", lambda: next(parents, 1))
    monkeypatch.setattr(backtest.house, "tried", lambda *_: asyncio.sleep(60))
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await backtest.do_asked(store, id_, "UTC", clock)
    async with store.tx("test") as tx:
        found = await backtest.one(tx, id_)
    assert found is not None
    assert found.state == "running", "for the next agent, which has it done again"


async def test_what_cannot_be_asked(store: Store, clock: ManualClock) -> None:
    one = question(clock)
    async with store.tx("test") as tx:
        with pytest.raises(Refused, match="before it begins"):
            await backtest.ask(tx, Question(one.to_at, one.from_at, RULES), "kim", clock.now())
        with pytest.raises(Refused, match="longer"):
            await backtest.ask(
                tx, Question(one.to_at - timedelta(days=3000), one.to_at, RULES), "kim", clock.now()
            )
        for _ in range(limits.BACKTESTS_OPEN):
            await backtest.ask(tx, one, "kim", clock.now())
        with pytest.raises(Refused) as refused:
            await backtest.ask(tx, one, "kim", clock.now())
    assert refused.value.refusal.code == "too_many_backtests"


async def test_the_usual_question(store: Store, clock: ManualClock, admin: psycopg.AsyncConnection) -> None:
    with pytest.raises(Refused, match="no payment yet"):
        await backtest.question_of(store, clock)
    await a_past(admin, to_us(clock.now()))
    with pytest.raises(Refused, match="no rules are in force"):
        await backtest.question_of(store, clock)
    await RiskEngine.open(store, None, clock, "UTC")
    standing = await backtest.question_of(store, clock)
    assert (standing.rules, standing.model, standing.base_rules) == (load_rules(None).source, None, "")
    assert standing.to_at - standing.from_at == backtest.USUAL
    other = await backtest.question_of(store, clock, RULES)
    assert (other.rules, other.base_rules) == (RULES, load_rules(None).source)

"""Backtests on stored history: asked for, done by the agent, kept, shown."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest

from tests.support.postgres import Database
from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, from_us, to_us
from tillkeeper.base.ids import first_id_at, new_id
from tillkeeper.base.results import Refused
from tillkeeper.faces.cli.risks.backtest import show
from tillkeeper.risk import Attempt, Force, Label, RiskEngine, backtest, load_rules
from tillkeeper.risk.backtest import Examiner, Question, Range, Trial
from tillkeeper.risk.backtest import rows as kept
from tillkeeper.risk.history import Walk, stretches
from tillkeeper.risk.logins import OUTCOMES, Answered, Login, Thresholds, Verdict
from tillkeeper.risk.logins.rows import login_event, write_answers, write_logins
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
    async with store.tx("test") as tx:
        login = a_login(to_us(clock.now()) - 20 * DAY, 5000, 1)
        await write_logins(tx, [(login, Verdict("block", 0.995, (), (None,) * 5, 1))])
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
    assert report.base.logins is not None
    assert (report.base.logins.logins, report.base.logins.outcomes[2].open) == (1, 1)
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


LOGIN_RULES = (
    RULES
    + """
[[rule]]
name = "guessed"
version = 1
on = "login"
outcome = "ask_again"
when = "customer_logins_failed_1h >= 2"
reason.zh = "猜"
reason.en = "guessed"
[[rule]]
name = "strange"
version = 1
on = "login"
outcome = "block"
when = "device_login_customers_24h >= 3"
shadow = true
reason.zh = "怪"
reason.en = "strange"
"""
)


def a_login(at_us: int, number: int, customer: int, *, right: bool = True) -> Login:
    id_ = UUID(int=first_id_at(from_us(at_us)).int + number)
    return Login(id_, at_us, UUID(int=customer), right, ip=f"10.0.0.{customer}", device="shared")


async def test_rules_about_logins_are_tried_by_what_judges_them_live(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    """Payments and logins as they came; the backtest's hits are those that the engine said then."""
    (tmp_path / "rules.toml").write_text(LOGIN_RULES, "utf-8")
    engine = await RiskEngine.open(store, tmp_path / "rules.toml", clock, "UTC")
    now, said, kept_logins = to_us(clock.now()), [], []
    begin = now - 20 * DAY
    tries = [(1, False), (1, False), (1, True), (2, True), (3, True), (4, True), (5, True), (1, True)]
    for n, (customer, right) in enumerate(tries):
        login = a_login(begin + n * HOUR // 10, n, customer, right=right)
        ((by_rules, _),) = engine.judge_events([login_event(login, 0.9 if n == 5 else 0.1)])
        outcome = max(by_rules, Thresholds().outcome(0.9 if n == 5 else 0.1), key=OUTCOMES.index)
        said.append(outcome)
        kept_logins.append((login, Verdict(outcome, 0.9 if n == 5 else 0.1, (), (None,) * 5, 1)))
        paid = msgspec.structs.replace(login, id=UUID(int=login.id.int + 1000))
        attempt = Attempt(
            paid.id, "payment", paid.at_us, paid.customer, UUID(int=99), 10, "CNY", device="shared"
        )
        async with store.tx("test") as tx:
            await engine.write(tx, engine.decide([attempt]))
            if n == 4:
                await risk.write_labels(tx, [Label(attempt.id, True, now - DAY)], clock.now())
    async with store.tx("test") as tx:
        await write_logins(tx, kept_logins)
        answers = [(2, False), (2, True), (5, False)]
        at = from_us(begin + DAY)
        await write_answers(
            tx, [Answered(new_id(), kept_logins[n][0].id, passed, at) for n, passed in answers]
        )
    assert said == ["allow", "ask_again", "ask_again", "allow", "allow", "ask_again", "allow", "ask_again"]
    trial = Trial(Range(begin, now, now), Force.of(engine.rules))
    walk = Walk.of(engine.rules, ZoneInfo("UTC"), trial.names, beside=trial.beside)
    async for stretch in stretches(store, begin):
        async with store.tx("test") as tx:
            truth = await kept.logins(tx, kept_logins[0][0].id, kept_logins[-1][0].id, clock.now())
        trial.take(walk.take(stretch), truth)
    report = trial.report()
    found = report.candidate.logins
    assert found is not None
    # Guessed twice (wrong), asked and passed, allowed twice, reported, asked and failed, allowed; asked and nobody answered.
    assert (found.logins, found.wrong, found.attackers, found.honest, found.open) == (8, 2, 2, 3, 1)
    by_outcome = {
        each.outcome: (each.attackers, each.honest, each.wrong, each.open) for each in found.outcomes
    }
    assert by_outcome == {"allow": (1, 2, 1, 0), "ask_again": (1, 1, 1, 1), "block": (0, 0, 0, 0)}
    assert [each.customers for each in found.outcomes] == [0, 1, 0]
    guessed, strange = found.each_rule
    assert (guessed.hits, guessed.honest, guessed.wrong, guessed.open) == (3, 1, 1, 1)
    assert (guessed.alone, guessed.alone_honest, guessed.alone_wrong) == (0, 1, 1)
    assert (strange.shadow, strange.hits, strange.attackers, strange.honest) == (True, 4, 2, 1)
    assert [each.rule for each in report.candidate.each_rule] == ["large"]
    show(report)


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
            async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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

"""Rules change by proposal, backtest and four eyes: over the approvals, and with `till risk rules`, `lists`, `mutes`."""

import asyncio
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.support.people import signed_in
from tests.support.postgres import Database, apart
from tillkeeper import audit, risk
from tillkeeper.access import Approval, Asker, approvals
from tillkeeper.base.clock import ManualClock, SystemClock, to_us
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.faces.cli.main import main
from tillkeeper.faces.rule_deeds import ACTIVATE, RuleChange, change_of
from tillkeeper.risk import Attempt, Proposal, RiskEngine
from tillkeeper.store import Store

KINDS = approvals.deeds(ACTIVATE)
RULES = """
reference = "CNY"
other = 100
[worth]
CNY = 100
[[rule]]
name = "large"
version = 1
outcome = "hold"
when = "amount >= 5_000"
reason.zh = "{amount}"
reason.en = "{amount}"
"""
Till = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def engine(store: Store, clock: ManualClock, tmp_path: Path) -> RiskEngine:
    (tmp_path / "first.toml").write_text(RULES.replace("5_000", "4_000"), "utf-8")
    return await RiskEngine.open(store, tmp_path / "first.toml", clock, "Asia/Shanghai")


async def proposed(store: Store, clock: ManualClock, text: str = RULES) -> Proposal:
    async with store.tx("test") as tx:
        return await risk.propose(tx, text, "anna", "too much held", clock)


async def backtested(admin: psycopg.AsyncConnection, text: str) -> None:
    await admin.execute(
        "INSERT INTO risk.backtests (id, at, author, from_at, to_at, rules, rules_sha256, base_rules, state, report)"
        " VALUES (%s, now(), 'anna', now() - interval '1 day', now(), %s, %s, '', 'done', '{}')",
        [new_id(), text, sha256(text.encode()).digest()],
    )


async def asked(store: Store, clock: ManualClock, terms: RuleChange) -> Approval | Refusal:
    async with store.tx("test") as tx:
        return await approvals.ask(tx, ACTIVATE, terms, Asker("anna"), clock)


async def agreed(
    store: Store, clock: ManualClock, question: Approval, by: str = "ben", role: str = "risk_analyst"
) -> Approval | Refusal:
    async with store.tx("test") as tx:
        session = signed_in(by, clock, [role])
        return await approvals.decide(tx, KINDS, question.id, question.digest, session, clock, give=True)


async def test_two_people_and_a_backtest_put_rules_in_force(
    store: Store, clock: ManualClock, engine: RiskEngine, admin: psycopg.AsyncConnection
) -> None:
    async with store.tx("test") as tx:
        await engine.write(
            tx, engine.decide([Attempt(new_id(), "payment", 1, UUID(int=1), UUID(int=2), 1, "CNY")])
        )
    made = await proposed(store, clock)
    early = await asked(store, clock, change_of(made))
    assert isinstance(early, Refusal)
    assert early.code == "backtest_missing"
    await backtested(admin, RULES)
    question = await asked(store, clock, change_of(made))
    assert isinstance(question, Approval)
    for by, role in (("anna", "risk_analyst"), ("ben", "support")):
        refused = await agreed(store, clock, question, by, role)
        assert isinstance(refused, Refusal)
        assert refused.code in {"own_approval", "forbidden"}
    assert isinstance(await agreed(store, clock, question), Approval)
    for _ in range(2):  # after a crash in between it is asked for again
        assert isinstance(await approvals.carry_out(store, KINDS, question.id, clock), Approval)
    await engine.refresh()
    assert (engine.version, [each.name for each in engine.rules.rules]) == (made.rule_set, ["large"])
    async with store.tx("test") as tx:
        active = await risk.activations(tx, 9)
        events = await audit.of(tx, "rules")
    assert (active[0].rule_set, active[0].origin, active[0].author) == (made.rule_set, "people", "anna, ben")
    assert len(active) == 2
    assert events[0].action == "rules.activated"


async def test_other_rules_in_between_void_what_was_agreed_to(
    store: Store, clock: ManualClock, engine: RiskEngine, admin: psycopg.AsyncConnection
) -> None:
    made = await proposed(store, clock)
    await backtested(admin, RULES)
    question = await asked(store, clock, change_of(made))
    assert isinstance(question, Approval)
    other = await proposed(store, clock, RULES.replace("5_000", "6_000"))
    async with store.tx("test") as tx:
        assert await risk.activate(tx, other.rule_set, clock.now(), "people", "cleo, dan", other.id)
    refused = await agreed(store, clock, question)
    assert isinstance(refused, Refusal)
    assert refused.code == "approval_changed"
    await engine.refresh()
    assert engine.version == other.rule_set


async def test_of_two_proposals_agreed_to_at_once_one_comes_into_force(
    store: Store, clock: ManualClock, engine: RiskEngine
) -> None:
    questions, made = [], [await proposed(store, clock, RULES.replace("5_000", f"{n}_000")) for n in (6, 7)]
    for each in made:
        question = await asked(store, clock, change_of(each))
        assert isinstance(question, Approval)
        questions.append(question)
    for question in questions:
        assert isinstance(await agreed(store, clock, question), Approval)
    said = await asyncio.gather(*(approvals.carry_out(store, KINDS, each.id, clock) for each in questions))
    (refused,) = [each for each in said if isinstance(each, Refusal)]
    won = made[0 if said[1] is refused else 1]
    assert refused.code == "approval_changed"
    assert refused.detail == (
        f"it was made from rule set {engine.version}, and {won.rule_set} is in force: propose it anew on that"
    )
    async with store.tx("test") as tx:
        assert [each.rule_set for each in await risk.activations(tx, 9)] == [won.rule_set, engine.version]


async def test_a_proposal_that_is_not_there(store: Store, clock: ManualClock, engine: RiskEngine) -> None:
    for public in ("rpr_nonsense", risk.proposal_id(new_id())):
        refused = await asked(store, clock, RuleChange(public, engine.version, "", None))
        assert isinstance(refused, Refusal)
        assert refused.code == "unknown_proposal"


# -- the command line


@pytest.fixture
def till(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)

    async def start() -> None:
        async with Store.opened(database.app_url, size=1) as store:
            await RiskEngine.open(store, None, SystemClock(), "Asia/Shanghai")

    apart(start())

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


def test_rules_by_command(till: Till, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(RULES.replace("amount >=", "amont >="), "utf-8")
    code, out, _ = till("risk", "rules", "check", str(mine))
    assert (code, "mine.toml:10: when: amont is not a feature; amount is" in out) == (1, True)
    assert till("risk", "rules", "propose", str(mine))[0] == 2
    mine.write_text(RULES, "utf-8")
    assert till("risk", "rules", "check", str(mine))[0] == 0
    code, out, _ = till("risk", "rules", "propose", str(mine), "--reason", "ticket 12", "--json")
    made = json.loads(out)
    assert (code, made["reason"], made["active"], made["backtest"]) == (0, "ticket 12", False, None)
    code, out, _ = till("risk", "rules", "show", made["id"])
    assert (code, "+ large: hold when amount >= 5_000" in out, "- device_of_many" in out) == (0, True, True)
    code, out, _ = till("risk", "rules", "activate", made["id"], "--no-wait")
    assert (code, "A second person must agree, here: " in out) == (
        0,
        True,
    )  # without history there is nothing to try
    code, out, _ = till("risk", "rules", "list")
    assert (code, made["id"] in out, "is in force since" in out, "by package" in out) == (0, True, True, True)
    told = json.loads(till("risk", "rules", "list", "--json")[1])
    assert (told["active"]["origin"], told["engine"]["faults"], len(told["proposals"])) == ("package", [], 1)
    assert till("risk", "rules", "show", "rpr_x")[0] == 2


def test_a_proposal_is_tried_on_history(till: Till, tmp_path: Path, database: Database) -> None:
    async def pay() -> None:
        async with Store.opened(database.app_url, size=1) as store:
            engine = await RiskEngine.open(store, None, SystemClock(), "Asia/Shanghai")
            now = to_us(SystemClock().now()) - 60_000_000
            attempts = [
                Attempt(new_id(), "payment", now + n, UUID(int=n), UUID(int=9), 6000, "CNY")
                for n in range(20)
            ]
            async with store.tx("test") as tx:
                await engine.write(tx, engine.decide(attempts))

    apart(pay())
    (tmp_path / "mine.toml").write_text(RULES, "utf-8")
    made = json.loads(till("risk", "rules", "propose", str(tmp_path / "mine.toml"), "--json")[1])
    code, out, _ = till("risk", "rules", "show", made["id"])
    assert (code, "Its backtest is asked, 0% done." in out) == (0, True)
    assert till("risk", "rules", "activate", made["id"], "--no-wait")[0] == 2
    assert till("risk", "backtest", "--rules", str(tmp_path / "mine.toml"))[0] == 0
    code, out, _ = till("risk", "rules", "show", made["id"])
    assert (code, "backtest done, waits for two people" in out, "20 payments" in out) == (0, True, True)
    told = json.loads(till("risk", "rules", "show", made["id"], "--json")[1])
    assert told["report"]["payments"] == 20
    assert till("risk", "rules", "activate", made["id"], "--no-wait")[0] == 0


def test_lists_by_command(till: Till) -> None:
    customer = to_typeid("cus", UUID(int=7))
    code, out, _ = till(
        "risk", "lists", "add", "trust", "customer", customer, "--until", "24h", "--reason", "case 7"
    )
    assert (code, "is on the trust list until" in out) == (0, True)
    assert till("risk", "lists", "add", "block", "device", "phone", "--reason", "case 8")[0] == 0
    assert (
        till("risk", "lists", "add", "trust", "device", "phone", "--reason", "case 8")[0] == 2
    )  # without an end
    assert till("risk", "lists", "add", "block", "device", "phone")[0] == 2  # without a reason
    listed = json.loads(till("risk", "lists", "list", "--json")[1])
    assert [(each["list"], each["key"]) for each in listed] == [
        ("block", "phone"),
        ("trust", str(UUID(int=7))),
    ]
    assert till("risk", "lists", "end", "block", "device", "phone", "--reason", "done")[0] == 0
    assert till("risk", "lists", "end", "block", "device", "phone", "--reason", "done")[0] == 1
    assert "trust" in till("risk", "lists", "list")[1]


def test_mutes_by_command(till: Till) -> None:
    add = ("risk", "mutes", "add", "rapid_fire", "--until", "2h", "--reason", "ticket 12")
    assert till(*add, "--entity", "device", "--key", "kiosk")[0] == 0
    assert till(*add, "--entity", "device")[0] == 2
    code, _, err = till("risk", "mutes", "add", "no_such_rule", "--until", "2h", "--reason", "x")
    assert (code, "no rule in force is called 'no_such_rule'" in err) == (2, True)
    (listed,) = json.loads(till("risk", "mutes", "list", "--json")[1])
    assert (listed["rule"], listed["entity"], listed["key"]) == ("rapid_fire", "device", "kiosk")
    assert "kiosk" in till("risk", "mutes", "list")[1]
    end = ("risk", "mutes", "end", "rapid_fire", "--entity", "device", "--key", "kiosk", "--reason", "gone")
    assert [till(*end)[0] for _ in range(2)] == [0, 1]

"""Features that an installation declares: kept as they were written, filled while decisions go on, retired."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock, to_us
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refused
from tillkeeper.faces.cli.main import main
from tillkeeper.risk import FEATURES, Attempt, BadDeclarationsError, RiskEngine, declared, propose
from tillkeeper.risk.inforce import activate
from tillkeeper.store import Store

Till = Callable[..., tuple[int, str, str]]
CLOCK = SystemClock()
MINE = """
[[feature]]
name = "mine_max_{window}"
entity = "customer"
where = "amount >= 100"
aggregate = "max"
of = "amount"
past = true
window = ["90m", "3d"]
unit = "money"
zh = "{window}内最大金额"
en = "largest amount of {window}"

[[feature]]
name = "mine_over_max"
value = "amount / mine_max_3d"
unit = "ratio"
zh = "倍数"
en = "times the largest"
"""
NAMES = ["mine_max_90m", "mine_max_3d", "mine_over_max"]
RULES = """
reference = "CNY"
other = 100
[worth]
CNY = 100
[[rule]]
name = "twice_the_largest"
version = 1
outcome = "hold"
when = "mine_over_max > 2"
reason.zh = "本笔是三天内最大金额的 {mine_over_max} 倍"
reason.en = "{mine_over_max} times the largest of three days"
"""


@pytest.fixture
def till(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


async def test_declarations_are_kept_and_computed_until_they_are_retired(store: Store) -> None:
    now = CLOCK.now()
    async with store.tx("test") as tx:
        before = await declared.revision(tx)
        made = await declared.add(tx, MINE, "mine.toml", "anna", now)
        assert [one.name for one in made] == NAMES
        known = await declared.catalogue(tx)
        assert list(known)[len(FEATURES) :] == NAMES
        assert known.declarations[len(FEATURES) :] == made
        assert await declared.revision(tx) > before
        await declared.retire(tx, "mine_max_90m", "anna", "not needed", now)
        assert list(await declared.catalogue(tx))[len(FEATURES) :] == NAMES[1:]
        found = {one.name: one for one in await declared.declared(tx)}
        assert (found["mine_max_90m"].computed, found["mine_max_90m"].reason) == (False, "not needed")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('entity = "payee"\naggregate = "ratio"\nof = "amount"\npast = true\nwindow = "7d"', "read ratio in a"),
        ('entity = "customer"\naggregate = "z_score"\nof = "amount"\nwindow = "30d"', "read z_score in a"),
        ('entity = "device"\naggregate = "known_for"\nof = "payee"\nwindow = "30d"', "comes with the package only"),
        ('entity = "customer"\naggregate = "new"\nof = "ip"\nwindow = "7d"', "comes with the package only"),
        ('entity = "device"\naggregate = "distance"\nwindow = "30d"', "read distance_km in a value"),
        ('entity = "customer"\naggregate = "speed"\npast = true\nwindow = "30d"', "read speed_kmh in a value"),
        ('value = "model_score * 100"', "let a rule compare it"),
        ('value = "amount * customer_watched"', "let a rule compare it"),
    ],
)  # fmt: skip
async def test_what_would_never_be_known_is_refused(store: Store, body: str, why: str) -> None:
    text = f'[[feature]]\nname = "mine"\nunit = "ratio"\nzh = "甲"\nen = "mine"\n{body}\n'
    with pytest.raises(BadDeclarationsError, match=why):
        async with store.tx("test") as tx:
            await declared.add(tx, text, "mine.toml", "anna", CLOCK.now())


async def test_what_changes_its_meaning_changes_its_name(store: Store) -> None:
    now = CLOCK.now()
    async with store.tx("test") as tx:
        await declared.add(tx, MINE, "mine.toml", "anna", now)
        with pytest.raises(BadDeclarationsError, match="there is a feature mine_over_max already"):
            await declared.add(tx, MINE, "mine.toml", "anna", now)
        for name in reversed(NAMES):
            await declared.retire(tx, name, "anna", "again", now)
    with pytest.raises(Refused, match="declared differently"):
        async with store.tx("test") as tx:
            await declared.add(tx, MINE.replace("max", "min"), "mine.toml", "anna", now)
            await declared.add(tx, MINE.replace(">= 100", ">= 101"), "mine.toml", "anna", now)
    async with store.tx("test") as tx:
        await declared.add(tx, MINE, "mine.toml", "anna", now)  # just as it was: it comes back
        assert list(await declared.catalogue(tx))[len(FEATURES) :] == NAMES


async def test_what_is_read_is_not_retired(store: Store) -> None:
    now = CLOCK.now()
    async with store.tx("test") as tx:
        await declared.add(tx, MINE, "mine.toml", "anna", now)
        for name, used, why in (
            ("mine_max_3d", [], "mine_over_max is computed from it"),
            ("mine_max_3d", ["mine_over_max"], "rules or models in force read it"),
            ("amount", [], "comes with the package"),
            ("nothing", [], "no feature nothing is computed"),
        ):
            with pytest.raises(Refused, match=why):
                await declared.retire(tx, name, "anna", "why", now, used)


async def test_too_many_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DECLARED_FEATURES", 2)
    with pytest.raises(Refused, match="2 features are computed"):
        async with store.tx("test") as tx:
            await declared.add(tx, MINE, "mine.toml", "anna", CLOCK.now())


async def test_a_new_feature_is_filled_from_history_while_decisions_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Declared, read by a new rule, filled beside the running decisions, which never stop: then it decides."""
    monkeypatch.setattr(limits, "FORCE_POLL_SECONDS", 0.02)
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 0.1)
    before = tmp_path / "before.toml"  # the package's own rules mind so many payments within a minute
    before.write_text(
        RULES.replace("mine_over_max > 2", "amount >= 1_000_000").replace("mine_over_max", "amount"),
        "utf-8",
    )
    engine = await RiskEngine.open(store, before, CLOCK, "Asia/Shanghai")
    following = asyncio.create_task(engine.follow())
    try:
        await _pay(engine, store, 1000)
        async with store.tx("test") as tx:
            await declared.add(tx, MINE, "mine.toml", "anna", CLOCK.now())
            proposed = await propose(tx, RULES, "anna", "test", CLOCK)
            await activate(tx, proposed.rule_set, CLOCK.now(), "people", "berta", proposed.id)
        amount = 1000
        async with asyncio.timeout(90):
            while "mine_over_max" not in engine._wanted or engine._renewal is not None:
                assert await _pay(engine, store, amount := amount + 1) == "allow"  # unknown, then as usual
                await asyncio.sleep(0.02)
        assert engine.faults == ()
        assert await _pay(engine, store, 2 * amount) == "allow"
        assert await _pay(engine, store, 4 * amount + 1) == "hold"
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _pay(engine: RiskEngine, store: Store, amount: int) -> str:
    """The outcome of a customer's payment."""
    attempt = Attempt(new_id(), "payment", to_us(CLOCK.now()), UUID(int=5), UUID(int=9), amount, "CNY")
    (decision,) = engine.decide([attempt])
    async with store.tx("test") as tx:
        await engine.write(tx, [decision])
    return decision.outcome


def test_features_by_command(till: Till, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINE, "utf-8")
    assert till("risk", "features", "list", "--mine")[1].startswith("This installation declared no features")
    assert json.loads(till("risk", "features", "add", str(file), "--json")[1]) == NAMES
    listed = json.loads(till("risk", "features", "list", "--mine", "--json")[1])
    assert [one["name"] for one in listed] == NAMES
    assert listed[0]["where"] == "amount >= 100"
    code, out, _ = till("risk", "features", "show", "payee_risk_7d")
    assert code == 0
    assert "CREATE OR REPLACE TABLE features AS" in out
    code, _, err = till("risk", "features", "retire", "mine_max_3d", "--reason", "x")
    assert code != 0
    assert "mine_over_max is computed from it" in err
    assert till("risk", "features", "retire", "mine_max_90m", "--reason", "x")[0] == 0
    assert "mine_max_90m" not in till("risk", "features", "list")[1]


def test_a_bad_file_is_told_in_words(till: Till, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(MINE.replace('"90m"', '"90 minutes"'), "utf-8")
    code, _, err = till("risk", "features", "add", str(file))
    assert code != 0
    assert (
        "bad.toml: mine_max_{window}: window: '90 minutes' must be a number with s, m, h or d, at most 30d"
        in err
    )
    code, _, err = till("risk", "features", "add", str(tmp_path / "none.toml"))
    assert "cannot be read" in err
    code, _, err = till("risk", "features", "show", "none")
    assert "there is no feature 'none'" in err

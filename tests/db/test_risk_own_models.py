"""A model over a feature that the installation declared: trained, promoted, live as in a backtest, explained, refused."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from tests.support.desk import Console, console
from tests.support.postgres import Database, apart
from tests.support.risk_models import small_model
from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, ManualClock, SystemClock, to_us
from tillkeeper.base.results import Refused
from tillkeeper.faces.cli.main import main
from tillkeeper.faces.model_deeds import PROMOTE, promotion_of
from tillkeeper.risk import Attempt, Decision, Label, RiskEngine, backtest, declared, training
from tillkeeper.risk.history import Walk, stretches
from tillkeeper.risk.models import Artifact, BadModelError, in_force, own_among, pack, read, registry
from tillkeeper.risk.training import Wish
from tillkeeper.store import Store
from tillkeeper.vault import Vault

Till = Callable[..., tuple[int, str, str]]
ZONE = "Asia/Shanghai"
MINUTE_US = 60_000_000
FEATURE = """
[[feature]]
name = "mine_tiny_10m"
entity = "customer"
where = "amount < 100"
aggregate = "count"
past = true
window = "10m"
unit = "count"
zh = "十分钟内的小额笔数"
en = "tiny payments of ten minutes"
"""
OTHER = FEATURE.replace("mine_tiny_10m", "mine_tiny_9m").replace('"10m"', '"9m"')
FRAUDS = """
[[feature]]
name = "mine_frauds"
entity = "customer"
aggregate = "frauds"
window = "1d"
unit = "count"
zh = "一天内的欺诈"
en = "frauds of a day"
"""
RULES = """
reference = "CNY"
other = 100
[worth]
CNY = 100
[[rule]]
name = "the_model_says"
version = 1
outcome = "hold"
when = "model_score > 0.5"
reason.zh = "模型"
reason.en = "the model"
"""
PAST = 1600
TRAINED = dict[tuple[tuple[str, ...], str], bytes]()


def id_at(at_us: int, number: int) -> UUID:
    return UUID(int=(at_us // 1000) << 80 | 7 << 76 | 2 << 62 | number)


def attempts(begin_us: int, count: int, seed: int) -> tuple[list[Attempt], list[Label]]:
    """Payments a minute apart. Some customers pay twice, and after something tiny the second is a fraud; otherwise whoever
    paid pays again after more than ten minutes. Amounts of frauds are like any other.
    """
    chance = np.random.default_rng(seed)
    made, labels = list[Attempt](), list[Label]()
    customer, before = 0, ""
    for n in range(count):
        at = begin_us + n * MINUTE_US
        does = "" if before else str(chance.choice(["", "tiny", "twice"], p=[0.7, 0.15, 0.15]))
        customer += not before
        amount = 50 if does == "tiny" else int(chance.lognormal(8, 0.5))
        who, shop = UUID(int=customer % 40 + 1), UUID(int=900 + n % 7)
        made.append(Attempt(id_at(at, n), "payment", at, who, shop, amount, "CNY"))
        labels += [Label(made[-1].id, True, at + 1000)] if before == "tiny" else []
        before = does
    return made, labels


async def lived(engine: RiskEngine, store: Store, begin_us: int, count: int, seed: int) -> list[Decision]:
    """Payments decided and kept, in turns of 64, and their labels."""
    made, labels = attempts(begin_us, count, seed)
    found = list[Decision]()
    for n in range(0, count, 64):
        turn = engine.decide(made[n : n + 64])
        async with store.tx("test") as tx:
            await engine.write(tx, turn)
        found += turn
    async with store.tx("test labels") as tx:
        await engine.write_labels(tx, labels)
    return found


async def declare(store: Store, clock: Clock, text: str = FEATURE) -> risk.Catalogue:
    async with store.tx("test") as tx:
        await declared.add(tx, text, "mine.toml", "anna", clock.now())
        return await declared.catalogue(tx)


async def retired(store: Store, clock: Clock, name: str = "mine_tiny_10m") -> None:
    """As `till risk features retire` does, without looking who reads it."""
    async with store.tx("test") as tx:
        await declared.retire(tx, name, "anna", "a test", clock.now())


async def refreshed(engine: RiskEngine) -> None:
    """What is in force taken over, and its profiles filled."""
    await engine.refresh()
    if engine._renewal is not None and engine._renewal.task is not None:
        await engine._renewal.task


@pytest.fixture
async def engine(
    store: Store, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RiskEngine:
    """One that has seen a day of payments."""
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 0.0)
    file = tmp_path / "rules.toml"
    file.write_text(RULES, "utf-8")
    made = await RiskEngine.open(store, file, clock, ZONE)
    await lived(made, store, to_us(clock.now()) - (PAST + 300) * MINUTE_US, PAST, 1)
    await made.refresh()
    return made


async def trained(
    store: Store, engine: RiskEngine, clock: ManualClock, own: tuple[str, ...], name: str = "june"
) -> int:
    """A model of that day, kept. The same day gives the same bytes, so it is trained once for all tests."""
    async with store.tx("test") as tx:
        known = await declared.catalogue(tx)
    if (own, name) not in TRAINED:
        now = to_us(clock.now())
        wish = Wish(name, "anna", now - (PAST + 300) * MINUTE_US, now, 0, own=own, catalogue=known)
        made = await training.train_here(store, engine.rules, ZoneInfo(ZONE), wish, clock.now())
        assert set(own) <= set(made.features)
        TRAINED[own, name] = made.blob
    async with store.tx("test") as tx:
        return (await registry.keep(tx, TRAINED[own, name], "anna", clock, known)).version


async def promoted(store: Store, clock: ManualClock, version: int) -> None:
    async with store.tx("test") as tx:
        await registry.promote(tx, version, "ben", clock)


def told(decision: Decision, engine: RiskEngine) -> dict[str, float]:
    force = decision.force or engine.force
    return dict(zip(force.columns, np.frombuffer(decision.features, "<f8").tolist(), strict=True))


async def test_from_its_own_feature_to_a_decision_that_is_explained(
    engine: RiskEngine, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await declare(store, clock)
    version = await trained(store, engine, clock, ("mine_tiny_10m",))
    await promoted(store, clock, version)
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 3600.0)
    await engine.refresh()  # the feature is not filled yet, and will not be while we look
    assert engine.force.champion is not None
    assert engine.force.champion.id == version
    begin = to_us(clock.now()) - 299 * MINUTE_US
    (first,) = await lived(engine, store, begin, 1, 2)
    values = told(first, engine)
    assert np.isnan(values["mine_tiny_10m"])
    assert 0 <= values["model_score"] <= 1
    await engine._give_up_renewal()
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 0.0)
    await refreshed(engine)
    begin += 60 * MINUTE_US
    live = await lived(engine, store, begin, 192, 3)
    scores = np.array([told(each, engine)["model_score"] for each in live])
    held = [each.outcome == "hold" for each in live]
    _, labels = attempts(begin, 192, 3)
    fraud = {label.payment for label in labels}
    assert sum(held) == len(fraud) > 5
    assert {each.attempt.id for each in live if each.outcome == "hold"} == fraud

    await _as_in_a_backtest(store, engine, begin, scores, known)
    asked = backtest.Question(clock.now() - timedelta(minutes=239), clock.now(), RULES, model=version)
    report = await backtest.tried(store, asked, ZONE, clock)
    (line,) = report.candidate.each_rule
    assert (report.payments, line.hits) == (192, len(fraud))

    await _explained(store, live[held.index(True)], version)


async def _as_in_a_backtest(
    store: Store, engine: RiskEngine, begin_us: int, scores: np.ndarray, known: risk.Catalogue
) -> None:
    """Lived through again, each payment gets the score of that day, to the last bit."""
    model = engine.force.champion
    assert model is not None
    walk = Walk.of(engine.rules, ZoneInfo(ZONE), model.scorer.features, known)
    again = []
    async for stretch in stretches(store, begin_us - 30 * 1440 * MINUTE_US):
        rows = stretch.batch.at_us >= begin_us
        again.append(model.scorer.score(walk.take(stretch).values[rows]))
    assert np.concatenate(again).tolist() == scores.tolist()


async def _explained(store: Store, decision: Decision, version: int) -> None:
    """With the model of its day and in the feature's own words, also when it is long retired."""
    for retire in (False, True):
        if retire:
            async with store.tx("test") as tx:
                await registry.retire(tx, str(version), "ben", SystemClock())
            await retired(store, SystemClock())
        async with store.tx("test") as tx:
            receipt = await risk.receipt(tx, decision.attempt.id)
            assert receipt is not None
            scorers = await risk.scorers_of(tx, receipt)
        explanation = risk.explain(receipt, "en", scorers)
        (scored,) = explanation.scored
        assert (explanation.same, scored.model, scored.again) == (True, version, scored.score)
        assert scored.reasons[0].text == "tiny payments of ten minutes: 1"
        (value,) = [each for each in explanation.values if each.name == "mine_tiny_10m"]
        assert (value.meaning, value.value) == ("tiny payments of ten minutes", 1.0)


async def test_a_challenger_has_its_feature_filled_before_it_decides(
    engine: RiskEngine, store: Store, clock: ManualClock
) -> None:
    await declare(store, clock)
    version = await trained(store, engine, clock, ("mine_tiny_10m",))
    async with store.tx("test") as tx:
        await registry.challenge(tx, str(version), "anna", clock)
    await refreshed(engine)
    begin = to_us(clock.now()) - 299 * MINUTE_US
    live = await lived(engine, store, begin, 128, 3)
    fraud = {label.payment for label in attempts(begin, 128, 3)[1]}
    sure = {each.attempt.id for each in live for said in each.said if said.score > 0.5}
    assert sure == fraud
    assert len(fraud) > 5
    assert all(each.outcome == "allow" for each in live), "without effect"
    await promoted(store, clock, version)
    await engine.refresh()
    (one,) = await lived(engine, store, begin + 188 * MINUTE_US, 1, 4)
    assert told(one, engine)["mine_tiny_10m"] == 0


async def test_a_feature_that_a_model_in_force_reads_is_not_retired(
    engine: RiskEngine, store: Store, clock: ManualClock
) -> None:
    known = await declare(store, clock)
    version = await trained(store, engine, clock, ("mine_tiny_10m",))

    async def check(name: str) -> None:
        async with store.tx("test") as tx:
            await registry.check_unread(tx, name, known)

    await check("mine_tiny_10m")  # it is only kept
    for act, does in ((registry.challenge, "challenges"), (None, "decides")):
        if act is not None:
            async with store.tx("test") as tx:
                await act(tx, str(version), "anna", clock)
        else:
            await promoted(store, clock, version)
        with pytest.raises(Refused, match=rf"model {version} \(june\) {does} and reads mine_tiny_10m") as no:
            await check("mine_tiny_10m")
        assert (no.value.refusal.code, no.value.refusal.status) == ("model_role", 409)
    await check("mine_tiny_9m")
    async with store.tx("test") as tx:
        await registry.retire(tx, str(version), "ben", clock)
    await check("mine_tiny_10m")


async def test_a_model_whose_feature_was_retired_neither_challenges_nor_is_proposed(
    engine: RiskEngine, store: Store, clock: ManualClock
) -> None:
    await declare(store, clock)
    version = await trained(store, engine, clock, ("mine_tiny_10m",))
    await retired(store, clock)
    why = "reads mine_tiny_10m, which was declared .* declare it again just as it was"
    async with store.tx("test") as tx:
        for act in (
            registry.challenge(tx, str(version), "anna", clock),
            registry.promote(tx, version, "ben", clock),
        ):
            with pytest.raises(BadModelError, match=why):
                await act
        terms = promotion_of(await registry.find(tx, str(version)), await in_force(tx))
        refused = await PROMOTE.present(tx, terms)
        assert (refused.code, "mine_tiny_10m" in refused.detail) == ("bad_model", True)
    await declare(store, clock)  # just as it was
    await promoted(store, clock, version)
    await refreshed(engine)
    assert (engine.faults, engine.force.champion is not None) == ((), True)


async def test_who_runs_and_who_starts_falls_back_where_a_feature_is_gone(
    engine: RiskEngine, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    """It takes a hand in the database, for nobody may retire it: who rightly decided before decides, and it is said."""
    await declare(store, clock, FEATURE + OTHER)
    before = await trained(store, engine, clock, ("mine_tiny_9m",), "may")
    champion = await trained(store, engine, clock, ("mine_tiny_10m",))
    await promoted(store, clock, before)
    await promoted(store, clock, champion)
    await refreshed(engine)
    assert engine.force.champion is not None
    assert (engine.force.champion.id, engine.faults) == (champion, ())
    await retired(store, clock)
    await refreshed(engine)
    again = await RiskEngine.open(store, tmp_path / "rules.toml", clock, ZONE)
    for number, each in enumerate((engine, again)):
        assert each.force.champion is not None
        assert each.force.champion.id == before
        assert any(
            fault.startswith(f"model {champion}: the model reads mine_tiny_10m") for fault in each.faults
        )
        assert any(f"in place of model {champion} model {before} decides" in fault for fault in each.faults)
        begin = to_us(clock.now()) - (200 - number) * MINUTE_US
        (decision,) = await lived(each, store, begin, 1, 5)
        assert told(decision, each)["mine_tiny_9m"] == 0


async def test_no_label_is_learnt_from_before_it_was_known(
    engine: RiskEngine, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An own feature that counts frauds at once, without a delay, is the same in training as it was live."""
    known = await declare(store, clock, FRAUDS)
    begin = to_us(clock.now()) - 290 * MINUTE_US
    made = [
        Attempt(id_at(at, n), "payment", at, UUID(int=70), UUID(int=71), 5000, "CNY")
        for n in range(30)
        for at in [begin + n * MINUTE_US]
    ]
    async with store.tx("test") as tx:
        await engine.write(tx, engine.decide(made))
        # Told ten and a half minutes later, and one that was told before it happened.
        late, early = made[3], made[20]
        said = [Label(late.id, True, late.at_us + 630_000_000), Label(early.id, True, early.at_us - 1)]
        await engine.write_labels(tx, said)
    learnt = list[training.Sample]()
    monkeypatch.setattr(training.house, "train", lambda sample, *_, **__: learnt.append(sample))
    wish = Wish("x", "anna", begin, to_us(clock.now()), 0, own=("mine_frauds",), catalogue=known)
    await training.train_here(store, engine.rules, ZoneInfo(ZONE), wish, clock.now())
    (sample,) = learnt
    assert sample.values[:, -1].tolist() == [0.0] * 14 + [1.0] * 7 + [2.0] * 9
    assert np.flatnonzero(sample.fraud).tolist() == [3, 20]


# -- by command


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
            main(("risk", *arguments))
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def history(database: Database, tmp_path: Path) -> Path:
    """A day of payments up to now; the file that declares a feature over them."""

    async def live() -> None:
        async with Store.opened(database.app_url, size=1) as store:
            clock = SystemClock()
            engine = await RiskEngine.open(store, None, clock, ZONE)
            await lived(engine, store, to_us(clock.now()) - PAST * MINUTE_US, PAST, 1)

    apart(live())
    file = tmp_path / "mine.toml"
    file.write_text(FEATURE, "utf-8")
    return file


def test_by_command(till: Till, history: Path) -> None:
    code, _, err = till("train", "--with", "mine_tiny_10m")
    assert code == 2
    assert "computes no feature 'mine_tiny_10m' of its own" in err
    assert till("features", "add", str(history))[0] == 0
    code, out, err = till("train", "--with", "mine_tiny_10m", "--label-delay", "0s", "--name", "june")
    assert code == 0, err
    assert "Declared by the installation that made it: 1 of these" in out
    assert till("models", "challenge", "june")[0] == 0
    code, _, err = till("features", "retire", "mine_tiny_10m", "--reason", "tidy")
    assert code == 2
    assert "model 1 (june) challenges and reads mine_tiny_10m" in err
    made = json.loads(till("models", "show", "june", "--json")[1])
    assert [(each["name"], each["zh"]) for each in made["own"]] == [("mine_tiny_10m", "十分钟内的小额笔数")]
    assert till("models", "export", "june", str(history.with_name("june.model")))[0] == 0
    assert till("models", "retire", "june")[0] == 0
    assert till("features", "retire", "mine_tiny_10m", "--reason", "tidy")[0] == 0
    for refused in (
        ("models", "challenge", "june"),
        ("models", "promote", "june"),
        ("models", "show", "june"),
        ("models", "add", str(history.with_name("june.model"))),
        ("backtest", "--model", "june"),
    ):
        code, _, err = till(*refused)
        assert code == 2, refused
        assert "mine_tiny_10m" in err, refused
        assert "declare it again just as it was" in " ".join(err.split()), refused
    assert till("features", "add", str(history))[0] == 0
    assert till("models", "add", str(history.with_name("june.model")))[0] == 0
    assert till("models", "challenge", "june")[0] == 0
    code, out, err = till("backtest", "--model", "june", "--json")
    assert code == 0, err
    assert json.loads(out)["payments"] == PAST
    code, out, err = till("backtest", "--file", str(_a_file(history)), "--model", "june", "--json")
    assert code == 0, err
    assert json.loads(out)["payments"] == 60


def _a_file(beside: Path) -> Path:
    """Payments as the Handbook has them."""
    rows = [
        f"{n},2026-01-01T10:{n:02}:00,{n % 5},{n % 3},{0.5 if n % 7 else 40},{int(n % 9 == 0)}"
        for n in range(60)
    ]
    file = beside.with_name("payments.csv")
    file.write_text(
        "\n".join(["transaction_id,occurred_at,customer_id,terminal_id,amount,fraud", *rows]), "utf-8"
    )
    return file


@pytest.fixture
async def here(store: Store, vault: Vault) -> AsyncIterator[Console]:
    async with console(store, vault) as opened:
        yield opened


async def test_the_console_says_what_a_model_reads_in_the_features_own_words(
    here: Console, store: Store, clock: ManualClock
) -> None:
    known = await declare(store, clock)
    features = ("amount", "ratio", "payee_frauds_7d", "hour", "mine_tiny_10m")
    small = read(small_model())
    card = msgspec.structs.replace(small.card, importance=(("mine_tiny_10m", 0.9), ("amount", 0.1)))
    blob = pack(Artifact(features, small.body, card, own_among(features, known)))
    async with store.tx("test") as tx:
        version = (await registry.keep(tx, blob, "anna", clock, known)).version
    anna = await here.sign_in("anna", ["risk_analyst"])
    page = (await anna.get(f"/models/{version}")).text
    assert page.count("tiny payments of ten minutes") == 2  # what it told, and that it was declared here
    await retired(store, clock)
    page = (await anna.get(f"/models/{version}")).text
    assert "the model reads mine_tiny_10m, which was declared when it was made" in page

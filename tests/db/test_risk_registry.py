"""Champion and challengers: kept, compared, promoted by two, undone by one; and `till risk train` and `till risk models`."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg
import pytest

from tests.support.people import signed_in
from tests.support.postgres import Database, apart
from tests.support.risk_models import small_model
from tillkeeper import audit
from tillkeeper.access import Approval, Asker, approvals
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock, to_us
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.cli.main import main
from tillkeeper.faces.model_deeds import PROMOTE, promotion_of
from tillkeeper.risk import FEATURES, Attempt, Label, RiskEngine
from tillkeeper.risk.models import (
    BadModelError,
    Shadow,
    acts,
    compare,
    in_force,
    newest,
    registry,
    write_shadow,
)
from tillkeeper.risk.training import UNUSUAL
from tillkeeper.store import Store

KINDS = approvals.deeds(PROMOTE)
Till = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def kept(store: Store, clock: ManualClock) -> list[int]:
    """Three fraud models."""
    async with store.tx("test") as tx:
        return [
            (await registry.keep(tx, small_model(n), "anna", clock, FEATURES)).version for n in range(1, 4)
        ]


async def refused(work: object) -> str:
    with pytest.raises(Refused) as found:
        await work  # type: ignore[misc]
    return found.value.refusal.code


async def test_a_model_is_kept_once_and_only_if_it_opens(
    store: Store, clock: ManualClock, kept: list[int]
) -> None:
    async with store.tx("test") as tx:
        again = await registry.keep(tx, small_model(1), "ben", clock, FEATURES)
        assert (again.version, again.made_by) == (kept[0], "anna")
        with pytest.raises(BadModelError):
            await registry.keep(tx, small_model(1)[:-1], "ben", clock, FEATURES)
        assert len(await newest(tx, await in_force(tx))) == 3
        assert (await registry.opened(tx, kept[0], FEATURES)).sha256 == again.sha256
        assert (await registry.find(tx, "a test")).version == kept[2]
        assert await refused(registry.find(tx, "99")) == "unknown_model"


async def test_a_challenger_overtakes_and_the_promotion_is_undone(
    store: Store, clock: ManualClock, kept: list[int]
) -> None:
    one, two, three = kept
    async with store.tx("test") as tx:
        await registry.promote(tx, one, "anna", clock, FEATURES)
        await registry.challenge(tx, str(two), "anna", clock)
        now = await registry.promote(tx, two, "anna", clock, FEATURES)
        assert (now.champion, now.challengers) == (two, (one,))
        await registry.challenge(tx, str(three), "anna", clock)
        now = await registry.undo(tx, "ben", clock, "it holds too many")
        # Back as it was, but for what came since.
        assert (now.champion, now.challengers) == (one, (two, three))
        now = await registry.undo(tx, "ben", clock)
        assert (now.champion, now.challengers) == (None, (two, three))
        assert await refused(registry.undo(tx, "ben", clock)) == "nothing_to_undo"
        assert now == await in_force(tx)
        assert [each.act for each in await acts(tx, 9)] == [
            "undo",
            "undo",
            "challenge",
            "promote",
            "challenge",
            "promote",
        ]
        written = [event.action for event in await audit.of(tx, f"model {two}")]
    assert written == ["model.undone", "model.promoted", "model.challenges", "model.kept"]


async def test_roles_that_make_no_sense_are_refused(
    store: Store, clock: ManualClock, kept: list[int]
) -> None:
    async with store.tx("test") as tx:
        assert await refused(registry.retire(tx, str(kept[0]), "anna", clock)) == "model_role"
        await registry.challenge(tx, str(kept[0]), "anna", clock)
        assert await refused(registry.challenge(tx, str(kept[0]), "anna", clock)) == "model_role"
        await registry.promote(tx, kept[1], "anna", clock, FEATURES)
        assert await refused(registry.promote(tx, kept[1], "anna", clock, FEATURES)) == "model_role"
        now = await registry.retire(tx, str(kept[1]), "anna", clock)
        assert (now.champion, now.challengers) == (None, (kept[0],))
        for n in range(10, 10 + limits.MODEL_CHALLENGERS - 1):
            more = await registry.keep(tx, small_model(n), "anna", clock, FEATURES)
            await registry.challenge(tx, str(more.version), "anna", clock)
        assert await refused(registry.challenge(tx, str(kept[2]), "anna", clock)) == "too_many_challengers"


async def test_a_number_is_that_model_whatever_others_are_called(
    store: Store, clock: ManualClock, kept: list[int], admin: psycopg.AsyncConnection
) -> None:
    await admin.execute("UPDATE risk.models SET name = %s WHERE version <> %s", [str(kept[0]), kept[0]])
    async with store.tx("test") as tx:
        assert (await registry.find(tx, str(kept[0]))).version == kept[0]


async def test_a_promotion_is_undone_even_where_there_is_no_room(
    store: Store, clock: ManualClock, kept: list[int]
) -> None:
    one, two, _ = kept
    async with store.tx("test") as tx:
        await registry.promote(tx, one, "anna", clock, FEATURES)
        await registry.challenge(tx, str(two), "anna", clock)
        await registry.promote(tx, two, "anna", clock, FEATURES)
        await registry.retire(tx, str(one), "anna", clock)
        for n in range(10, 10 + limits.MODEL_CHALLENGERS):
            more = await registry.keep(tx, small_model(n), "anna", clock, FEATURES)
            await registry.challenge(tx, str(more.version), "anna", clock)
        now = await registry.undo(tx, "ben", clock)
    assert now.champion == one
    assert two in now.challengers
    assert len(now.challengers) == limits.MODEL_CHALLENGERS


async def test_a_damaged_model_is_not_promoted_and_the_champion_stays(
    store: Store, clock: ManualClock, kept: list[int], admin: psycopg.AsyncConnection
) -> None:
    async with store.tx("test") as tx:
        before = await registry.promote(tx, kept[0], "anna", clock, FEATURES)
    await admin.execute(
        "UPDATE risk.models SET artifact = set_byte(artifact, 500, get_byte(artifact, 500) # 1) WHERE version = %s",
        [kept[1]],
    )
    async with store.tx("test") as tx:
        with pytest.raises(BadModelError, match="damaged"):
            await registry.promote(tx, kept[1], "anna", clock, FEATURES)
        asked = await approvals.ask(
            tx, PROMOTE, promotion_of(await registry.find(tx, str(kept[1])), before), Asker("anna"), clock
        )
        assert isinstance(asked, Refusal)
        assert asked.code == "bad_model"
        assert await in_force(tx) == before


@pytest.mark.parametrize("act", ["DELETE FROM", "TRUNCATE", "UPDATE"])
async def test_history_is_only_added_to(database: Database, act: str) -> None:
    async with await psycopg.AsyncConnection.connect(database.app_url, autocommit=True) as app:
        for table, change in (
            ("models", "name = 'x'"),
            ("model_acts", "model = 1"),
            ("shadow_scores", "score = 1"),
        ):
            if (act, table) == ("DELETE FROM", "shadow_scores"):
                continue  # past its time it is deleted: tests/db/test_sweeping.py
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await app.execute(f"{act} risk.{table} {f'SET {change}' if act == 'UPDATE' else ''}".encode())


# -- four eyes


async def test_a_promotion_takes_two(store: Store, clock: ManualClock, kept: list[int]) -> None:
    async with store.tx("test") as tx:
        terms = promotion_of(await registry.find(tx, str(kept[0])), await in_force(tx))
        question = await approvals.ask(tx, PROMOTE, terms, Asker("anna"), clock, "better")
    assert isinstance(question, Approval)
    for person, code in (("anna", "own_approval"), ("mallory", "forbidden")):
        async with store.tx("test") as tx:
            role = "risk_analyst" if person == "anna" else "support"
            session = signed_in(person, clock, [role])
            said = await approvals.decide(tx, KINDS, question.id, question.digest, session, clock, give=True)
            assert isinstance(said, Refusal)
            assert said.code == code
            assert (await in_force(tx)).champion is None
    async with store.tx("test") as tx:
        session = signed_in("ben", clock, ["risk_analyst"])
        await approvals.decide(tx, KINDS, question.id, question.digest, session, clock, give=True)
    for _ in range(2):
        assert isinstance(await approvals.carry_out(store, KINDS, question.id, clock), Approval)
    async with store.tx("test") as tx:
        assert (await in_force(tx)).champion == kept[0]
        (act,) = await acts(tx, 9)
        assert (act.by, act.approval, act.reason) == ("anna", question.id, "agreed by ben")


async def test_another_champion_meanwhile_makes_the_agreement_void(
    store: Store, clock: ManualClock, kept: list[int]
) -> None:
    async with store.tx("test") as tx:
        terms = promotion_of(await registry.find(tx, str(kept[0])), await in_force(tx))
        question = await approvals.ask(tx, PROMOTE, terms, Asker("anna"), clock)
        assert isinstance(question, Approval)
        await registry.promote(tx, kept[1], "carl", clock, FEATURES)
        session = signed_in("ben", clock, ["operator"])
        said = await approvals.decide(tx, KINDS, question.id, question.digest, session, clock, give=True)
    assert isinstance(said, Refusal)
    assert said.code == "approval_changed"


async def test_of_two_promotions_agreed_to_at_once_one_is_carried_out(
    store: Store, clock: ManualClock, kept: list[int]
) -> None:
    async with store.tx("test") as tx:
        questions = []
        for each in kept[:2]:
            terms = promotion_of(await registry.find(tx, str(each)), await in_force(tx))
            question = await approvals.ask(tx, PROMOTE, terms, Asker("anna"), clock)
            assert isinstance(question, Approval)
            session = signed_in("ben", clock, ["operator"])
            await approvals.decide(tx, KINDS, question.id, question.digest, session, clock, give=True)
            questions.append(question)
    said = await asyncio.gather(*(approvals.carry_out(store, KINDS, each.id, clock) for each in questions))
    (refused,) = [each for each in said if isinstance(each, Refusal)]
    won = kept[0 if said[1] is refused else 1]
    assert (refused.code, refused.detail) == (
        "approval_changed",
        f"it was to replace no model, and model {won} decides now: compare them, and ask again",
    )
    async with store.tx("test") as tx:
        assert ((await in_force(tx)).champion, len(await acts(tx, 9))) == (won, 1)


# -- the comparison


async def test_models_are_compared_on_the_payments_all_of_them_scored(
    store: Store, clock: ManualClock, kept: list[int]
) -> None:
    engine = await RiskEngine.open(store, None, clock, "Asia/Shanghai")
    old = to_us(clock.now()) - 10 * 86_400_000_000
    attempts = [payment(n, old + n * 1_000_000) for n in range(60)]
    attempts.append(payment(99, to_us(clock.now())))
    shadows = [
        Shadow(one.id, kept[model], score, "hold" if score > 0.5 else "allow")
        for n, one in enumerate(attempts)
        for model, score in ((0, n % 6 / 6), (1, 0.9 if n % 6 == 5 else 0.1))
        if (n, model) != (7, 1)
    ]
    labels = [Label(one.id, True, old + 86_400_000_000) for n, one in enumerate(attempts[:60]) if n % 6 == 5]
    late = Label(attempts[0].id, True, to_us(clock.now()) + 1)
    async with store.tx("test") as tx:
        await engine.write(tx, engine.decide(attempts))
        await engine.write_labels(tx, [*labels, late])
        await write_shadow(tx, shadows)
        await write_shadow(tx, shadows[:3])
        found = await compare(tx, kept[:2], clock.now() - timedelta(days=30), clock.now(), timedelta(days=7))
        all_three = await compare(tx, kept, clock.now() - timedelta(days=30), clock.now(), timedelta(days=7))
        assert (all_three.payments, all_three.standings) == (0, ())
    assert (found.payments, found.frauds) == (59, 10)
    first, second = found.standings
    assert (first.model, second.model) == (kept[0], kept[1])
    assert second.figures.ap == first.figures.ap == 1.0
    assert (second.stopped, second.caught) == (10, 10)
    assert first.stopped > 10


def payment(n: int, at_us: int) -> Attempt:
    id_ = UUID(int=(at_us // 1000) << 80 | 7 << 76 | 2 << 62 | n)
    return Attempt(id_, "payment", at_us, UUID(int=n % 20 + 1), UUID(int=9), 500 + n, "CNY")


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
            main(["risk", *arguments])
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def history(database: Database) -> None:
    """An hour of payments; the large ones, on other people's phones, are frauds that were told at once."""
    chance = np.random.default_rng(1)
    now = to_us(SystemClock().now())

    async def live() -> None:
        async with Store.opened(database.app_url, size=1) as store:
            engine = await RiskEngine.open(store, None, SystemClock(), "Asia/Shanghai")
            attempts, labels = [], []
            for n in range(1500):
                at, bad = now - (1500 - n) * 2_000_000, bool(chance.random() < 0.1)
                amount = int(chance.lognormal(8, 0.5) * (6 if bad else 1))
                device = "phone-7" if bad else f"phone-{n % 50 + 10}"
                who, shop = UUID(int=n % 50 + 1), UUID(int=900 + n % 7)
                id_ = UUID(int=(at // 1000) << 80 | 7 << 76 | 2 << 62 | n)
                attempts.append(Attempt(id_, "payment", at, who, shop, amount, "CNY", device))
                labels += [Label(id_, True, at + 1000)] if bad else []
            async with store.tx("test") as tx:
                await engine.write(tx, engine.decide(attempts))
                await engine.write_labels(tx, labels)

    apart(live())


@pytest.mark.usefixtures("history")
def test_train_show_challenge_export_add_promote(till: Till, tmp_path: Path) -> None:
    code, out, err = till("train", "--label-delay", "0s", "--name", "june", "--challenge", "--json")
    assert code == 0, err
    made = json.loads(out)
    assert made["card"]["figures"]["auc"] > 0.9
    assert made["card"]["tested"]["begin"] > made["card"]["calibrated"]["end"]
    code, out, _ = till("models")
    assert code == 0
    assert "challenger" in out
    code, out, _ = till("models", "show", "june")
    assert code == 0
    assert f"sha256 {made['sha256']}" in out
    code, out, _ = till("models", "export", "june", str(tmp_path / "june.model"))
    assert code == 0
    code, out, _ = till("models", "add", str(tmp_path / "june.model"), "--json")
    assert json.loads(out)["version"] == made["version"]
    code, out, _ = till("models", "promote", "june", "--json")
    assert code == 0
    assert json.loads(out)["state"] == "waiting"
    code, _, err = till("models", "undo")
    assert code == 2
    assert "nothing to undo" in err.lower()
    code, out, _ = till("models", "compare", "--label-delay", "0s")
    assert code == 0
    code, out, _ = till("models", "retire", "june", "--json")
    assert json.loads(out)["challengers"] == []


@pytest.mark.usefixtures("history")
def test_amounts_are_worth_what_the_rules_in_force_say(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not in force would have the model learn from other amounts than it will read."""
    monkeypatch.setenv("TILL_RULES_FILE", "/nowhere/rules.toml")
    code, _, err = till("train", "--anomaly", "--json")
    assert code == 0, err


@pytest.mark.usefixtures("history")
def test_the_first_days_have_a_model_without_labels(till: Till) -> None:
    code, out, err = till("train", "--anomaly", "--json")
    assert code == 0, err
    made = json.loads(out)
    assert made["card"]["trained"]["payments"] == 1200
    code, out, _ = till("models", "show", str(made["version"]), "--json")
    assert json.loads(out)["features"] == list(UNUSUAL)
    assert till("models", "challenge", str(made["version"]))[0] == 2


MISTAKES = [
    (["train", "--from", "yesterday"], "is no time"),
    (["train", "--label-delay", "a week"], "is no length of time"),
    (["train", "--label-delay", "30d"], "longer than 7 days"),
    (["train"], "there is no payment yet"),
    (["models", "show", "9"], "no such model"),
    (["models", "compare"], "no model scores"),
    (["models", "add", "/nowhere/x.model"], "cannot be read"),
    (["evaluate"], "needs its data"),
    (["evaluate", "--data", "/nowhere/x.parquet"], "cannot be read"),
    (["evaluate", "--data", "x", "--train-start", "soon"], "is no day"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_explained(till: Till, arguments: list[str], said: str) -> None:
    code, _, err = till(*arguments)
    assert code == 2
    assert said in err
    assert "->" in err


def test_a_model_file_that_is_none_is_refused(till: Till, tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(b"not a model")
    code, _, err = till("models", "add", str(tmp_path / "x.model"))
    assert code == 2
    assert "no model of Tillkeeper" in err

"""What people put in force decides within a second, between two turns, and what cannot be used leaves what was there."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest

from tests.support.risk_models import small_model
from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock, to_us
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refused
from tillkeeper.risk import (
    FEATURES,
    Attempt,
    BadRulesError,
    Decision,
    Event,
    Explanation,
    Label,
    Listing,
    Mute,
    RiskEngine,
)
from tillkeeper.risk.declared import add as declare
from tillkeeper.risk.models import registry
from tillkeeper.store import Store

ZONE = "Asia/Shanghai"
DAY = 86_400 * 1_000_000
ANNA, SHOP = UUID(int=1), UUID(int=2)
HEAD = 'reference = "CNY"\nother = 100\n[worth]\nCNY = 100\n'


def rules(outcome: str = "hold", when: str = "amount >= 5_000", name: str = "large", more: str = "") -> str:
    return (
        f'{HEAD}[[rule]]\nname = "{name}"\nversion = 1\noutcome = "{outcome}"\nwhen = "{when}"\n'
        f'reason.zh = "{{amount}}"\nreason.en = "{{amount}}"\n{more}\n'
    )


@pytest.fixture
def clock() -> ManualClock:
    """Ids are made by the machine's clock, and what is read again is found by them."""
    return ManualClock(SystemClock().now())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(rules(), "utf-8")
    return path


@pytest.fixture
async def engine(store: Store, clock: ManualClock, file: Path) -> RiskEngine:
    return await RiskEngine.open(store, file, clock, ZONE)


def attempt(clock: ManualClock, amount: int = 6000, **more: object) -> Attempt:
    return Attempt(new_id(), "payment", to_us(clock.now()), ANNA, SHOP, amount, "CNY", **more)  # type: ignore[arg-type]


async def decided(engine: RiskEngine, store: Store, attempts: Sequence[Attempt]) -> list[Decision]:
    made = engine.decide(attempts)
    async with store.tx("test") as tx:
        await engine.write(tx, made)
    return made


async def one(engine: RiskEngine, store: Store, attempt: Attempt) -> str:
    return (await decided(engine, store, [attempt]))[0].outcome


async def explained(store: Store, payment: UUID) -> Explanation:
    async with store.tx("test") as tx:
        receipt = await risk.receipt(tx, payment)
        assert receipt is not None
        scorers = await risk.scorers_of(tx, receipt)
    return risk.explain(receipt, "en", scorers)


async def put_in_force(store: Store, clock: ManualClock, text: str) -> int:
    """As people do who agree; without the four eyes."""
    async with store.tx("test") as tx:
        made = await risk.propose(tx, text, "anna", "", clock)
        assert await risk.activate(tx, made.rule_set, clock.now(), "people", "anna, ben", made.id)
    return made.rule_set


# -- rules


async def test_new_rules_decide_from_the_next_turn_on(
    engine: RiskEngine, store: Store, clock: ManualClock
) -> None:
    before = attempt(clock)
    assert await one(engine, store, before) == "hold"
    version = await put_in_force(store, clock, rules("deny"))
    assert await one(engine, store, attempt(clock)) == "hold"  # not heard of yet
    await engine.refresh()
    after = attempt(clock)
    assert (await one(engine, store, after), engine.version) == ("deny", version)
    for payment, outcome in ((before.id, "hold"), (after.id, "deny")):
        told = await explained(store, payment)
        assert (told.same, told.outcome) == (True, outcome)
    async with store.tx("test") as tx:
        state = await risk.engine_state(tx)
    assert state is not None
    assert (state.rule_set, state.faults) == (version, ())


async def test_a_turn_that_is_tried_again_keeps_its_words(
    engine: RiskEngine, store: Store, clock: ManualClock
) -> None:
    (made,) = engine.decide([attempt(clock)])
    await put_in_force(store, clock, rules("deny", name="other"))
    await engine.refresh()
    assert [name for name, _ in engine.words(made)] == ["large"]
    async with store.tx("test") as tx:
        await engine.write(tx, [made, *engine.decide([attempt(clock)])])
    assert (await explained(store, made.attempt.id)).same


async def test_rules_that_cannot_be_used_leave_those_that_decide(
    engine: RiskEngine, store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    good = engine.version
    version = await put_in_force(store, clock, rules("deny"))
    await admin.execute(
        "UPDATE risk.rule_sets SET source = replace(source, 'amount >=', 'amont >=') WHERE version = %s",
        [version],
    )
    await engine.refresh()
    assert await one(engine, store, attempt(clock)) == "hold"
    (fault,) = engine.faults
    assert fault.startswith(f"rule set {version} cannot be used")
    async with store.tx("test") as tx:
        state = await risk.engine_state(tx)
    assert state is not None
    assert (state.rule_set, state.faults) == (good, (fault,))
    # At a start likewise: what was in force before it decides.
    again = await RiskEngine.open(store, None, clock, ZONE)
    assert (again.version, again.faults) == (good, (fault,))


async def test_a_file_gives_way_to_people_and_news_in_it_do_not(
    store: Store, clock: ManualClock, file: Path
) -> None:
    first = await RiskEngine.open(store, file, clock, ZONE)
    people = await put_in_force(store, clock, rules("challenge"))
    for settings_file in (file, None):  # an old text, and the package's
        assert (await RiskEngine.open(store, settings_file, clock, ZONE)).version == people
    file.write_text(rules("deny", "amount >= 7_000"), "utf-8")
    news = await RiskEngine.open(store, file, clock, ZONE)
    assert news.version not in (first.version, people)
    package = await RiskEngine.open(
        store, None, clock, ZONE
    )  # nobody put the file's text in force but the settings
    assert len(package.rules.rules) > 10
    async with store.tx("test") as tx:
        told = [(each.origin, each.author) for each in await risk.activations(tx, 9)]
    assert told == [("package", "system"), ("file", "system"), ("people", "anna, ben"), ("file", "system")]


async def test_proposals_are_checked_and_kept(engine: RiskEngine, store: Store, clock: ManualClock) -> None:
    async with store.tx("test") as tx:
        with pytest.raises(BadRulesError, match="the proposal:9: when"):
            await risk.propose(tx, rules(when="amont > 1"), "anna", "", clock)
        with pytest.raises(Refused, match="invalid_value"):
            await risk.propose(tx, engine.rules.source, "anna", "", clock)
        made = await risk.propose(tx, rules("deny"), "anna", "card testing", clock)
        assert (made.base, made.author, made.active_since, made.active, made.backtest) == (
            engine.version, "anna", None, False, None,
        )  # fmt: skip
        assert await risk.activate(tx, made.rule_set, clock.now(), "people", "ben", made.id)
        assert not await risk.activate(tx, made.rule_set, clock.now(), "people", "ben", made.id)
        (found,) = await risk.proposals(tx)
    assert (found.id, found.active, found.active_since) == (made.id, True, clock.now())


# -- lists and mutes


def entry(clock: ManualClock, list_: str, entity: str, key: str, hours: float | None = 1) -> Listing:
    until = None if hours is None else clock.now() + timedelta(hours=hours)
    return Listing(list_, entity, key, until, "case 7", "anna", clock.now())


async def test_lists_decide_and_end(engine: RiskEngine, store: Store, clock: ManualClock) -> None:
    async with store.tx("test") as tx:
        await risk.put_on_list(tx, entry(clock, "block", "device", "phone", None), clock)
        await risk.put_on_list(tx, entry(clock, "trust", "customer", str(ANNA)), clock)
    await engine.refresh()
    blocked, trusted = attempt(clock, 10, device="phone"), attempt(clock)
    made = await decided(engine, store, [blocked, trusted])
    assert [each.outcome for each in made] == ["deny", "allow"]
    assert engine.words(made[0]) == [("block_list_device", "the device is on the block list")]
    assert engine.words(made[1]) == []  # that rules would have held it is for the team
    for payment in (blocked, trusted):
        assert (await explained(store, payment.id)).same
    told = await explained(store, trusted.id)
    assert ([each.rule for each in told.reasons], told.told) == (["large"], ())
    clock.advance(3601)
    assert await one(engine, store, attempt(clock)) == "hold"  # trust ends by itself
    async with store.tx("test") as tx:
        assert await risk.take_off_list(tx, "block", "device", "phone", "ben", "case 7 closed", clock)
        assert not await risk.take_off_list(tx, "block", "device", "phone", "ben", "again", clock)
        assert await risk.listings(tx, clock.now()) == []
        assert [each.ended for each in await risk.listings_of(tx, "device", "phone")] == [True, False]
    await engine.refresh()
    assert await one(engine, store, attempt(clock, 10, device="phone")) == "allow"


@pytest.mark.parametrize(
    "wrong",
    [
        ("ban", "device", "x", 1), ("block", "shop", "x", 1), ("block", "device", "", 1), ("trust", "device", "x", None),
        ("trust", "device", "x", 24 * 91), ("block", "device", "x", -1), ("block", "customer", "anna", 1),
        ("block", "device", "x" * 201, 1),
    ],
)  # fmt: skip
async def test_what_lists_do_not_take(
    store: Store, clock: ManualClock, wrong: tuple[str, str, str, float | None]
) -> None:
    async with store.tx("test") as tx:
        with pytest.raises(Refused, match="invalid_value"):
            await risk.put_on_list(tx, entry(clock, *wrong), clock)


async def test_a_muted_rule_is_silent_and_on_the_receipt(
    engine: RiskEngine, store: Store, clock: ManualClock
) -> None:
    end = clock.now() + timedelta(hours=1)
    wanted = Mute("large", "device", "kiosk", end, "ticket 12", "anna", clock.now())
    async with store.tx("test") as tx:
        await risk.mute(tx, wanted, clock)
        assert await risk.mutes(tx, clock.now()) == [wanted]
    await engine.refresh()
    kiosk = attempt(clock, device="kiosk")
    assert [each.outcome for each in await decided(engine, store, [kiosk, attempt(clock)])] == [
        "allow",
        "hold",
    ]
    told = await explained(store, kiosk.id)
    assert (told.same, [each.rule for each in told.silent], told.reasons) == (True, ["large"], ())
    async with store.tx("test") as tx:
        assert await risk.unmute(tx, "large", "device", "kiosk", "ben", "gone", clock)
        assert not await risk.unmute(tx, "large", "device", "kiosk", "ben", "gone", clock)
    await engine.refresh()
    assert await one(engine, store, attempt(clock, device="kiosk")) == "hold"


# -- receipts


async def test_silent_and_bypassed_hits_are_decided_again(
    store: Store, clock: ManualClock, file: Path
) -> None:
    text = rules("hold", name="held") + rules("deny", name="quiet", more="shadow = true").removeprefix(HEAD)
    file.write_text(text.replace("[worth]", "[bypass]\nshare = 0.1\nup_to = 10_000\n[worth]"), "utf-8")
    engine = await RiskEngine.open(store, file, clock, ZONE)
    made = await decided(engine, store, [attempt(clock) for _ in range(500)])  # none: 1e-23
    through = [each for each in made if each.outcome == "allow"]
    assert through
    for each in (through[0], next(each for each in made if each.outcome == "hold")):
        told = await explained(store, each.attempt.id)
        assert (told.same, [one.rule for one in told.silent]) == (True, ["quiet"])
    assert engine.words(through[0]) == []
    async with store.tx("test") as tx:
        kept = {
            row[0] for row in await tx.tuples(b"SELECT payment FROM risk.bypasses WHERE outcome = 'hold'")
        }
    assert kept == {each.attempt.id for each in through}


async def test_a_breaker_is_on_record_and_survives_a_restart(
    store: Store, clock: ManualClock, file: Path
) -> None:
    file.write_text(rules("deny", more='at_most = "3 in 1h"'), "utf-8")
    engine = await RiskEngine.open(store, file, clock, ZONE)
    made = await decided(engine, store, [attempt(clock) for _ in range(5)])
    assert [each.outcome for each in made] == ["deny"] * 3 + ["challenge"] * 2
    assert (await explained(store, made[4].attempt.id)).same
    assert list(engine.breakers_open()) == ["large"]
    await engine.refresh()
    async with store.tx("test") as tx:
        ((trip, rule_set),) = await risk.trips(tx)
    assert (trip.rule, trip.hits, trip.at_most, rule_set) == ("large", 4, 3, engine.version)
    clock.advance(60)
    again = await RiskEngine.open(store, file, clock, ZONE)
    assert await one(again, store, attempt(clock)) == "challenge"
    await again.refresh()
    async with store.tx("test") as tx:
        assert len(await risk.trips(tx)) == 1  # the same trouble
    clock.advance(3601)
    assert await one(again, store, attempt(clock)) == "deny"


# -- models


async def keep(store: Store, clock: ManualClock, seed: int, *, role: str = "promote") -> int:
    async with store.tx("test") as tx:
        row = await registry.keep(tx, small_model(seed), "anna", clock, FEATURES)
        if role == "promote":
            await registry.promote(tx, row.version, "ben", clock, FEATURES)
        else:
            await registry.challenge(tx, str(row.version), "anna", clock)
    return row.version


async def test_the_champion_scores_and_challengers_do_in_silence(
    engine: RiskEngine, store: Store, clock: ManualClock
) -> None:
    champion = await keep(store, clock, 1)
    challenger = await keep(store, clock, 2, role="challenge")
    await put_in_force(store, clock, rules("challenge", "model_score >= 0"))
    await engine.refresh()
    payment = attempt(clock)
    assert await one(engine, store, payment) == "challenge"
    told = await explained(store, payment.id)
    (scored,) = told.scored
    assert (told.same, scored.model, scored.role, scored.score) == (True, champion, "champion", scored.again)
    async with store.tx("test") as tx:
        said = await tx.tuples(b"SELECT model, outcome FROM risk.shadow_scores ORDER BY model")
    assert said == [(champion, "challenge"), (challenger, "challenge")]


async def test_a_model_that_does_not_open_leaves_the_champion(
    engine: RiskEngine, store: Store, clock: ManualClock, admin: psycopg.AsyncConnection, file: Path
) -> None:
    champion = await keep(store, clock, 1)
    await engine.refresh()
    spoilt = await keep(store, clock, 2)
    await admin.execute("UPDATE risk.models SET artifact = 'till-model 99 x' WHERE version = %s", [spoilt])
    await engine.refresh()
    again = await RiskEngine.open(store, file, clock, ZONE)
    for each in (engine, again):
        assert each.force.champion is not None
        assert each.force.champion.id == champion
        assert any(fault.startswith(f"model {spoilt}") for fault in each.faults)
        assert (await decided(each, store, [attempt(clock)]))[0].outcome == "hold"


@pytest.mark.parametrize("process", ["running", "restarted"])
async def test_a_model_that_was_taken_back_never_decides_again_by_itself(
    engine: RiskEngine,
    store: Store,
    clock: ManualClock,
    admin: psycopg.AsyncConnection,
    file: Path,
    process: str,
) -> None:
    """The champion is damaged and the one after it was undone: it falls back to who rightly decided before, or to none."""
    first, second, undone = [await keep(store, clock, seed) for seed in (1, 2, 3)]
    async with store.tx("test") as tx:
        await registry.retire(tx, str(second), "ben", clock)  # as a challenger: nothing against it
    await engine.refresh()
    assert engine.force.champion is not None
    assert engine.force.champion.id == undone
    async with store.tx("test") as tx:
        await registry.undo(tx, "ben", clock, "it holds too many")

    async def decides(*damaged: int) -> tuple[int | None, tuple[str, ...]]:
        await admin.execute(
            "UPDATE risk.models SET artifact = 'till-model 99 x' WHERE version = ANY(%s)", [list(damaged)]
        )
        if process == "running":
            await engine.refresh()
        found = engine if process == "running" else await RiskEngine.open(store, file, clock, ZONE)
        assert (await decided(found, store, [attempt(clock)]))[0].outcome == "hold"
        champion = found.force.champion
        return None if champion is None else champion.id, found.faults

    champion, faults = await decides(second)
    assert champion == first
    assert any(each.startswith(f"in place of model {second} model {first} decides") for each in faults)
    if process == "restarted":  # who runs has it open
        champion, faults = await decides(first, second)
        assert champion is None
        assert any(each.startswith(f"in place of model {second} no model decides") for each in faults)
    async with store.tx("test") as tx:
        await registry.retire(tx, str(second), "ben", clock)
    champion, faults = await decides(first, second)
    assert (champion, [fault for fault in faults if "in place of" in fault]) == (None, [])


# -- labels and profiles


async def test_labels_of_other_processes_are_learnt_in_their_order(
    engine: RiskEngine, store: Store, clock: ManualClock
) -> None:
    old = attempt(clock)
    await decided(engine, store, [old])
    async with store.tx("a case") as tx:
        await risk.write_labels(tx, [Label(old.id, True, old.at_us)], clock.now())
    await engine.refresh()
    clock.advance(8 * 86_400)
    assert engine._profiles.observe([attempt(clock)])[0, FEATURES["payee_frauds_7d"].index] == 1
    async with store.tx("second thoughts") as tx:
        await risk.write_labels(tx, [Label(old.id, False, old.at_us)], clock.now())
    await engine.refresh()
    assert engine._profiles.observe([attempt(clock)])[0, FEATURES["payee_frauds_7d"].index] == 0


async def begun(engine: RiskEngine) -> tuple[asyncio.Task[None], asyncio.Event]:
    """The filling that a refresh begins. It waits for the event: else it might be over before the refresh is."""
    fill, may_begin = engine._fill, asyncio.Event()

    async def waiting(renewal: Any) -> None:
        await may_begin.wait()
        await fill(renewal)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_fill", waiting)
        await engine.refresh()
    assert engine._renewal is not None
    assert engine._renewal.task is not None
    return engine._renewal.task, may_begin


async def filled(engine: RiskEngine) -> None:
    filling, may_begin = await begun(engine)
    may_begin.set()
    await filling


@pytest.mark.parametrize("what", ["feature", "money"])
async def test_profiles_are_filled_beside_those_that_decide(
    engine: RiskEngine, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A feature nobody read so far, or another worth of money: as if it had always been so, payments in between counted."""
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 0.05)
    past = [attempt(clock, 100 + n) for n in range(40)]
    await decided(engine, store, past)
    async with store.tx("test") as tx:
        await risk.write_labels(tx, [Label(each.id, True, each.at_us) for each in past[:9]], clock.now())
    new = rules("deny", "(payee_fraud_run >= 1) & (amount >= 1)")
    if what == "money":
        new = rules("deny", "customer_sum_24h >= 90_000").replace("CNY = 100", "CNY = 100\nUSD = 10")
    version = await put_in_force(store, clock, new)
    renewing = asyncio.create_task(filled(engine))
    await asyncio.sleep(0.02)
    meanwhile = [attempt(clock, 200 + n) for n in range(20)]
    await decided(engine, store, meanwhile[:10])
    await asyncio.sleep(0.05)
    await decided(engine, store, meanwhile[10:])
    await renewing
    assert engine.version == version
    fresh = await RiskEngine.open(store, None, clock, ZONE)
    clock.advance(8 * 86_400)
    last = [attempt(clock, 300 + n) for n in range(3)]
    left, right = engine.decide(last), fresh.decide(last)
    assert [each.features for each in left] == [each.features for each in right]
    values = np.frombuffer(left[0].features)
    assert not np.isnan(values).any()


async def test_rules_taken_back_while_their_profiles_are_filled_never_decide(
    engine: RiskEngine, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 0.0)
    other_money = rules("deny", "amount >= 1").replace("CNY = 100", "CNY = 100\nUSD = 10")
    await put_in_force(store, clock, other_money)
    filling, may_begin = await begun(engine)
    may_begin.set()
    back = await put_in_force(store, clock, rules("hold", "amount >= 7_000"))
    while engine.version != back:
        await engine.refresh()
    await filling
    assert engine.version == back
    assert await one(engine, store, attempt(clock, 10)) == "allow"


@pytest.fixture
async def watching(store: Store, clock: ManualClock, file: Path) -> RiskEngine:
    file.write_text(rules("hold", "customer_logins_failed_1h >= 99"), "utf-8")
    return await RiskEngine.open(store, file, clock, ZONE)


async def test_logins_heard_while_the_breakers_are_read_are_not_lost(
    watching: RiskEngine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = watching
    read = engine._breakers_as_they_were

    async def slowly() -> object:
        for _ in range(3 * limits.RENEWAL_TURNS):
            engine.judge_events([login(clock)])
        return await read()

    monkeypatch.setattr(engine, "_breakers_as_they_were", slowly)
    await engine.rebuild()
    assert logins_known(engine, clock) == 3 * limits.RENEWAL_TURNS + 1


async def test_what_will_never_be_in_the_database_is_forgotten_while_payments_go_on(
    watching: RiskEngine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = watching
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 0.0)
    for _ in range(5):
        engine.judge_events([login(clock)])
    engine.doubt()
    await filled(engine)
    assert logins_known(engine, clock) == 1
    await engine.refresh()
    assert engine._renewal is None


async def test_a_turn_that_cannot_be_judged_is_not_counted_for_good(
    engine: RiskEngine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 0.0)
    with monkeypatch.context() as broken:
        broken.setattr(engine._judge, "take", lambda *_: 1 / 0)
        for _ in range(4):
            with pytest.raises(ZeroDivisionError):
                engine.decide([attempt(clock)])
    await filled(engine)
    count = FEATURES["customer_count_24h"].index
    assert engine._profiles.observe([attempt(clock)])[0, count] == 1


def login(clock: ManualClock) -> Event:
    return Event(new_id(), "login", to_us(clock.now()), ANNA, succeeded=False)


def logins_known(engine: RiskEngine, clock: ManualClock) -> float:
    """Failed logins of the customer, this one among them, as profiles know them."""
    return float(
        engine._profiles.observe_events([login(clock)])[0, FEATURES["customer_logins_failed_1h"].index]
    )


async def test_a_declared_feature_comes_into_force_while_payments_go_on(
    engine: RiskEngine, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RENEWAL_WAIT_SECONDS", 0.0)
    await decided(engine, store, [attempt(clock, 700) for _ in range(4)])
    async with store.tx("test") as tx:
        await declare(tx, DECLARED, "mine.toml", "anna", clock.now())
    await put_in_force(store, clock, rules("deny", "customer_sevens_3h >= 5"))
    filling, may_begin = await begun(engine)
    (made,) = await decided(engine, store, [attempt(clock, 700)])
    assert made.outcome == "allow"  # not known yet
    assert np.isnan(np.frombuffer(made.features)).any()
    may_begin.set()
    await filling
    payment = attempt(clock, 700)
    assert await one(engine, store, payment) == "deny"
    assert (await explained(store, payment.id)).same


DECLARED = """
[[feature]]
name = "customer_sevens_3h"
entity = "customer"
event = "payment"
aggregate = "count"
window = "3h"
where = "amount == 700"
unit = "count"
zh = "七元笔数"
en = "payments of seven yuan"
"""

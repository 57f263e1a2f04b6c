"""The engine over a database: receipts that explain themselves, profiles rebuilt as they were lived."""

import random
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg
import pytest

from tests.support.risk_city import told
from tillkeeper.base.clock import ManualClock, from_us
from tillkeeper.base.ids import first_id_at, new_id
from tillkeeper.risk import (
    FEATURES,
    Attempt,
    BadRulesError,
    Label,
    Receipt,
    RiskEngine,
    explain,
    receipt,
    reliving,
)
from tillkeeper.risk import engine as engine_module
from tillkeeper.risk import profiles as profiles_module
from tillkeeper.store import Store

ZONE = "Asia/Shanghai"
DAY = 86_400 * 1_000_000
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
reason.zh = "金额 {amount}，一天内 {customer_count_24h} 笔"
reason.en = "{amount}, {customer_count_24h} payments within a day"
[[rule]]
name = "busy"
version = 3
outcome = "deny"
when = "(customer_count_1m >= 3) & (payee_devices_1h == 1)"
reason.zh = "一分钟 {customer_count_1m} 笔"
reason.en = "{customer_count_1m} within a minute"
"""


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(RULES, "utf-8")
    return path


async def opened(store: Store, clock: ManualClock, rules: Path | None = None) -> RiskEngine:
    return await RiskEngine.open(store, rules, clock, ZONE)


async def decided(engine: RiskEngine, store: Store, attempts: list[Attempt]) -> None:
    async with store.tx("test") as tx:
        await engine.write(tx, engine.decide(attempts))


async def read(store: Store, payment: UUID) -> Receipt:
    async with store.tx("test") as tx:
        found = await receipt(tx, payment)
    assert found is not None
    return found


async def test_receipts_come_out_the_same_again(store: Store, clock: ManualClock) -> None:
    engine = await opened(store, clock)
    life = told(11, 100.0, 4000)
    attempts = [one.attempt for one in life]
    decisions = [decision for n in range(0, 4000, 80) for decision in engine.decide(attempts[n : n + 80])]
    for n in range(0, 4000, 500):
        async with store.tx("test") as tx:
            await engine.write(tx, decisions[n : n + 500])
    notable = [decision for decision in decisions if decision.outcome != "allow"]
    assert {decision.outcome for decision in notable} == {"challenge", "hold", "deny"}
    for decision in [*notable, *decisions[:50]]:
        stored = await read(store, decision.attempt.id)
        assert (stored.outcome, stored.reasons) == (decision.outcome, decision.reasons)
        assert stored.at == from_us(decision.attempt.at_us)
        assert stored.rule_set == engine.version
        again = explain(stored)
        assert again.same
        assert (again.outcome, again.rule_set) == (decision.outcome, decision.rule_set)
        assert [(reason.rule, reason.text) for reason in again.reasons] == engine.words(decision)
        assert tuple(reason.rule for reason in again.reasons) == decision.reasons
        assert [value.name for value in again.values] == list(engine.rules.features)


async def test_an_explanation_in_words(store: Store, clock: ManualClock, rules_file: Path) -> None:
    engine = await opened(store, clock, rules_file)
    alice, shop = UUID(int=1), UUID(int=2)
    attempts = [
        Attempt(new_id(), "payment", DAY, alice, shop, 4000 + 500 * n, "CNY", "phone") for n in range(3)
    ]
    await decided(engine, store, attempts)
    first, last = await read(store, attempts[0].id), await read(store, attempts[2].id)
    assert (first.outcome, first.reasons) == ("allow", ())
    assert (last.outcome, last.reasons) == ("deny", ("large", "busy"))
    told_en, told_zh = explain(last), explain(last, "zh")
    assert [(each.rule, each.version, each.outcome, each.text) for each in told_en.reasons] == [
        ("large", 1, "hold", "CN¥50.00, 3 payments within a day"),
        ("busy", 3, "deny", "3 within a minute"),
    ]
    assert [each.text for each in told_zh.reasons] == ["金额 ¥50.00，一天内 3 笔", "一分钟 3 笔"]
    assert {each.name: each.value for each in told_en.values} == {
        "customer_count_1m": 3.0,
        "customer_count_24h": 3.0,
        "payee_devices_1h": 1.0,
        "amount": 5000.0,
    }


async def test_a_receipt_that_was_tampered_with_shows(
    store: Store, clock: ManualClock, rules_file: Path, admin: psycopg.AsyncConnection
) -> None:
    engine = await opened(store, clock, rules_file)
    attempt = Attempt(new_id(), "payment", DAY, UUID(int=1), UUID(int=2), 5000, "CNY")
    await decided(engine, store, [attempt])
    assert explain(await read(store, attempt.id)).same
    await admin.execute("UPDATE risk.decisions SET outcome = 'allow'")
    assert not explain(await read(store, attempt.id)).same
    await admin.execute("UPDATE risk.decisions SET outcome = 'hold', features = %s", [bytes(32)])
    again = explain(await read(store, attempt.id))
    assert (again.same, again.outcome) == (False, "allow")


async def test_unknown_payments_have_no_receipt(store: Store) -> None:
    async with store.tx("test") as tx:
        assert await receipt(tx, new_id()) is None


async def test_what_is_unknown_is_stored_as_unknown(
    store: Store, clock: ManualClock, rules_file: Path
) -> None:
    engine = await opened(store, clock, rules_file)
    attempt = Attempt(new_id(), "payment", DAY, UUID(int=1), UUID(int=2), 100, "CNY")
    text = RULES.replace("payee_devices_1h == 1", "distance_km > 1")
    rules_file.write_text(text, "utf-8")
    engine = await opened(store, clock, rules_file)
    await decided(engine, store, [attempt])
    again = explain(await read(store, attempt.id))
    (distance,) = [value for value in again.values if value.name == "distance_km"]
    assert (distance.value, distance.text, again.same) == (None, "unknown", True)


async def test_rule_sets_get_a_version_once(
    store: Store, clock: ManualClock, rules_file: Path, admin: psycopg.AsyncConnection
) -> None:
    first = await opened(store, clock, rules_file)
    assert (await opened(store, clock, rules_file)).version == first.version
    rules_file.write_text(RULES.replace("5_000", "6_000"), "utf-8")
    clock.advance(60)
    second = await opened(store, clock, rules_file)
    assert second.version == first.version + 1
    rules_file.write_text(RULES, "utf-8")
    assert (await opened(store, clock, rules_file)).version == first.version
    cursor = await admin.execute("SELECT rule_set FROM risk.activations ORDER BY id")
    assert [row[0] for row in await cursor.fetchall()] == [first.version, second.version, first.version]


async def test_bad_rules_decide_nothing(
    store: Store, clock: ManualClock, rules_file: Path, admin: psycopg.AsyncConnection
) -> None:
    rules_file.write_text(RULES.replace('"hold"', '"block"'), "utf-8")
    with pytest.raises(BadRulesError, match=r"rules\.toml:9: outcome = 'block'"):
        await opened(store, clock, rules_file)
    assert (await (await admin.execute("SELECT count(*) FROM risk.rule_sets")).fetchall()) == [(0,)]


@pytest.mark.parametrize(
    ("table", "column"),
    [("decisions", "outcome"), ("labels", "fraud"), ("rule_sets", "source"), ("activations", "rule_set")],
)
async def test_the_application_cannot_change_history(store: Store, table: str, column: str) -> None:
    for statement in (
        f"UPDATE risk.{table} SET {column} = {column}",
        f"DELETE FROM risk.{table}",
        f"TRUNCATE risk.{table}",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with store.tx("test") as tx:
                await tx.run(statement.encode())


def history(rng: random.Random, count: int, begin: int = 0) -> list[Attempt]:
    """70 days of few people who also pay each other, some of it late, with pauses that empty windows."""
    now, attempts = 1_700_000_000_000_000 + begin, []
    people = [UUID(int=n) for n in range(1, 13)]
    for _ in range(count):
        now += rng.choice((0, 1, rng.randrange(60_000_000), rng.randrange(DAY // 4)))
        payer, payee = rng.sample(people, 2)
        if rng.random() < 0.6:
            payee = UUID(int=100 + rng.randrange(6))
        late = rng.choice((0, 0, 0, 0, 60_000_000, DAY - 1))
        place = (30 + rng.random(), 120 + rng.random()) if rng.random() < 0.7 else (None, None)
        attempts.append(
            Attempt(
                new_id(),
                "send" if payee in people else "payment",
                now - late,
                payer,
                payee,
                rng.randrange(1, 10**6),
                rng.choice(("CNY", "USD")),
                rng.choice((None, "a", "b", "c", "d")),
                rng.choice((None, "1.1.1.1", "2.2.2.2")),
                *place,
            )
        )
    return attempts


@pytest.mark.parametrize("run", range(3))
async def test_rebuilt_is_lived(
    store: Store, clock: ManualClock, seed: int, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every feature of what follows is the same for who lived through it and for who read about it."""
    monkeypatch.setattr(profiles_module, "WATERMARK_BLOCK", 50)
    monkeypatch.setattr(reliving, "WATERMARK_BLOCK", 50)
    monkeypatch.setattr(engine_module, "REBUILD_BATCH", 97)
    rng = random.Random(seed + run)
    lived = await opened(store, clock)
    past = history(rng, 1600)
    for n in range(0, len(past), 40):
        await decided(lived, store, past[n : n + 40])
        judged = rng.sample(past[: n + 40], 6)
        labels = [Label(one.id, rng.random() < 0.7, one.at_us + 7 * DAY) for one in judged]
        async with store.tx("test") as tx:
            await lived.write_labels(tx, labels)
        lived.learn(labels)
    rebuilt = await opened(store, clock)
    assert 200 < rebuilt.counts()["payments"] < 1500  # a part of it is too old to be read again
    future = history(rng, 800, begin=max(one.at_us for one in past) - 1_700_000_000_000_000)
    for n in range(0, len(future), 20):
        turn = future[n : n + 20]
        left, right = lived._profiles.observe(turn), rebuilt._profiles.observe(turn)
        different = ~((left == right) | (np.isnan(left) & np.isnan(right)))
        assert not different.any(), [name for name, f in FEATURES.items() if different[:, f.index].any()]
        payment = rng.choice(past).id
        fraud = rng.random() < 0.5
        lived._profiles.learn(payment, fraud=fraud)
        rebuilt._profiles.learn(payment, fraud=fraud)


async def test_what_was_never_committed_is_forgotten(
    store: Store, clock: ManualClock, rules_file: Path
) -> None:
    engine = await opened(store, clock, rules_file)
    alice, shop = UUID(int=1), UUID(int=2)
    attempts = [Attempt(new_id(), "payment", DAY + n, alice, shop, 100, "CNY", "d") for n in range(6)]
    await decided(engine, store, attempts[:1])
    engine.decide(attempts[1:5])
    await engine.rebuild()
    (last,) = engine.decide(attempts[5:])
    assert (
        dict(zip(engine.rules.features, np.frombuffer(last.features), strict=True))["customer_count_24h"] == 2
    )


async def test_labels_count_what_is_remembered(store: Store, clock: ManualClock) -> None:
    engine = await opened(store, clock)
    attempt = Attempt(new_id(), "payment", DAY, UUID(int=1), UUID(int=2), 100, "CNY")
    await decided(engine, store, [attempt])
    assert engine.learn([Label(attempt.id, True, DAY), Label(new_id(), True, DAY)]) == 1
    late = Attempt(new_id(), "payment", 8 * DAY, UUID(int=3), UUID(int=2), 100, "CNY")
    row = engine._profiles.observe([late])[0]
    assert row[FEATURES["payee_risk_7d"].index] == 1.0


async def test_nothing_asked_nothing_done(store: Store, clock: ManualClock) -> None:
    engine = await opened(store, clock)
    assert engine.decide([]) == []
    async with store.tx("test") as tx:
        await engine.write(tx, [])
        await engine.write_labels(tx, [])


async def test_an_old_file_is_remembered_beside_live_payments(store: Store, clock: ManualClock) -> None:
    """The ids of a replay are of today, its times are years old: both must be read again at start."""
    engine = await opened(store, clock)
    now = int(datetime(2026, 4, 15, tzinfo=UTC).timestamp()) * 1_000_000
    live = [Attempt(new_id(), "payment", now + n, UUID(int=1), UUID(int=2), 100, "CNY") for n in range(5)]
    old = [Attempt(new_id(), "payment", n * DAY, UUID(int=3), UUID(int=4), 100, "CNY") for n in range(100)]
    assert live[0].id > first_id_at(from_us(0))
    await decided(engine, store, live)
    await decided(engine, store, old)
    rebuilt = await opened(store, clock)
    for customer, at in ((1, now + 10), (3, 100 * DAY)):
        one = Attempt(new_id(), "payment", at, UUID(int=customer), UUID(int=customer + 1), 100, "CNY")
        left, right = engine._profiles.observe([one])[0], rebuilt._profiles.observe([one])[0]
        assert left[FEATURES["customer_count_30d"].index] == (6 if customer == 1 else 30)
        assert np.array_equal(left, right, equal_nan=True)

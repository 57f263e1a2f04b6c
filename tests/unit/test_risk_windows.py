"""The compiled windows against the simpler model, on histories that Hypothesis invents."""

import math
import random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.risk_model import Model
from tillkeeper.base.limits import MAX_AMOUNT
from tillkeeper.risk import Attempt, arrays, load_rules, windows
from tillkeeper.risk import profiles as profiles_module
from tillkeeper.risk.features import FEATURES, WINDOWS
from tillkeeper.risk.profiles import Profiles

ZONE = ZoneInfo("Asia/Shanghai")
RULES = load_rules(None)
KEPT_BY_WINDOWS = frozenset(list(FEATURES)[: windows.COLUMNS]) | {
    "hour",
    "night",
    "weekend",
    "is_send",
    "is_withdrawal",
}
START = 1_700_000_000_000_000
SECOND = 1_000_000
# Steps that land on, one microsecond before and one after each border of a window.
STEPS = [0, 1, 7 * SECOND, *(w + d for w in WINDOWS.values() for d in (-1, 0, 1)), 8 * 86_400 * SECOND]
PEOPLE = [UUID(int=n + 1) for n in range(4)]

steps = st.one_of(st.sampled_from(STEPS), st.integers(0, 3600 * SECOND))
events = st.tuples(
    steps,
    st.integers(0, 3),  # customer
    st.integers(0, 5),  # payee: the first four are people
    st.one_of(st.just(0), st.integers(1, 40), st.integers(1, MAX_AMOUNT)),
    st.sampled_from([None, "a", "b", "c"]),
    st.sampled_from([None, "1.1.1.1", "2.2.2.2"]),
    st.sampled_from([None, (31.2, 121.5), (39.9, 116.4), (-33.9, 151.2)]),
    st.sampled_from([0, 0, 0, 0, 1, 30 * SECOND, 3600 * SECOND, 86_400 * SECOND]),  # how late it arrives
    st.sampled_from(
        [None, None, None, (0, True), (3, True), (8, True), (3, False)]
    ),  # a label: how far back, what
    st.integers(1, 5),  # turns of so many
)


def attempts_of(story: list[tuple[Any, ...]]) -> list[Attempt]:
    now, out = START, []
    for n, (step, customer, payee, amount, device, ip, place, late, _, _) in enumerate(story):
        now += step
        payer, paid = PEOPLE[customer], UUID(int=payee + 1)
        if payer == paid:
            paid = UUID(int=99)
        latitude, longitude = place or (None, None)
        kind = "send" if paid in PEOPLE else "payment"
        number = UUID(int=(n << 64) + 7)
        out.append(
            Attempt(number, kind, now - late, payer, paid, amount, "CNY", device, ip, latitude, longitude)
        )
    return out


def assert_same(row: np.ndarray, expected: dict[str, float], n: int) -> None:
    for name, wanted in expected.items():
        got = row[FEATURES[name].index]
        if name in {"distance_km", "speed_kmh", "z_score", "ratio"}:
            same = math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-6)
        else:
            same = got == wanted
        assert same or (math.isnan(got) and math.isnan(wanted)), f"attempt {n}: {name} is {got}, not {wanted}"


@settings(max_examples=150, deadline=None)
@given(st.lists(events, min_size=1, max_size=60))
def test_every_feature_equals_its_definition(story: list[tuple[Any, ...]]) -> None:
    attempts = attempts_of(story)
    profiles, model = Profiles(RULES, ZONE, wanted=KEPT_BY_WINDOWS), Model(ZONE)
    begin = 0
    while begin < len(attempts):
        size = story[begin][-1]
        turn = attempts[begin : begin + size]
        matrix = profiles.observe(turn)
        for n, attempt in enumerate(turn):
            assert_same(matrix[n], model.observe(attempt), begin + n)
        if (label := story[begin][-2]) and label[0] <= begin:
            payment = attempts[begin - label[0]].id
            profiles.learn(payment, fraud=label[1])
            model.learn(payment, fraud=label[1])
        begin += size


def test_what_nothing_can_ask_for_is_forgotten(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """160 days: every feature stays true to its definition while the memory stays bounded."""
    monkeypatch.setattr(profiles_module, "WATERMARK_BLOCK", 64)
    rng = random.Random(seed)
    engine, model = Profiles(RULES, ZONE, wanted=KEPT_BY_WINDOWS), Model(ZONE)
    now, held = START, []
    for n in range(0, 4000, 4):
        turn = []
        for k in range(4):
            now += rng.randrange(2 * 3600 * SECOND)
            # A population that moves on; now and then somebody is seen again after weeks.
            age = (n + k) // 100 - rng.choice((0,) * 9 + (rng.randrange(3, 12),))
            customer, payee = UUID(int=1000 + age + rng.randrange(8)), UUID(int=5000 + age + rng.randrange(5))
            late = rng.choice((0, 0, 0, 3600 * SECOND, 20 * 3600 * SECOND))
            device, ip = f"d{age + rng.randrange(9)}", f"i{age + rng.randrange(4)}"
            amount = rng.randrange(1, 10**6)
            number = UUID(int=(n + k + 1) << 64)
            turn.append(Attempt(number, "payment", now - late, customer, payee, amount, "CNY", device, ip))
        matrix = engine.observe(turn)
        for k, attempt in enumerate(turn):
            assert_same(matrix[k], model.observe(attempt), n + k)
        if rng.random() < 0.2:
            payment = UUID(int=(max(1, n - rng.randrange(300))) << 64)
            engine.learn(payment, fraud=True)
            model.learn(payment, fraud=True)
        held.append(engine.counts())
    # About 24 attempts a day. A profile holds 37 days before its last attempt, and is forgotten 38 days after it.
    assert max(one["payments"] for one in held) < 24 * (37 + 38) * 1.1
    assert max(one["customer"] + one["payee"] + one["device"] + one["ip"] for one in held) < 200
    assert len(engine._keys) < 250
    assert len(engine._numbers[0]) == held[-1]["customer"]


def test_an_empty_memory_is_empty() -> None:
    """When all has been forgotten, every number is free again and the table is empty."""
    engine = Profiles(RULES, ZONE, wanted=KEPT_BY_WINDOWS)
    engine.observe(attempts_of([(1, n % 3, 4, 5, "a", "b", None, 0, None, 1) for n in range(50)]))
    far = START + 100 * 86_400 * SECOND
    stranger = Attempt(UUID(int=77), "payment", far, UUID(int=70), UUID(int=71), 1, "CNY", "x", "y")
    for _ in range(20):
        engine._oldest = [far, far]
        engine.observe([stranger])
    counts = engine.counts()
    assert (counts["customer"], counts["payee"], counts["device"], counts["ip"]) == (1, 1, 1, 1)
    assert counts["payments"] == 20
    assert len(engine._unused) == 3 + 1 + 1 + 1
    # One entry for each of the five pairs and one for the id: the stranger's attempts share them.
    assert int(engine._pool.counters[windows.ENTRIES]) == 6
    assert int((engine._pool.table != windows.NONE).sum()) == 6


def follow(attempts: list[Attempt]) -> Profiles:
    """One attempt a turn, each feature compared with the model; the engine for a look inside."""
    engine, model = Profiles(RULES, ZONE, wanted=KEPT_BY_WINDOWS), Model(ZONE)
    for n, attempt in enumerate(attempts):
        assert_same(engine.observe([attempt])[0], model.observe(attempt), n)
    return engine


def test_largest_payments_leave_while_smaller_ones_stay(seed: int) -> None:
    """Falling amounts keep the lists of largest payments long, and every place in memory is soon used again."""
    rng, now, amount, attempts = random.Random(seed), START, 1000, []
    for n in range(800):
        now += rng.randrange(12 * 86_400 * SECOND)
        amount = amount - rng.randrange(1, 200) if amount > 200 else rng.randrange(500, 1000)
        who = (UUID(int=1 + rng.randrange(3)), UUID(int=10 + rng.randrange(3)))
        attempts.append(Attempt(UUID(int=n << 64), "payment", now, *who, amount, "CNY", "d", f"i{n % 2}"))
    engine = follow(attempts)
    assert int(engine._pool.counters[windows.USED]) < 60


def test_room_is_made_as_it_is_needed(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    for name in ("FIRST_EVENTS", "FIRST_PROFILES", "FIRST_ENTRIES"):
        monkeypatch.setattr(profiles_module, name, 4)
    rng = random.Random(seed)
    attempts = [
        Attempt(
            UUID(int=n << 64), "payment", START + n * SECOND, UUID(int=rng.randrange(60)), UUID(int=100 + n % 9),
            rng.randrange(100), "CNY", f"d{rng.randrange(50)}", f"i{rng.randrange(30)}"
        )
        for n in range(300)
    ]  # fmt: skip
    engine = follow(attempts)
    assert [len(array) for array in engine._pool] == [512, 256, 4096, 4]


def test_where_memory_is_short_the_first_room_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros, asked = np.zeros, list[int]()

    def short(count: Any, kind: Any = float) -> Any:
        if isinstance(count, int) and count > 1 << 18:
            asked.append(count)
            raise MemoryError
        return zeros(count, kind)

    monkeypatch.setattr(np, "zeros", short)
    engine = follow([Attempt(UUID(int=1), "payment", START, UUID(int=2), UUID(int=3), 5, "CNY")])
    assert len(engine._pool.events) == 1 << 18
    assert len(asked) > 6
    monkeypatch.setattr(arrays, "FEWEST", 1 << 19)
    with pytest.raises(MemoryError):
        Profiles(RULES, ZONE, wanted=KEPT_BY_WINDOWS)


def test_a_look_at_a_forgotten_past_does_not_move_time() -> None:
    """What was received 40 days ago is gone when its receiver pays: the look must leave no trace, or a restart would
    show, since profiles rebuilt from the database begin after it."""
    shop, alice, bob = UUID(int=1), UUID(int=2), UUID(int=3)
    later = START + 40 * 86_400 * SECOND
    follow(
        [
            Attempt(UUID(int=1 << 64), "send", START, bob, alice, 5, "CNY"),
            Attempt(UUID(int=2 << 64), "payment", later, alice, shop, 5, "CNY"),
            Attempt(UUID(int=3 << 64), "send", later - 3600 * SECOND, bob, alice, 5, "CNY"),
            Attempt(UUID(int=4 << 64), "send", later, bob, alice, 5, "CNY"),
        ]
    )


def test_a_forgotten_profile_keeps_its_time() -> None:
    """An old file's replay that pauses while live payments go on is not thrown into their time when it continues."""
    engine = follow([Attempt(UUID(int=1), "payment", START, UUID(int=2), UUID(int=3), 5, "CNY")])
    live = START + 3000 * 86_400 * SECOND
    engine._oldest = [live, live]
    engine.observe([Attempt(UUID(int=2), "payment", live, UUID(int=4), UUID(int=5), 5, "CNY")])
    assert engine._pool.profiles["now"][:4].tolist() == [START, START, live, live]
    assert engine._pool.profiles["last"][:2].tolist() == [windows.NONE, windows.NONE]


def test_a_label_for_a_stranger_changes_nothing() -> None:
    assert not Profiles(RULES, ZONE, wanted=KEPT_BY_WINDOWS).learn(UUID(int=5), fraud=True)


def test_amounts_are_counted_in_the_reference_currency() -> None:
    engine = Profiles(RULES, ZONE)  # 14 US cents or 21 yen are worth a yuan; other currencies as listed
    kinds = [
        ("CNY", 1234, 1234),
        ("USD", 1400, 10_000),
        ("JPY", 21, 100),
        ("XAF", 7, 7),
        ("CNY", MAX_AMOUNT, MAX_AMOUNT),
    ]
    total = 0
    for n, (currency, amount, expected) in enumerate(kinds):
        total += expected
        attempt = Attempt(UUID(int=n), "payment", START, PEOPLE[0], PEOPLE[1], amount, currency)
        row = engine.observe([attempt])[0]
        assert row[FEATURES["amount"].index] == expected
        assert row[FEATURES["customer_sum_1h"].index] == total


def test_what_is_worth_more_than_the_limit_counts_as_the_limit() -> None:
    attempt = Attempt(UUID(int=1), "payment", START, PEOPLE[0], PEOPLE[1], MAX_AMOUNT, "USD")
    row = Profiles(RULES, ZONE, wanted=KEPT_BY_WINDOWS).observe([attempt])[0]
    assert row[FEATURES["customer_max_1m"].index] == windows.AMOUNT_LIMIT - 1


def test_the_halves_hold_every_amount() -> None:
    assert windows.AMOUNT_LIMIT == 2**40 > MAX_AMOUNT


@pytest.mark.parametrize(
    ("here", "there", "km"),
    [
        ((31.2304, 121.4737), (31.2304, 121.4737), 0.0),
        ((31.2304, 121.4737), (39.9042, 116.4074), 1067.0),  # Shanghai to Beijing
        ((0.0, 0.0), (0.0, 180.0), math.pi * 6371.0088),  # to the other side of the earth
        ((0.0, 179.5), (0.0, -179.5), 111.19),  # across the date line
        ((90.0, 10.0), (-90.0, 50.0), math.pi * 6371.0088),
    ],
)
def test_distance(here: tuple[float, float], there: tuple[float, float], km: float) -> None:
    assert windows.distance_km(*here, *there) == pytest.approx(km, abs=2.0 if km > 1000 else 0.01)


def test_a_z_score_is_exact_for_tiny_deviations_of_huge_amounts() -> None:
    """Sums of squares in floats would lose this entirely: a deviation of one minor unit around 10^12."""
    engine = Profiles(RULES, ZONE, wanted=KEPT_BY_WINDOWS)
    amounts = [MAX_AMOUNT - 1, MAX_AMOUNT - 2, MAX_AMOUNT - 3, MAX_AMOUNT]
    attempts = [
        Attempt(UUID(int=n), "payment", START + n, PEOPLE[0], PEOPLE[1], amount, "CNY")
        for n, amount in enumerate(amounts)
    ]
    assert engine.observe(attempts)[-1, FEATURES["z_score"].index] == pytest.approx(2.0, rel=1e-12)

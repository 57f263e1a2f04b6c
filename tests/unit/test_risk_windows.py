"""The compiled windows against the simpler model, on histories that Hypothesis invents."""

import math
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.risk_model import Model
from tillkeeper.base.limits import MAX_AMOUNT
from tillkeeper.risk import Attempt, load_rules
from tillkeeper.risk.features import FEATURES, WINDOWS
from tillkeeper.risk.profiles import Profiles

ZONE = ZoneInfo("Asia/Shanghai")
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
    assert set(expected) == set(FEATURES)
    for name, feature in FEATURES.items():
        got, wanted = row[feature.index], expected[name]
        if name in {"distance_km", "speed_kmh", "z_score", "ratio"}:
            same = math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-6)
        else:
            same = got == wanted
        assert same or (math.isnan(got) and math.isnan(wanted)), f"attempt {n}: {name} is {got}, not {wanted}"


@settings(max_examples=300, deadline=None)
@given(st.lists(events, min_size=1, max_size=60))
def test_every_feature_equals_its_definition(story: list[tuple[Any, ...]]) -> None:
    attempts = attempts_of(story)
    profiles, model = Profiles(load_rules(None), ZONE), Model(ZONE)
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

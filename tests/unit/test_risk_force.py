"""The judge: rules, models, lists, mutes and circuit breakers make one outcome, whatever the size of the crowd."""

import random
from uuid import UUID

import numpy as np
import pytest

from tillkeeper.risk import (
    FEATURES,
    Attempt,
    Batch,
    Breakers,
    Bypass,
    Force,
    Judge,
    Judged,
    Listed,
    Model,
    RuleSet,
    read_rules,
)
from tillkeeper.risk.rulefile import with_rule
from tillkeeper.risk.types import OUTCOMES

HEAD = 'reference = "CNY"\nother = 100\n[worth]\nCNY = 100\nJPY = 2000\n'
RULE = """
[[rule]]
name = "{name}"
version = 1
outcome = "{outcome}"
when = "{when}"
reason.zh = "{{amount}}"
reason.en = "{{amount}}"
{more}
"""
SECOND = 1_000_000
ANNA, SHOP = UUID(int=1), UUID(int=2)


def rule(name: str, outcome: str = "hold", when: str = "amount >= 100", more: str = "") -> str:
    return RULE.format(name=name, outcome=outcome, when=when, more=more)


def rules(*parts: str) -> RuleSet:
    return read_rules(HEAD + "".join(parts), "test")


def attempt(amount: int = 100, at: int = 0, **more: object) -> Attempt:
    given = {"id": UUID(int=random.Random(f"{amount} {at}").getrandbits(128)), "kind": "payment"} | more
    return Attempt(at_us=at, customer=ANNA, payee=SHOP, amount=amount, currency="CNY", **given)  # type: ignore[arg-type]


def values_of(attempts: list[Attempt]) -> np.ndarray:
    values = np.full((len(attempts), len(FEATURES)), np.nan)
    values[:, FEATURES["amount"].index] = [one.amount for one in attempts]
    for entity in ("customer", "payee", "device", "ip"):
        values[:, FEATURES[f"{entity}_watched"].index] = 0
    return values


def judged(
    force: Force | RuleSet, attempts: list[Attempt], now: int | None = None, judge: Judge | None = None
) -> Judged:
    wanted = force if isinstance(force, Force) else Force.of(force)
    return (judge or Judge(wanted)).take(Batch.of(attempts), values_of(attempts), now)


def outcomes(found: Judged) -> list[str]:
    return [OUTCOMES[each] for each in found.outcomes]


# -- rules


def test_a_rule_is_about_what_it_says() -> None:
    force = rules(
        rule("paying"),
        rule("leaving", "deny", more='on = "withdrawal"'),
        rule("both", "challenge", more='on = ["payment", "withdrawal"]'),
        rule("entering", "block", more='on = "login"'),
    )
    found = judged(force, [attempt(kind=kind) for kind in ("payment", "send", "withdrawal", "payout")])
    assert found.hits.tolist() == [
        [True, True, False, False],
        [False, False, True, True],
        [True, True, True, True],
        [False, False, False, False],
    ]
    assert outcomes(found) == ["hold", "hold", "deny", "deny"]


def test_logins_are_judged_by_their_own_rules() -> None:
    force = rules(rule("paying"), rule("odd", "ask_again", "amount > 1", 'on = "login"'))
    assert (force.features, force.login_features) == (("amount",), ("amount",))
    assert force.judge_logins(np.array([[5.0], [0.0]])) == [("ask_again", ("odd",)), ("allow", ())]


def test_a_rule_ends_by_the_time_of_what_happens() -> None:
    force = rules(rule("short", more="until = 1970-01-01T00:00:10Z"))
    found = judged(force, [attempt(at=10 * SECOND - 1), attempt(at=10 * SECOND)], now=10**15)
    assert outcomes(found) == ["hold", "allow"]


def test_a_rule_in_shadow_is_noted_and_decides_nothing() -> None:
    found = judged(rules(rule("loud", "challenge"), rule("quiet", "deny", more="shadow = true")), [attempt()])
    assert (outcomes(found), found.effects) == (["challenge"], {0: ["shadow:quiet"]})
    assert found.hits[:, 0].tolist() == [True, True]
    assert found.counted[:, 0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ('on = "refund"', "on = 'refund' must be of payment, withdrawal, login"),
        ("on = []", "on = [] must be of payment, withdrawal, login"),
        ('on = ["payment", "login"]', "a rule about logins is about nothing else: their features differ"),
        ('shadow = "yes"', "shadow must be true or false"),
        ('until = "tomorrow"', "until must be a moment with its zone, without quotes: 2026-12-01T00:00:00Z"),
        ("until = 2026-12-01", "until must be a moment with its zone, without quotes: 2026-12-01T00:00:00Z"),
        (
            'at_most = "30 in 7h"',
            'at_most is written "30 in 10m"; a time is written 90s, 10m or 2h, up to 6h',
        ),
        ("at_most = 30", 'at_most is written "30 in 10m"; a time is written 90s, 10m or 2h, up to 6h'),
        ('at_most = "1_000_000 in 1h"', "at_most counts up to 100000"),
    ],
)
def test_mistakes_in_what_a_rule_may_say(more: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"^test:") as refused:
        rules(rule("a", more=more))
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        ("[bypass]\nshare = 0.2\nup_to = 5", "share must be from 0 to 0.1"),
        (
            "[bypass]\nshare = 0.01",
            "up_to must be a positive integer: the largest amount that is let through",
        ),
        ("[bypass]\nrate = 0.01", "'rate' is not part of [bypass]; there are share, up_to"),
        ("[breaker]\nshare = 0", "share must be above 0 and at most 1"),
        ('[breaker]\nwithin = "soon"', "a time is written 90s, 10m or 2h, up to 6h"),
        ("[analysts]\nalerts_a_day = 0", "alerts_a_day must be a positive integer"),
    ],
)
def test_mistakes_in_the_head(head: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"^test:") as refused:
        read_rules(f"{HEAD}{head}\n", "test")
    assert fault in str(refused.value)


def test_a_rule_is_added_to_a_text() -> None:
    text = HEAD + rule("first")
    added = read_rules(with_rule(text, rule("second", more="until = 2026-12-01T00:00:00Z")), "test")
    assert [each.name for each in added.rules] == ["first", "second"]
    assert added.rules[1].until_us == 1_796_083_200 * SECOND


# -- what people say


def listed(**entries: dict[str, dict[object, int]]) -> Force:
    return Force.of(rules(rule("large")), listed=Listed(**entries))


def test_a_block_refuses_and_goes_before_trust() -> None:
    force = listed(block={"device": {"phone": 100}}, trust={"customer": {ANNA.int: 100}})
    found = judged(force, [attempt(1, device="phone"), attempt(device="other")], now=99)
    assert outcomes(found) == ["deny", "allow"]
    assert found.effects == {0: ["trusted:customer", "blocked:device"], 1: ["trusted:customer"]}
    assert outcomes(judged(force, [attempt(1, device="phone"), attempt()], now=100)) == ["allow", "hold"]


def test_who_is_watched_is_a_feature() -> None:
    watching = rules(rule("watched", "challenge", "(ip_watched == 1) & (payee_watched == 0)"))
    force = Force.of(watching, listed=Listed(watch={"ip": {"1.1.1.1": 100}}))
    assert outcomes(judged(force, [attempt(ip="1.1.1.1"), attempt(ip="2.2.2.2"), attempt()], now=99)) == [
        "challenge",
        "allow",
        "allow",
    ]
    assert outcomes(judged(force, [attempt(ip="1.1.1.1")], now=100)) == ["allow"]


def test_a_muted_rule_is_noted() -> None:
    force = Force.of(rules(rule("large")), mutes={"large": {("device", "kiosk"): 100}})
    found = judged(force, [attempt(device="kiosk"), attempt(device="phone"), attempt()], now=99)
    assert (outcomes(found), found.effects) == (["allow", "hold", "hold"], {0: ["muted:large"]})
    everybody = Force.of(rules(rule("large")), mutes={"large": {("", ""): 100}})
    assert outcomes(judged(everybody, [attempt()], now=99)) == ["allow"]
    assert outcomes(judged(everybody, [attempt()], now=100)) == ["hold"]


# -- the sample that is let through


def bypassing(share: float) -> Force:
    text = f"{HEAD}[bypass]\nshare = {share}\nup_to = 1_000\n[breaker]\nshare = 1\n"
    held = rule("held", when="amount < 5_000") + rule("refused", "deny", "amount == 666")
    return Force.of(read_rules(text + held, "test"))


def test_a_sample_is_let_through_and_it_is_always_the_same() -> None:
    rng = random.Random(7)
    attempts = [attempt(500, n, id=UUID(int=rng.getrandbits(128))) for n in range(8000)]
    found = judged(bypassing(0.05), attempts)
    through = {n for n, each in found.effects.items() if each == ["bypassed:hold"]}
    assert {n for n, each in enumerate(found.outcomes) if each == 0} == through
    assert 340 < len(through) < 460
    backwards = judged(bypassing(0.05), attempts[::-1])
    assert {len(attempts) - 1 - n for n in backwards.effects} == through


def test_ids_that_follow_each_other_are_sampled_like_chance() -> None:
    attempts = [attempt(500, n, id=UUID(int=(7 << 64) + n)) for n in range(8000)]
    assert 340 < len(judged(bypassing(0.05), attempts).effects) < 460


def test_the_sample_spares_nobody_who_is_denied_large_or_leaving() -> None:
    force = bypassing(0.05)
    certain = Force.of(
        read_rules(force.rules.source.replace("share = 0.05", "share = 0.1"), "test"),
        listed=Listed(block={"customer": {ANNA.int: 10}}),
    )
    attempts = [attempt(500, n, id=UUID(int=(9 << 64) + n)) for n in range(3000)]
    assert set(outcomes(judged(certain, attempts, now=1))) == {"deny"}
    for other in ({"amount": 1001}, {"amount": 666}, {"kind": "withdrawal"}):
        found = judged(bypassing(0.05), [attempt(**({"amount": 500} | other), at=n) for n in range(2000)])
        assert not any(each[0].startswith("bypassed") for each in found.effects.values()), other
    assert Bypass().share == 0  # unless somebody wants it


def test_the_sample_counts_money_in_the_reference_currency() -> None:
    force = Force.of(
        read_rules(f"{HEAD}[bypass]\nshare = 0.1\nup_to = 1_000\n{rule('all', when='amount > 0')}", "test")
    )
    yen = [Attempt(UUID(int=(5 << 64) + n), "payment", n, ANNA, SHOP, 20_000, "JPY") for n in range(3000)]
    assert judged(force, yen).effects  # 20,000 yen are 1,000 fen here


# -- circuit breakers


CAPPED = rule("capped", "deny", more='at_most = "3 in 10s"')


def weakened(attempts: list[Attempt], crowd: int, text: str = CAPPED) -> list[str]:
    judge = Judge(Force.of(rules(text)))
    return [
        each
        for n in range(0, len(attempts), crowd)
        for each in outcomes(judged(judge.force, attempts[n : n + crowd], judge=judge))
    ]


def test_a_rule_that_hits_too_often_is_weakened() -> None:
    attempts = [attempt(at=n * SECOND) for n in (0, 1, 2, 3, 9, 10, 11, 21)]
    # At 10 s the hit of 0 s is out of the window, but weakened hits count, too: there are four within it.
    assert weakened(attempts, 8) == ["deny"] * 3 + ["challenge"] * 4 + ["deny"]
    assert weakened([attempt(1, n) for n in range(9)], 9) == ["allow"] * 9


@pytest.mark.parametrize("crowd", [1, 7, 400])
def test_breakers_are_the_same_in_any_crowd(crowd: int) -> None:
    rng = random.Random(3)
    attempts, at = [], 0
    for _ in range(400):
        at += rng.choice((0, SECOND // 3, 20 * SECOND))
        attempts.append(attempt(rng.choice((1, 100, 100)), at - rng.choice((0, 0, 5 * SECOND))))
    whole = rules(CAPPED).source.replace(
        "[[rule]]", '[breaker]\nshare = 0.4\nat_least = 5\nwithin = "60s"\n[[rule]]', 1
    )
    text = whole.removeprefix(HEAD) + rule("wide", "hold", "amount >= 100")
    found = weakened(attempts, crowd, text)
    assert found == weakened(attempts, 50, text)
    assert {"deny", "challenge", "allow"} <= set(found)


def test_a_rule_that_stops_most_of_the_traffic_is_weakened() -> None:
    head = '[breaker]\nshare = 0.5\nat_least = 20\nwithin = "10m"\n'
    judge = Judge(Force.of(read_rules(HEAD + head + rule("wide"), "test")))
    few = judged(judge.force, [attempt(100 if n % 3 else 1, n) for n in range(30)], judge=judge)
    assert outcomes(few).count("hold") == 20  # two thirds, but not more than twenty
    many = judged(judge.force, [attempt(100 if n % 3 else 1, SECOND + n) for n in range(30)], judge=judge)
    assert outcomes(many).count("challenge") == 20
    (trip,) = judge.breakers.trips  # one alarm, not twenty
    assert (trip.rule, trip.hits, trip.at_most) == ("wide", 21, 20)
    later = judged(judge.force, [attempt(100, 700 * SECOND)], judge=judge)
    assert outcomes(later) == ["hold"]


def test_shadows_and_mutes_open_no_breaker() -> None:
    judge = Judge(Force.of(rules(rule("capped", "deny", more='at_most = "1 in 1h"\nshadow = true'))))
    judged(judge.force, [attempt(at=n) for n in range(9)], judge=judge)
    assert not judge.breakers.trips


def test_a_breaker_of_a_challenge_only_tells() -> None:
    judge = Judge(Force.of(rules(rule("mild", "challenge", more='at_most = "2 in 1m"'))))
    found = judged(judge.force, [attempt(at=n) for n in range(5)], judge=judge)
    assert set(outcomes(found)) == {"challenge"}
    assert (len(judge.breakers.trips), found.effects) == (1, {})
    assert judge.breakers.open_at(5) == {"mild": 60 * SECOND + 4}


# -- models


class Doubling:
    """A model: a tenth of the amount's hundreds."""

    features = ("amount",)

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def score(self, values: np.ndarray) -> np.ndarray:
        return np.minimum(values[:, 0] / 1000 * self.factor, 1.0)

    def contributions(self, values: np.ndarray) -> np.ndarray:
        return np.zeros((len(values), 2))


class Broken(Doubling):
    def score(self, values: np.ndarray) -> np.ndarray:
        raise FloatingPointError(f"no {len(values) > 0}")


SCORED = rule("scored", "hold", "model_score >= 0.5", "") + rule("odd", "challenge", "anomaly_score >= 0.9")


def test_a_score_is_a_feature() -> None:
    force = Force.of(rules(SCORED), Model(1, Doubling()), Model(2, Doubling(9)))
    assert force.columns == ("amount", "anomaly_score", "model_score")
    found = judged(force, [attempt(499), attempt(500), attempt(50)])
    assert outcomes(found) == ["challenge", "hold", "allow"]
    assert found.values.tolist() == [[499, 1.0, 0.499], [500, 1.0, 0.5], [50, 0.45, 0.05]]


def test_without_a_model_nothing_is_scored() -> None:
    found = judged(rules(SCORED), [attempt(900)])
    assert outcomes(found) == ["allow"]
    assert np.isnan(found.values[:, 1:]).all()


def test_challengers_score_in_silence() -> None:
    force = Force.of(
        rules(SCORED, rule("large", "deny", "amount > 2_000")),
        Model(1, Doubling()),
        challengers=(Model(3, Doubling(2)),),
    )
    found = judged(force, [attempt(400), attempt(600), attempt(3000)])
    (shadow,) = found.shadows
    assert outcomes(found) == ["allow", "hold", "deny"]
    assert (shadow.model, [OUTCOMES[n] for n in shadow.outcomes]) == (3, ["hold", "hold", "deny"])
    assert shadow.scores.tolist() == [0.8, 1.0, 1.0]
    assert found.values[:, force.columns.index("model_score")].tolist() == [0.4, 0.6, 1.0]


def test_a_model_that_fails_leaves_the_rules_to_decide() -> None:
    force = Force.of(
        rules(SCORED, rule("large", "deny", "amount > 2_000")),
        Model(1, Broken()),
        challengers=(Model(3, Broken()), Model(4, Doubling(2))),
    )
    judge = Judge(force, lenient=True)
    for _ in range(2):
        found = judged(force, [attempt(600), attempt(3000)], judge=judge)
        assert outcomes(found) == ["allow", "deny"]
        assert [each.model for each in found.shadows] == [4]
    assert judge.faults == [f"model {n} cannot score: FloatingPointError: no True" for n in (1, 3)]
    with pytest.raises(FloatingPointError):
        judged(force, [attempt(600)])


def test_a_judge_takes_only_the_columns_it_needs() -> None:
    force = Force.of(rules(SCORED), Model(1, Doubling()))
    judge = Judge(force, force.needs)
    found = judge.take(Batch.of([attempt(600)]), np.array([[600.0, np.nan, np.nan]]))
    assert outcomes(found) == ["hold"]
    with pytest.raises(KeyError):
        Judge(force, ["anomaly_score", "model_score"])


def test_an_empty_turn_breaks_nothing() -> None:
    assert Breakers().open_at(0) == {}


def test_a_payment_from_the_future_stops_no_breaker() -> None:
    judge = Judge(Force.of(rules(CAPPED)))
    judged(judge.force, [attempt(at=10**15)], now=0, judge=judge)
    for n in range(1, 4):
        found = judged(judge.force, [attempt(at=n * 20 * SECOND)], now=n * 20 * SECOND, judge=judge)
        assert outcomes(found) == ["deny"]
    assert not judge.breakers.trips

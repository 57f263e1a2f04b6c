"""The tally and its figures."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.replay import figures
from tillkeeper.replay.tally import Failed, Spoken, Tally, Told
from tillkeeper.replay.types import Record, Step

AT = datetime(2018, 4, 1, tzinfo=UTC)


def step(amount: int, fraud: Any, score: int = 0, currency: str = "EUR") -> Step:
    return Step(
        Record(1, "1", None, AT, 0, "p", "q", amount, currency, fraud, None, None, None, None, None, []),
        0,
        score,
    )


def told(risk: str, *rules: str, failure: str | None = None) -> Told:
    state = {"allow": "succeeded", "challenge": "challenged", "hold": "in_review", "deny": "declined"}[risk]
    failed = Failed(failure) if failure else None
    return Told(to_typeid("pay", new_id()), state, risk, [Spoken(rule) for rule in rules], failed)


@pytest.fixture
def tally() -> Tally:
    first = to_typeid("pay", new_id())
    made = Tally(first, first)
    made.count(step(1000, False), told("allow"))
    made.count(step(2000, True), told("allow"))
    made.count(step(3000, True, 20_000), told("deny", "large", "habit", failure="denied_by_risk"))
    made.count(step(4000, True, 20_000), told("hold", "shop"))
    made.count(step(500, False, 2_000), told("challenge", "habit"))
    made.count(step(700, None), told("challenge", "habit"))
    made.count(step(900, False, currency="JPY"), told("allow"))
    return made


def test_outcomes_and_money(tally: Tally) -> None:
    seen = figures(tally)
    assert (seen.payments, seen.judged, seen.frauds) == (7, 6, 3)
    assert seen.fraud_amount == {"EUR": "90.00", "JPY": "0"}
    assert seen.lost == {"EUR": "20.00", "JPY": "0"}
    by_name = {each.outcome: each for each in seen.outcomes}
    assert list(by_name) == ["allow", "challenge", "hold", "deny"]
    assert (by_name["allow"].payments, by_name["allow"].frauds) == (3, 1)
    assert by_name["allow"].amount == {"EUR": "30.00", "JPY": "900"}
    assert by_name["challenge"].amount == {"EUR": "12.00"}
    assert seen.states == {"succeeded": 3, "declined": 1, "in_review": 1, "challenged": 2}
    assert seen.failures == {"denied_by_risk": 1}


def test_levels_add_up_from_severe_to_mild(tally: Tally) -> None:
    deny, hold, challenge = figures(tally).levels
    assert (deny.detection.alerts, deny.detection.precision, deny.detection.recall) == (1, 1.0, 1 / 3)
    assert deny.saved == {"EUR": "30.00"}
    assert (hold.detection.alerts, hold.detection.frauds) == (2, 2)
    assert hold.saved == {"EUR": "70.00"}
    assert challenge.detection.alerts == 3  # the one without a label is not judged
    assert challenge.detection.false_positives_per_fraud == 0.5
    assert challenge.disturbed == {"EUR": "5.00"}
    assert challenge.hand_rules.alerts == 3
    assert challenge.hand_rules.frauds == 2


def test_rules_and_what_they_alone_catch(tally: Tally) -> None:
    rules = {each.rule: each for each in figures(tally).rules}
    assert (rules["habit"].hits, rules["habit"].frauds, rules["habit"].alone) == (3, 1, 0)
    assert rules["habit"].precision == 0.5
    assert (rules["shop"].alone, rules["large"].alone) == (1, 0)


def test_without_labels_nothing_is_judged() -> None:
    first = to_typeid("pay", new_id())
    made = Tally(first, first)
    made.count(step(1000, None), told("deny", "large"))
    seen = figures(made)
    assert (seen.judged, seen.levels) == (0, [])
    assert seen.rules[0].precision is None


def test_the_tally_survives_being_kept(tally: Tally) -> None:
    kept: Any = msgspec.json.decode(msgspec.json.encode(tally), type=Tally)
    assert kept == tally
    assert figures(kept) == figures(tally)


def test_a_payment_is_counted_once_and_an_earlier_replays_is_told_apart() -> None:
    earlier = told("allow")
    first = to_typeid("pay", new_id())
    made = Tally(first, first)
    mine = told("allow")
    assert not made.is_double(mine)
    made.count(step(1, False), mine)
    assert made.is_double(mine)
    assert not made.is_double(earlier)
    made.count(step(1, False), earlier)
    assert made.earlier == 1
    assert not made.is_double(told("allow"))

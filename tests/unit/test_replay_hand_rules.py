"""The hand rules, against the plain definition; and what they find in so many alerts."""

import random
from datetime import UTC, datetime, timedelta

from tillkeeper.base.clock import to_us
from tillkeeper.replay.hand_rules import HandRules
from tillkeeper.replay.report import hand_rules_at
from tillkeeper.replay.types import Record

START = datetime(2018, 4, 1, tzinfo=UTC)


def record(
    line: int, days: float, payer: str, payee: str, amount: int, *, fraud: bool, currency: str = "EUR"
) -> Record:
    at = START + timedelta(days=days)
    return Record(
        line,
        str(line),
        None,
        at,
        to_us(at),
        payer,
        payee,
        amount,
        currency,
        fraud,
        None,
        None,
        None,
        None,
        None,
        [],
    )


def by_definition(past: list[Record], now: Record) -> int:
    """The field note's formula, in ten-thousandths, read row by row."""
    day = timedelta(days=1)
    own = [one.amount for one in past if one.payer == now.payer and now.at - 30 * day < one.at]
    known = [
        one.fraud for one in past if one.payee == now.payee and now.at - 14 * day < one.at <= now.at - 7 * day
    ]
    risk = round(10_000 * sum(map(bool, known)) / len(known)) if known else 0
    return 20_000 * (now.amount > 22_000) + risk + 2_000 * (now.amount > 2.5 * sum(own) / len(own))


def test_scores_equal_the_definition(seed: int) -> None:
    rng = random.Random(seed)
    rules, past = HandRules(), []
    days = sorted(rng.random() * 60 for _ in range(2000))
    for line, day in enumerate(days):
        amount = rng.choice((rng.randrange(100, 5000), rng.randrange(100, 30_000)))
        payer, payee = f"p{rng.randrange(8)}", f"q{rng.randrange(12)}"
        now = record(line, day, payer, payee, amount, fraud=rng.random() < 0.3)
        past.append(now)
        assert (
            abs(rules.score(now) - by_definition(past, now)) <= 1
        )  # halves are rounded to even in the one, up in the other


def test_a_label_is_not_known_for_seven_days() -> None:
    rules = HandRules()
    rules.score(record(1, 0, "a", "shop", 100, fraud=True))
    assert rules.score(record(2, 6.9, "b", "shop", 100, fraud=False)) == 0
    assert rules.score(record(3, 7.0, "c", "shop", 100, fraud=False)) == 10_000
    assert rules.score(record(4, 14.0, "d", "shop", 100, fraud=False)) == 0


def test_a_ceiling_in_major_units_of_the_currency() -> None:
    rules = HandRules()
    assert rules.score(record(1, 0, "a", "q", 22_000, fraud=False)) == 0
    assert rules.score(record(2, 0, "b", "q", 22_001, fraud=False)) == 20_000
    assert rules.score(record(3, 0, "c", "q", 221, fraud=False, currency="JPY")) == 20_000


def test_as_many_alerts_take_the_highest_scores_first() -> None:
    scores = {0: (1000, 4), 2_000: (10, 1), 20_000: (5, 5)}
    assert hand_rules_at(5, scores, 10).recall == 0.5
    assert hand_rules_at(5, scores, 10).precision == 1.0
    half = hand_rules_at(10, scores, 10)  # half of those with one score
    assert half.frauds == 5.5
    assert half.false_positives_per_fraud == (10 - 5.5) / 5.5
    assert hand_rules_at(0, scores, 10).precision is None
    assert hand_rules_at(1015, scores, 10).frauds == 10

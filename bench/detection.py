"""What the rules find in the Fraud Detection Handbook's simulated payments, by the Handbook's own protocol.

Its test folds lie in August and later; these are its four selection folds, which fit into April to July 2018. Labels
are learnt seven days after their payment. The floor to compare with: three hand rules as one score,
2·(amount > 220) + fraud rate of the terminal over 7 days + 0.2·(amount > 2.5 times the customer's 30-day mean).
"""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
from numpy.typing import NDArray

from bench import figures
from tillkeeper.risk import FEATURES, OUTCOMES, Attempt, RuleSet, read_rules
from tillkeeper.risk.profiles import Profiles

DATA: Final = Path(__file__).parents[2] / "shared" / "data" / "handbook-2018-04-to-07.parquet"
DAY_US: Final = 86_400 * 1_000_000
WEEK: Final = 7
TOP: Final = 100
TURN: Final = 512
FOLDS: Final = (80, 87, 94, 101)  # first days of the training weeks, 20 June to 11 July, counted from 1 April
WARM_UP_DAYS: Final = 45  # before that neither habits nor fraud rates have a past to speak of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Payments = dict[str, NDArray[Any]]


def measure() -> dict[str, Any] | None:
    """The figures, or None where the data are not beside the checkout."""
    if not DATA.exists():
        return None
    rules = read_rules(
        files("tillkeeper.risk").joinpath("rules_handbook.toml").read_text("utf-8"), "rules_handbook.toml"
    )
    payments = _read()
    columns = sorted({*rules.features, "customer_mean_30d", "payee_risk_7d", "ratio", "amount"})
    values = dict(zip(columns, _observe(rules, payments, columns).T, strict=True))
    hits = rules.hits(np.stack([values[name] for name in rules.features], axis=1))
    severity = np.array([OUTCOMES.index(rule.outcome) for rule in rules.rules])
    return {
        "payments": len(payments["fraud"]),
        "frauds": int(payments["fraud"].sum()),
        "at_least": _caught(payments, (hits * severity[:, None]).max(axis=0)),
        "rules": _each_rule(rules, payments, hits),
        "selection_folds": {
            "perfect": _folds(payments, payments["fraud"].astype(np.float64)),
            "three_hand_rules": _folds(payments, _hand_rules(values)),
            "rules_severity": _folds(payments, severity @ hits),
            "rules_severity_then_rate_and_ratio": _folds(payments, severity @ hits + _order_within(values)),
        },
    }


def show(found: dict[str, Any]) -> None:
    """The figures as tables."""
    for title, rows in (
        ("Handbook, April to July: rules, after 45 days", found["at_least"]),
        ("Each rule", found["rules"]),
        ("Ranking, mean of the four selection folds", found["selection_folds"]),
    ):
        figures.show(
            title,
            [{"": name} | {key: str(value) for key, value in row.items()} for name, row in rows.items()],
        )


def _read() -> Payments:
    read: Any = duckdb.sql(
        "SELECT epoch_us(occurred_at) AS at, customer_id AS customer, terminal_id AS terminal,"
        f" (amount * 100)::BIGINT AS amount, fraud FROM '{DATA}' ORDER BY occurred_at, transaction_id"
    )
    found: Payments = read.fetchnumpy()
    found["day"] = (found["at"] - int(datetime(2018, 4, 1, tzinfo=UTC).timestamp()) * 1_000_000) // DAY_US
    return found


def _observe(rules: RuleSet, payments: Payments, columns: list[str]) -> Floats:
    at, fraud, count = payments["at"], payments["fraud"], len(payments["at"])
    attempts = [
        Attempt(UUID(int=n), "payment", moment, UUID(int=customer), UUID(int=terminal), amount, "EUR")
        for n, (moment, customer, terminal, amount) in enumerate(
            zip(*(payments[name].tolist() for name in ("at", "customer", "terminal", "amount")), strict=True)
        )
    ]
    places = [FEATURES[name].index for name in columns]
    values = np.empty((count, len(columns)))
    profiles, known = Profiles(rules, ZoneInfo("UTC")), 0
    for begin in range(0, count, TURN):
        end = min(begin + TURN, count)
        released = int(np.searchsorted(at, at[end - 1] - WEEK * DAY_US, side="right"))
        for n in range(known, released):
            if fraud[n]:
                profiles.learn(attempts[n].id, fraud=True)
        known = max(known, released)
        values[begin:end] = profiles.observe(attempts[begin:end])[:, places]
    return values


def _hand_rules(values: dict[str, Floats]) -> Floats:
    far = values["amount"] > 2.5 * values["customer_mean_30d"]
    return 2.0 * (values["amount"] > 22_000) + values["payee_risk_7d"] + 0.2 * far


def _order_within(values: dict[str, Floats]) -> Floats:
    """Below 1: orders payments on which the same rules agree, as a person with a list would."""
    return 0.5 * values["payee_risk_7d"] + 0.04 * np.minimum(np.nan_to_num(values["ratio"]), 10.0)


def _caught(payments: Payments, severity: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """After the warm-up: precision, recall, honest payments stopped per fraud stopped, share of fraudulent money."""
    late = payments["day"] >= WARM_UP_DAYS
    fraud, amount = payments["fraud"] & late, payments["amount"]
    found = {}
    for level, outcome in enumerate(OUTCOMES[1:], 1):
        stopped = (severity >= level) & late
        right, wrong = stopped & fraud, stopped & ~fraud
        found[outcome] = {
            "precision": round(float(right.sum() / stopped.sum()), 3),
            "recall": round(float(right.sum() / fraud.sum()), 3),
            "false_per_fraud": round(float(wrong.sum() / right.sum()), 3),
            "money_recall": round(float(amount[right].sum() / amount[fraud].sum()), 3),
            "stopped": int(stopped.sum()),
        }
    return found


def _each_rule(rules: RuleSet, payments: Payments, hits: Flags) -> dict[str, dict[str, float]]:
    """What each rule hits, and how many frauds no other rule hits."""
    late = payments["day"] >= WARM_UP_DAYS
    fraud, agree = payments["fraud"] & late, hits.sum(axis=0)
    return {
        rule.name: {
            "hits": int((hit & late).sum()),
            "precision": round(float((hit & fraud).sum() / max(1, (hit & late).sum())), 3),
            "frauds_nobody_else_caught": int((hit & fraud & (agree == 1)).sum()),
        }
        for rule, hit in zip(rules.rules, hits, strict=True)
    }


def _folds(payments: Payments, score: Floats) -> dict[str, float]:
    """Mean over the four selection folds of the Handbook's three measures."""
    means = np.mean([_fold(payments, score, first) for first in FOLDS], axis=0).tolist()
    measures = ("auc", "average_precision", "card_precision_100")
    return {measure: round(mean, 3) for measure, mean in zip(measures, means, strict=True)}


def _fold(payments: Payments, score: Floats, first: int) -> tuple[float, float, float]:
    """Seven days that begin two weeks after `first`; cards whose fraud was known by then are taken out."""
    day, card, fraud = payments["day"], payments["customer"], payments["fraud"]
    known = set(card[(day >= first) & (day < first + WEEK) & fraud].tolist())
    tested, precisions, detected = [], [], set[int]()
    for n in range(WEEK):
        known |= set(card[(day == first + WEEK - 1 + n) & fraud].tolist())
        today = np.nonzero(day == first + 2 * WEEK + n)[0]
        today = today[~np.isin(card[today], list(known))]
        tested.append(today)
        found = _top_cards(card, score, fraud, today[~np.isin(card[today], list(detected))])
        precisions.append(len(found) / TOP)
        detected |= found
    rows = np.concatenate(tested)
    return (
        _auc(fraud[rows], score[rows]),
        _average_precision(fraud[rows], score[rows]),
        float(np.mean(precisions)),
    )


def _top_cards(card: NDArray[Any], score: Floats, fraud: Flags, rows: NDArray[np.int64]) -> set[int]:
    """The truly compromised among the day's cards with the highest scores."""
    cards, at = np.unique(card[rows], return_inverse=True)
    highest, bad = np.full(len(cards), -np.inf), np.zeros(len(cards), np.bool_)
    np.maximum.at(highest, at, score[rows])
    np.logical_or.at(bad, at, fraud[rows])
    top = np.argsort(-highest, kind="stable")[:TOP]
    return set(cards[top][bad[top]].tolist())


def _average_precision(truth: Flags, score: Floats) -> float:
    order = np.argsort(-score, kind="stable")
    truth, score = truth[order], score[order]
    ends = np.append(np.nonzero(np.diff(score))[0], len(score) - 1)
    right = np.cumsum(truth)[ends]
    steps = np.diff(np.append(0.0, right / truth.sum()))
    return float((steps * right / (ends + 1)).sum())


def _auc(truth: Flags, score: Floats) -> float:
    _, at, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[at]
    bad = int(truth.sum())
    return float((ranks[truth].sum() - bad * (bad + 1) / 2) / (bad * (len(truth) - bad)))

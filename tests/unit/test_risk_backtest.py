"""Backtests: what is counted, and that nothing of the future gets in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from tillkeeper.base.clock import from_us, to_us
from tillkeeper.faces.cli.risks.backtest import app, show
from tillkeeper.risk import FEATURES, Force, Model, read_rules
from tillkeeper.risk.backtest import Range, Report, Trial
from tillkeeper.risk.backtest.days import Calendar, Facts
from tillkeeper.risk.backtest.ranking import Order
from tillkeeper.risk.history import FileHistory, Walk
from tillkeeper.risk.models import Card, Span, metrics

DAY = 86_400 * 1_000_000
START = to_us(datetime(2018, 4, 1, tzinfo=UTC))
HEAD = 'reference = "EUR"\nother = 100\n[worth]\nEUR = 100\n'
FILE_HEAD = "transaction_id,occurred_at,customer_id,terminal_id,amount,fraud"


def rule(name: str, when: str, outcome: str = "hold", more: str = "") -> str:
    words = f'reason.zh = "{name}"\nreason.en = "{name}"'
    return (
        f'[[rule]]\nname = "{name}"\nversion = 1\noutcome = "{outcome}"\nwhen = "{when}"\n{words}\n{more}\n'
    )


def force(*rules: str, model: Model | None = None) -> Force:
    return Force.of(read_rules(HEAD + "".join(rules), "test"), model)


LARGE = rule("large", "amount > 10_000")
HUGE = rule("huge", "amount > 50_000", "deny")
SUSPECT = rule("suspect", "payee_frauds_7d >= 1", "challenge")


def file_of(path: Path, *rows: tuple[float, int, int, str, bool]) -> Path:
    """Rows of (day, customer, terminal, amount, fraud)."""
    lines = [FILE_HEAD]
    for number, (day, customer, terminal, amount, fraud) in enumerate(rows):
        at = from_us(START + round(day * DAY))
        lines.append(f"{number},{at:%Y-%m-%d %H:%M:%S.%f},{customer},{terminal},{amount},{fraud}")
    path.write_text("\n".join(lines))
    return path


def tried(path: Path, candidate: Force, base: Force | None = None, **options: Any) -> Report:
    rows, delay = options.pop("rows", 8192), options.pop("delay_us", 7 * DAY)
    with FileHistory(path, label_delay_us=delay, rows=rows) as history:
        span = {
            "begin_us": history.first_us,
            "end_us": history.last_us + 1,
            "as_of_us": history.last_us + 7 * DAY,
        }
        trial = Trial(Range(**span | options), candidate, base)
        walk = Walk.of(candidate.rules, ZoneInfo("UTC"), trial.names)
        for seen in walk.through(history.stretches()):
            trial.take(seen)
    return trial.report()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return file_of(
        tmp_path / "payments.csv",
        (0.0, 1, 1, "600.00", True),
        (0.1, 2, 1, "200.00", False),
        (1.0, 3, 2, "200.00", True),
        (1.1, 4, 2, "5.00", True),
        (9.0, 5, 1, "7.00", False),
        (9.5, 2, 3, "150.00", False),
        (10.0, 6, 2, "8.00", True),
    )


def test_what_is_counted(path: Path) -> None:
    report = tried(path, force(LARGE, HUGE, SUSPECT))
    assert (report.payments, report.judged, report.frauds) == (7, 7, 4)
    assert (report.amount, report.fraud_amount) == (117_000, 81_300)
    side = report.candidate
    by_name = {each.rule: each for each in side.each_rule}
    large, huge, suspect = by_name["large"], by_name["huge"], by_name["suspect"]
    assert (large.hits, large.frauds, large.honest, large.precision) == (4, 2, 2, 0.5)
    assert (large.alone, large.alone_honest, large.alone_amount, large.alone_honest_amount) == (
        1,
        2,
        20_000,
        35_000,
    )
    assert (huge.hits, huge.alone, huge.fraud_amount, huge.recall) == (1, 0, 60_000, 0.25)
    assert (suspect.hits, suspect.frauds, suspect.honest, suspect.alone_honest) == (2, 1, 1, 1)
    assert {each.outcome: each.payments for each in side.outcomes} == {
        "allow": 1,
        "challenge": 2,
        "hold": 3,
        "deny": 1,
    }
    challenge, hold, deny = side.levels
    assert (challenge.stopped, challenge.precision, challenge.recall) == (6, 0.5, 0.75)
    assert (hold.saved, hold.disturbed, hold.customers) == (80_000, 35_000, 1), (
        "both honest ones are customer 2's"
    )
    assert deny.false_per_fraud == 0
    assert (side.saved, side.lost, side.disturbed) == (80_800, 500, 35_700)
    assert [(day.day, day.alerts, day.customers) for day in side.days][:2] == [
        ("2018-04-01", 2, 2),
        ("2018-04-02", 1, 1),
    ]


def test_a_label_known_at_once_is_a_leak_that_shows(path: Path) -> None:
    """Known after seven days, the frauds of day 1 stop nobody on day 7; known at once they do once they are settled."""
    late, early = tried(path, force(SUSPECT)), tried(path, force(SUSPECT), delay_us=0)
    assert late.candidate.each_rule[0].hits == early.candidate.each_rule[0].hits == 2
    never = tried(path, force(SUSPECT), delay_us=30 * DAY, as_of_us=START + 60 * DAY)
    assert never.candidate.each_rule[0].hits == 0, "features know a fraud only from the day it was known"
    assert never.frauds == 4, "the truth is another matter: it is what is known today"


def test_what_is_too_young_is_not_judged(path: Path) -> None:
    report = tried(path, force(LARGE), as_of_us=START + 9 * DAY)
    assert (report.payments, report.judged, report.frauds) == (7, 4, 3)
    assert "open" in report.remarks
    assert next(each for each in report.candidate.each_rule).hits == 4
    assert report.candidate.days[-1].card_precision is None


def test_what_nobody_could_report_is_not_judged(path: Path) -> None:
    """A replayed file ends; what was paid in its last week looks old and was never judged."""
    path.write_text(path.read_text().replace("False", ""))
    report = tried(path, force(LARGE), as_of_us=START + 900 * DAY, reported_us=START + 9 * DAY)
    assert (report.payments, report.judged, report.frauds) == (7, 5, 4), (
        "the last fraud was reported, so it counts"
    )


def test_a_range_is_judged_with_the_whole_past(path: Path) -> None:
    report = tried(path, force(SUSPECT), begin_us=START + 9 * DAY)
    assert (report.payments, report.candidate.each_rule[0].hits) == (3, 2)
    assert "short_past" in report.remarks


def test_two_candidates_are_compared(path: Path) -> None:
    report = tried(path, force(LARGE, HUGE), force(HUGE))
    (change,) = report.changes
    assert (change.before, change.after, change.frauds, change.honest) == ("allow", "hold", 1, 2)
    assert (change.fraud_amount, change.honest_amount) == (20_000, 35_000)
    assert change.examples == ("2", "3", "6"), "rows of the file"
    assert report.base is not None
    assert (report.base.saved, report.candidate.saved) == (60_000, 80_000)


def test_the_same_whatever_the_stretches(path: Path) -> None:
    rules = force(LARGE, HUGE, SUSPECT)
    assert tried(path, rules, rows=2) == tried(path, rules)


def test_shadow_rules_say_what_they_would_have_done(path: Path) -> None:
    report = tried(path, force(rule("quiet", "amount > 10_000", more="shadow = true"), HUGE))
    quiet, _ = report.candidate.each_rule
    assert (quiet.shadow, quiet.hits, quiet.alone) == (True, 4, 1)
    assert report.candidate.saved == 60_000, "and decide nothing"


class Fixed:
    """A model that says what amounts say."""

    features = ("amount",)
    card = Card(
        "m", "2018-05-01T00:00:00Z", "t", 0, Span("2018-04-01T00:00:00Z", "2018-04-05T00:00:00Z", 1, 1)
    )

    def score(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(values[:, 0] / 60_000, 0, 1)

    def contributions(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values


def test_a_model_that_saw_the_range_is_named(path: Path) -> None:
    rules = force(rule("score", "model_score >= 0.3"), model=Model(4, Fixed()))
    report = tried(path, rules)
    assert "model_saw" in report.remarks
    assert report.candidate.model == 4
    assert report.candidate.scored is not None
    assert [(part.frauds, part.honest) for part in report.candidate.scores if part.low >= 0.3] == [
        (1, 1), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (1, 0),
    ]  # fmt: skip
    assert sum(part.frauds + part.honest + part.open for part in report.candidate.scores) == report.payments
    assert report.candidate.scores[0].recall == 1.0
    later = tried(path, rules, begin_us=START + 9 * DAY)
    assert "model_saw" not in later.remarks


def test_a_report_goes_through_json(path: Path) -> None:
    report = tried(path, force(LARGE, HUGE), force(HUGE))
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
    assert msgspec.convert(msgspec.to_builtins(report), Report) == report


# -- order and days


def test_the_order_is_measured_as_exactly_as_by_sorting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fraud = rng.random(20_000) < 0.02
    scores = np.clip(rng.normal(0.2 + 0.3 * fraud, 0.15), 0, 1)
    scores[::7] = 0.25
    order = Order()
    for part in np.array_split(np.arange(len(scores)), 9):
        order.add(scores[part], fraud[part])
    auc, ap, recall = order.figures()
    assert auc == pytest.approx(metrics.auc(scores, fraud), abs=2e-4)
    assert ap == pytest.approx(metrics.average_precision(scores, fraud), abs=2e-3)
    assert recall == pytest.approx(metrics.recall_at(scores, fraud), abs=5e-3)


def test_an_order_without_frauds_says_nothing() -> None:
    order = Order()
    assert order.figures() == (None, None, None)
    order.add(np.array([0.5, np.nan]), np.array([False, False]))
    assert order.figures() == (None, None, None)
    order.add(np.array([0.7]), np.array([True]))
    assert order.figures() == (1.0, 1.0, 1.0)


def facts(day: int, customers: list[int], frauds: list[bool], known_day: float | None = None) -> Facts:
    n = len(customers)
    known = (day + 7 if known_day is None else known_day) * DAY
    return Facts(
        ids=np.zeros((n, 2), np.int64),
        day=np.full(n, day, np.int64),
        customer=np.array(customers, np.int64),
        amount=np.full(n, 100, np.int64),
        fraud=np.array(frauds),
        judged=np.ones(n, np.bool_),
        known_us=np.full(n, int(known), np.int64),
    )


def test_the_list_of_a_day() -> None:
    calendar = Calendar(2, 0)
    none = np.zeros(4, np.int8)
    rank = np.array([0.9, 0.8, 0.7, 0.6])
    calendar.take(facts(0, [1, 2, 3, 4], [True, False, True, False]), none, rank)
    calendar.take(facts(1, [1, 2, 3, 4], [True, False, True, False]), none, rank)
    calendar.take(facts(8, [5, 2, 3, 1], [False, False, True, True]), none, rank)
    calendar.close()
    # Day 0: 1 and 2 are looked at, 1 is found. Day 1: 2 and 3, for 1 is blocked. Day 8: the fraud of 3 and 1 is known.
    assert [line.card_precision for line in calendar.lines] == [0.5, 0.5, 0.0]
    assert calendar.card_precision() == (1 / 3, 0.5)


def test_alerts_a_day_beside_what_people_can_look_at() -> None:
    calendar = Calendar(1, 0)
    held = np.array([2, 3, 1, 0], np.int8)
    calendar.take(facts(0, [1, 2, 3, 4], [True, False, True, False]), held, held.astype(np.float64))
    calendar.take(facts(1, [1, 1, 3, 4], [True, False, True, False]), held, held.astype(np.float64))
    calendar.close()
    load = calendar.workload()
    assert (load.capacity, load.days, load.mean, load.most, load.over) == (1, 2, 1.5, 2, 1)


def test_features_of_both_sides_are_computed(path: Path) -> None:
    report = tried(path, force(LARGE), force(SUSPECT))
    assert {change.after for change in report.changes} == {"hold", "allow"}
    assert set(Trial(Range(0, 1, 1), force(LARGE), force(SUSPECT)).names) <= set(FEATURES)


# -- on a terminal


def test_the_report_for_people(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = force(rule("score", "model_score >= 0.3"), HUGE, model=Model(4, Fixed()))
    show(tried(path, rules, force(HUGE)))
    said = capsys.readouterr().out
    for words in (
        "7 payments",
        "4 frauds",
        "was trained on payments of this range",
        "only it",
        "in force",
        "2 3",
    ):
        assert words in said, words


def test_a_file_on_the_command_line(path: Path, tmp_path: Path) -> None:
    tried_rules = tmp_path / "rules.toml"
    tried_rules.write_text(force(LARGE, HUGE).rules.source)
    ran = CliRunner().invoke(app, ["backtest", "--file", str(path), "--rules", str(tried_rules), "--json"])
    assert ran.exit_code == 0, ran.output
    report = msgspec.json.decode(ran.stdout.splitlines()[-1], type=Report)
    assert (report.payments, report.judged, report.frauds) == (7, 7, 4)
    assert [each.hits for each in report.candidate.each_rule] == [4, 1]


def test_a_file_without_labels_calls_nobody_honest(path: Path, tmp_path: Path) -> None:
    header, *lines = path.read_text().splitlines()
    names = header.split(",")
    place = names.index("fraud")
    bare, map_ = tmp_path / "bare.csv", tmp_path / "bare.toml"
    rows = [[cell for n, cell in enumerate(each.split(",")) if n != place] for each in [header, *lines]]
    bare.write_text("\n".join(",".join(row) for row in rows))
    columns = {"id": "transaction_id", "time": "occurred_at", "payer": "customer_id", "payee": "terminal_id"}
    told = "\n".join(f'{ours} = "{theirs}"' for ours, theirs in columns.items())
    map_.write_text(f'name = "bare"\ncurrency = "EUR"\n[columns]\n{told}\namount = "amount"\n')
    tried_rules = tmp_path / "rules.toml"
    tried_rules.write_text(force(LARGE, HUGE).rules.source)
    ran = CliRunner().invoke(
        app, ["backtest", "--file", str(bare), "--map", str(map_), "--rules", str(tried_rules), "--json"]
    )
    assert ran.exit_code == 0, ran.output
    report = msgspec.json.decode(ran.stdout.splitlines()[-1], type=Report)
    assert (report.payments, report.judged, report.frauds) == (7, 0, 0)
    assert report.candidate.each_rule[0].precision is None

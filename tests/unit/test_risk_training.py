"""Training: nothing of the future is learnt, payments are parted by time, probabilities are right, the Handbook exactly."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.testing import assert_allclose

from tillkeeper.base import limits
from tillkeeper.risk import FEATURES
from tillkeeper.risk.history import Seen, Stretch, Verdicts
from tillkeeper.risk.models import metrics, open_model, through
from tillkeeper.risk.training import (
    LEARNABLE,
    UNUSUAL,
    Gathering,
    LeakError,
    Recipe,
    Sample,
    TrainingError,
    Wish,
    by_time,
    calibrate,
    grow,
    handbook,
    train,
)
from tillkeeper.risk.types import Batch

DAY = 86_400 * 1_000_000
WEEK = 7 * DAY
SMALL = Recipe(
    rounds=20, learning_rate=0.1, leaves=7, least_in_leaf=20, feature_share=1.0, seeds=1, features=8
)
START = 1_700_000_000_000_000 // DAY * DAY
AMOUNT, RATIO = LEARNABLE.index("amount"), LEARNABLE.index("ratio")


def sample(seed: int, count: int = 6000, days: int = 60, *, drift: float = 0.0) -> Sample:
    """Payments in order of time. What tells fraud moves from one feature to another with `drift` a day."""
    chance = np.random.default_rng(seed)
    at = np.sort(chance.integers(START, START + days * DAY, count))
    values = np.zeros((count, len(LEARNABLE)))
    values[:, [AMOUNT, RATIO]] = chance.normal(size=(count, 2))
    turn = drift * (at - START) / DAY
    tells = np.cos(turn) * values[:, AMOUNT] + np.sin(turn) * values[:, RATIO]
    fraud = chance.random(count) < 1 / (1 + np.exp(4 - 2.5 * tells))
    return Sample(values, fraud, at + WEEK, at, chance.integers(0, 500, count), np.ones(count))


def wish(found: Sample, **other: Any) -> Wish:
    end = int(found.at_us.max()) + WEEK + 1
    return msgspec.structs.replace(Wish("x", "anna", START, end, WEEK), **other)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


# -- leaks


def test_a_verdict_that_was_not_known_by_then_is_a_leak() -> None:
    found = sample(1)
    made = int(found.known_us.max())
    grow(found, LEARNABLE, made, SMALL)
    with pytest.raises(LeakError):
        grow(found, LEARNABLE, made - 1, SMALL)


def test_payments_are_parted_by_time_and_never_at_random(seed: int) -> None:
    found = sample(seed % 2**31)
    slices = by_time(found.at_us, WEEK)
    trained = train(found, wish(found), NOW, SMALL)
    card = trained.card
    assert card.trained.end < card.calibrated.begin <= card.calibrated.end < card.tested.begin  # type: ignore[union-attr]
    # All that was learnt was known when the model could have been made, and nothing that came later is measured with it.
    assert slices.closed_us + WEEK == slices.made_us
    assert datetime.fromisoformat(card.calibrated.end).timestamp() * 1e6 < slices.closed_us  # type: ignore[union-attr]
    assert datetime.fromisoformat(card.tested.begin).timestamp() * 1e6 >= slices.made_us  # type: ignore[union-attr]


def test_a_random_split_would_promise_too_much() -> None:
    """What tells fraud changes with time: the figure on later payments is the one that will come true."""
    found = sample(3, drift=0.05)
    honest = train(found, wish(found), NOW, SMALL).card.figures.ap
    order = np.random.default_rng(1).permutation(len(found.fraud))
    shuffled = found._replace(at_us=found.at_us[order], known_us=found.known_us[order])
    back = np.argsort(shuffled.at_us)
    shuffled = shuffled.where(back)
    promised = train(shuffled, wish(shuffled), NOW, SMALL).card.figures.ap
    assert honest is not None
    assert promised is not None
    assert promised > honest + 0.05


def seen(found: Sample, told_us: np.ndarray) -> Seen:
    """The sample as a stretch of history, in which frauds were told when `told_us` says."""
    n = len(found.fraud)
    ids = np.stack([np.zeros(n, np.int64), np.arange(n)], axis=1)
    none, cards = [None] * n, found.cards.tolist()
    money = np.ones(n, np.int64)
    batch = Batch(
        ids, found.at_us, ["payment"] * n, cards, cards, money, ["EUR"] * n, none, none, np.zeros((n, 2))
    )
    rows = np.flatnonzero(found.fraud)
    verdicts = Verdicts(rows, told_us[rows], np.ones(len(rows), np.bool_))
    return Seen(found.values, Stretch(batch, found.at_us, verdicts))


def test_what_is_told_later_and_what_is_not_judged_yet_is_not_gathered() -> None:
    found = sample(4)
    as_of = START + 40 * DAY
    late = found.at_us + WEEK
    late[::2] = START + 50 * DAY
    gathering = Gathering(START + 5 * DAY, START + 60 * DAY, as_of, WEEK, len(LEARNABLE))
    gathering.take(seen(found, late))
    gathered = gathering.sample()
    assert gathered.at_us.min() >= START + 5 * DAY
    assert gathered.at_us.max() < as_of - WEEK
    assert gathered.known_us.max() <= as_of
    inside = (found.at_us >= START + 5 * DAY) & (found.at_us < as_of - WEEK)
    assert gathered.fraud.sum() == (found.fraud & inside & (late <= as_of)).sum()


def test_too_many_payments_are_thinned_and_weigh_for_those_that_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRAINING_CELLS", 1500 * len(LEARNABLE))
    found = sample(5)
    gathering = Gathering(0, 2**61, 2**61, WEEK, len(LEARNABLE))
    for part in np.array_split(np.arange(len(found.fraud)), 7):
        piece = found.where(part)
        gathering.take(seen(piece, piece.at_us + WEEK))
    thinned = gathering.sample()
    assert len(thinned.fraud) <= 1500
    assert thinned.fraud.sum() == found.fraud.sum()
    assert_allclose(thinned.weight.sum(), len(found.fraud), rtol=0.02)
    assert thinned.fraud.tobytes() == gathering.sample().fraud.tobytes()


def test_what_looks_at_no_label_is_thinned_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRAINING_CELLS", 1500 * len(LEARNABLE))
    found = sample(5)
    kept = []
    for fraud in (found.fraud, ~found.fraud):
        gathering = Gathering(0, 2**61, 2**61, 0, len(LEARNABLE), blind=True)
        gathering.take(seen(found._replace(fraud=fraud), found.at_us + WEEK))
        kept.append(gathering.sample())
    assert len(kept[0].fraud) <= 1500
    assert kept[0].values.tobytes() == kept[1].values.tobytes()
    assert_allclose(kept[0].weight.sum(), len(found.fraud), rtol=0.02)


def test_figures_of_thinned_payments_are_those_of_all() -> None:
    """Genuine payments left out would make any model look better than it is."""
    found = sample(11, 20_000)
    thinned = found.where(found.fraud | (np.cumsum(~found.fraud) % 4 == 0))
    thinned = thinned._replace(weight=np.where(thinned.fraud, 1.0, 4.0))
    whole, few = (train(each, wish(found), NOW, SMALL).card.figures for each in (found, thinned))
    assert few.ap == pytest.approx(whole.ap, abs=0.06)
    assert few.brier == pytest.approx(whole.brier, abs=0.01)
    assert whole.card_precision is not None
    assert few.card_precision is None


# -- what cannot be done is said


def test_too_little_to_learn_from_is_said() -> None:
    found = sample(6)
    none = found._replace(fraud=np.zeros(len(found.fraud), np.bool_))
    with pytest.raises(TrainingError, match=r"0 of \d+ payments are known frauds"):
        train(none, wish(found), NOW, SMALL)
    with pytest.raises(TrainingError, match="no payment is old enough"):
        train(found.where(slice(0, 0)), wish(found), NOW, SMALL)
    with pytest.raises(TrainingError, match="too few for a label delay of 7 days"):
        train(sample(7, days=8), wish(found), NOW, SMALL)
    young = sample(7, days=1)
    young = young._replace(known_us=young.at_us)
    assert train(young, wish(young, delay_us=0), NOW, SMALL).card.trained.frauds > 30


# -- calibration


@pytest.mark.parametrize("count", [2500, 60_000])
def test_calibrated_probabilities_are_right(count: int) -> None:
    chance = np.random.default_rng(count)
    truth = chance.normal(-3, 1.5, count)
    fraud = chance.random(count) < 1 / (1 + np.exp(-truth))
    raw = 2.5 * truth + 4  # far too sure of itself
    half = count // 2
    line = calibrate(raw[:half], fraud[:half], np.ones(half))
    assert (np.diff(line.xs) > 0).all()
    assert (np.diff(line.ys) > 0).all()
    said = 1 / (1 + np.exp(-through(line, raw)))
    assert (np.argsort(said, kind="stable") == np.argsort(raw, kind="stable")).all()
    for mean, seen_share, payments in metrics.reliability(said[half:], fraud[half:], 5):
        assert abs(mean - seen_share) < 4 * np.sqrt(mean / payments) + 0.02
    before = metrics.brier(1 / (1 + np.exp(-raw)), fraud)
    assert metrics.brier(said, fraud) < before  # type: ignore[operator]


def test_without_frauds_to_calibrate_with_nothing_is_changed() -> None:
    raw = np.linspace(-50, 50, 11)
    line = calibrate(raw, np.zeros(11, np.bool_), np.ones(11))
    assert_allclose(through(line, raw), raw)


def test_a_trained_model_opens_says_where_it_comes_from_and_is_right_on_average() -> None:
    found = sample(8, 12_000)
    trained = train(found, wish(found), NOW, SMALL)
    scorer = open_model(trained.blob, FEATURES)
    assert scorer.features == trained.features
    assert {"amount"} <= set(scorer.features) <= {"amount", "ratio"}
    card = trained.card
    assert card.figures.auc is not None
    assert card.figures.auc > 0.75
    assert card.importance[0][0] == "amount"
    assert card.versions.keys() >= {"lightgbm", "tillkeeper"}
    scores = scorer.score(found.values[:, [LEARNABLE.index(name) for name in scorer.features]])
    assert_allclose(scores.mean(), found.fraud.mean(), rtol=0.15)
    assert train(found, wish(found), NOW, SMALL).blob == trained.blob


def test_an_unsupervised_model_needs_no_label() -> None:
    found = sample(9, 2000)
    values = np.abs(np.random.default_rng(2).normal(size=(2000, len(UNUSUAL))))
    values[-10:, :3] = 40
    fraud = np.arange(2000) >= 1990
    asked = found._replace(values=values, fraud=fraud)
    trained = train(asked, wish(found, anomaly=True), NOW)
    scorer = open_model(trained.blob, FEATURES)
    assert scorer.kind == "anomaly"
    assert (scorer.score(values)[-10:] > 0.99).all()
    assert trained.card.figures.auc is not None
    assert trained.card.figures.auc > 0.95
    assert trained.card.figures.brier is None
    early = train(asked, wish(found, anomaly=True, end_us=int(found.at_us.max()) + 1), NOW).card
    assert early.tested is not None
    assert early.tested.payments < trained.card.tested.payments  # type: ignore[union-attr]
    blind = train(asked._replace(fraud=np.zeros(2000, np.bool_)), wish(found, anomaly=True), NOW)
    assert open_model(blind.blob, FEATURES).score(values).tobytes() == scorer.score(values).tobytes()


# -- the Handbook's protocol


def test_cards_are_known_as_the_handbook_has_it() -> None:
    """Those with a fraud in the week learnt from; then, day by day, with one up to 8 days before."""
    day = np.repeat(np.arange(21), 3)
    cards = np.tile([1, 2, 3], 21)
    fraud = np.zeros(63, np.bool_)
    fraud[(day == 3) & (cards == 1)] = True
    fraud[(day == 8) & (cards == 2)] = True
    fraud[(day == 15) & (cards == 3)] = True
    rows = handbook.Rows(np.zeros((63, 1)), fraud, day * DAY, cards)
    kept = handbook.not_known(rows, 0)
    assert not kept[day < 14].any()
    assert not kept[cards == 1].any()
    assert day[kept & (cards == 2)].tolist() == [14, 15]
    assert day[kept & (cards == 3)].tolist() == [14, 15, 16, 17, 18, 19, 20]


def test_folds_that_the_file_does_not_hold_are_refused_with_its_days(tmp_path: Path) -> None:
    lines = [f"{n},2018-06-{1 + n // 4:02} 10:00:00,{n % 3},{n % 5},{n}.50,{n % 2}" for n in range(40)]
    file = tmp_path / "x.csv"
    file.write_text(
        "\n".join(["transaction_id,occurred_at,customer_id,terminal_id,amount,fraud", *lines]), "utf-8"
    )
    with pytest.raises(TrainingError, match="2018-06-01 to 2018-06-10"):
        handbook.evaluate(file, handbook.Plan(date(2018, 6, 2)))


def test_the_plans_days() -> None:
    plan = handbook.Plan(date(2018, 7, 25))
    assert (plan.first_day, plan.end_day) == (date(2018, 7, 4), date(2018, 9, 5))

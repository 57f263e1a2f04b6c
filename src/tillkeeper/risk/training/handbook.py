"""The protocol of the Fraud Detection Handbook, exactly: see docs/operating/training.md and its chapters 3 and 5.

A fold learns from 7 days, waits 7 days for the labels, and is measured on the 7 days after. Cards known as defrauded are
taken out of the measured days: those with a fraud in the 7 days learnt from, and, day by day, those with a fraud on a
later day up to 8 days before. Folds begin a week apart. The second training takes 28 days and ends on the same day.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.engine import load_rules
from tillkeeper.risk.history import HANDBOOK, LABEL_DELAY_US, FileHistory, Walk
from tillkeeper.risk.models import metrics
from tillkeeper.risk.training.forest import RECIPE, grow
from tillkeeper.risk.training.live import LEARNABLE
from tillkeeper.risk.training.types import DAY_US, Progress, Recipe, Sample, Tell, TrainingError, quiet

WEEK: Final = 7
DELAY: Final = 7
LONGER: Final = 28
_EPOCH: Final = date(1970, 1, 1)
READ: Final = tuple(
    name
    for name in LEARNABLE
    if not name.startswith(("device_", "ip_", "network_", "login_", "customer_login", "received_"))
    and "_devices_" not in name
)
"""What can be computed of the file: it holds no devices, addresses and logins, and nobody is paid who pays."""


class Fold(msgspec.Struct, frozen=True):
    """One fold's figures. `train_start`: first of the 7 days; `ceiling`: CP@100 of somebody who knows the truth."""

    train_start: str
    train_days: int
    train_payments: int
    train_frauds: int
    test_payments: int
    test_frauds: int
    auc: float
    ap: float
    card_precision: float
    ceiling: float


class Summary(msgspec.Struct, frozen=True):
    """Mean and standard deviation over the folds, for one length of training."""

    train_days: int
    folds: tuple[Fold, ...]
    auc: tuple[float, float]
    ap: tuple[float, float]
    card_precision: tuple[float, float]
    ceiling: tuple[float, float]


class Report(msgspec.Struct, frozen=True):
    """What was measured: a summary a length of training, and the recipe they share."""

    payments: int
    frauds: int
    summaries: tuple[Summary, ...]
    recipe: Recipe


class Plan(msgspec.Struct, frozen=True):
    """Which folds: the first day of the first training week, how many weeks of folds, how many days each learns from."""

    train_start: date
    folds: int = 4
    train_days: tuple[int, ...] = (WEEK, LONGER)

    @property
    def first_day(self) -> date:
        """The first day any training reads."""
        return self.train_start + timedelta(days=WEEK - max(self.train_days))

    @property
    def end_day(self) -> date:
        """The day after the last measured one."""
        return self.train_start + timedelta(days=WEEK * (self.folds - 1) + WEEK + DELAY + WEEK)


class Rows(NamedTuple):
    """All payments of the plan's days. `values` lies in a file, so memory is bounded by a training, not by the plan."""

    values: NDArray[np.float64]
    fraud: NDArray[np.bool_]
    at_us: NDArray[np.int64]
    cards: NDArray[np.int64]

    def between(self, begin: int, end: int) -> slice:
        """The payments of the days [begin, end), counted from 1970-01-01."""
        first, last = np.searchsorted(self.at_us, [begin * DAY_US, end * DAY_US]).tolist()
        return slice(first, last)

    def sample(self, rows: slice) -> Sample:
        """Those payments, as a training takes them."""
        at = self.at_us[rows]
        values = np.array(self.values[rows])
        return Sample(values, self.fraud[rows], at + LABEL_DELAY_US, at, self.cards[rows], np.ones(len(at)))


def evaluate(path: Path, plan: Plan, recipe: Recipe = RECIPE, tell: Tell = quiet) -> Report:
    """Measure the pipeline on a file of the Handbook's columns. Raises HistoryError and TrainingError."""
    with FileHistory(path, HANDBOOK) as history:
        _check_days(history, plan)
        with _rows(history, plan, tell) as rows:
            summaries = tuple(_summary(rows, plan, days, recipe, tell) for days in plan.train_days)
        return Report(history.payments, history.frauds, summaries, recipe)


def _check_days(history: FileHistory, plan: Plan) -> None:
    first, last = history.first_us // DAY_US, history.last_us // DAY_US
    if _day(plan.first_day) < first or _day(plan.end_day) - 1 > last:
        held = [_EPOCH + timedelta(days=day) for day in (first, last)]
        raise TrainingError(
            f"these folds need the days {plan.first_day} to {plan.end_day - timedelta(days=1)}, "
            f"the file has {held[0]} to {held[1]}",
            "choose another --train-start or fewer --folds, or give a file that reaches further",
        )


@contextmanager
def _rows(history: FileHistory, plan: Plan, tell: Tell) -> Iterator[Rows]:
    """Live through the file from its beginning, and keep the plan's days."""
    begin, end = _day(plan.first_day) * DAY_US, _day(plan.end_day) * DAY_US
    first, last = history.place(begin), history.place(end)
    walk = Walk.of(load_rules(None), ZoneInfo("UTC"), READ)
    with tempfile.TemporaryFile(prefix="till-handbook-") as file:
        values = np.memmap(file, np.float64, "w+", shape=(last - first, len(READ)))
        fraud, at = np.zeros(last - first, np.bool_), np.zeros(last - first, np.int64)
        cards = np.zeros(last - first, np.int64)
        done = 0
        for seen in walk.through(history.stretches(to_us=end)):
            n = len(seen.values)
            kept = slice(max(first - done, 0), n)
            place = slice(done + kept.start - first, done + n - first)
            if kept.start < n:
                values[place] = seen.values[kept]
                fraud[place], at[place] = seen.stretch.truth()[0][kept], seen.stretch.batch.at_us[kept]
                cards[place] = [one & _LOW for one in seen.stretch.batch.customers[kept]]
            done += n
            tell(Progress("features", done, last))
        yield Rows(values, fraud, at, cards)


_LOW: Final = (1 << 63) - 1


def _summary(rows: Rows, plan: Plan, days: int, recipe: Recipe, tell: Tell) -> Summary:
    folds = []
    for n in range(plan.folds):
        tell(Progress(f"folds of {days} days", n, plan.folds))
        folds.append(_fold(rows, plan.train_start + timedelta(days=WEEK * n), days, recipe))
    tell(Progress(f"folds of {days} days", plan.folds, plan.folds))
    return Summary(
        days,
        tuple(folds),
        *(
            _spread([getattr(fold, name) for fold in folds])
            for name in ("auc", "ap", "card_precision", "ceiling")
        ),
    )


def _fold(rows: Rows, start: date, days: int, recipe: Recipe) -> Fold:
    begin = _day(start)
    learnt = rows.sample(rows.between(begin + WEEK - days, begin + WEEK))
    grown = grow(learnt, READ, (begin + WEEK + DELAY) * DAY_US, recipe)
    asked = rows.between(begin + WEEK + DELAY, begin + WEEK + DELAY + WEEK)
    kept = not_known(rows, begin)[asked]
    measured = rows.sample(asked).where(kept)
    columns = [READ.index(name) for name in grown.features]
    scores = grown.raw(measured.with_columns(columns).values)
    on = measured.at_us // DAY_US
    truth = measured.fraud.astype(np.float64)
    return Fold(
        train_start=start.isoformat(),
        train_days=days,
        train_payments=len(learnt.fraud),
        train_frauds=int(learnt.fraud.sum()),
        test_payments=len(measured.fraud),
        test_frauds=int(measured.fraud.sum()),
        auc=metrics.auc(scores, measured.fraud) or 0.0,
        ap=metrics.average_precision(scores, measured.fraud) or 0.0,
        card_precision=metrics.card_precision(scores, measured.fraud, measured.cards, on) or 0.0,
        ceiling=metrics.card_precision(truth, measured.fraud, measured.cards, on) or 0.0,
    )


def not_known(rows: Rows, begin: int) -> NDArray[np.bool_]:
    """Which payments stay in the measured week of the fold whose 7 days begin on day `begin`; of other days none."""
    kept = np.zeros(len(rows.fraud), np.bool_)
    for n in range(WEEK):
        day = begin + WEEK + DELAY + n
        # The 7 days learnt from, and what came after them, as far as it is known on that day.
        told = rows.between(begin, begin + WEEK + n)
        known = np.unique(rows.cards[told][rows.fraud[told]])
        today = rows.between(day, day + 1)
        kept[today] = ~np.isin(rows.cards[today], known)
    return kept


def _day(day: date) -> int:
    return (day - _EPOCH).days


def _spread(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values))

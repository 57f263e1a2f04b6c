"""Champion against challengers on payments that all of them scored live and that are old enough to be judged."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np

from tillkeeper.base.clock import to_us
from tillkeeper.risk.models import metrics, rows
from tillkeeper.risk.models.card import Figures
from tillkeeper.store import Tx

_DAY_US = 86_400_000_000


class Standing(msgspec.Struct, frozen=True):
    """How one model did. `stopped`: payments it would not have allowed, `caught` of them frauds."""

    model: int
    figures: Figures
    stopped: int
    caught: int


class Comparison(msgspec.Struct, frozen=True):
    """Models on the same payments; `payments` of them, `frauds` known by now."""

    payments: int
    frauds: int
    standings: tuple[Standing, ...]


async def compare(
    tx: Tx, models: Sequence[int], since: datetime, now: datetime, label_delay: timedelta
) -> Comparison:
    """Compare models on what they said live since then. Payments younger than the label delay are not judged yet."""
    found = await rows.compared(tx, models, since, now - label_delay, now)
    payments = len(found) // max(len(models), 1)
    by_model = [found[n * payments : (n + 1) * payments] for n in range(len(models) if payments else 0)]
    standings = tuple(_standing(said) for said in by_model)
    return Comparison(payments, sum(row[7] for row in by_model[0]) if by_model else 0, standings)


def _standing(said: Sequence[tuple[object, ...]]) -> Standing:
    """Of the rows of one model: (payment, at, customer, amount, model, score, outcome, fraud)."""
    columns = list(zip(*said, strict=True))
    scores, fraud = np.array(columns[5], np.float64), np.array(columns[7], np.bool_)
    stopped = np.array([outcome != "allow" for outcome in columns[6]], np.bool_)
    numbers: dict[object, int] = {}
    cards = np.array([numbers.setdefault(each, len(numbers)) for each in columns[2]], np.int64)
    days = np.array([to_us(at) // _DAY_US for at in columns[1] if isinstance(at, datetime)], np.int64)
    figures = Figures(
        metrics.auc(scores, fraud),
        metrics.average_precision(scores, fraud),
        metrics.card_precision(scores, fraud, cards, days),
        metrics.recall_at(scores, fraud),
        metrics.brier(scores, fraud),
    )
    return Standing(int(str(columns[4][0])), figures, int(stopped.sum()), int((stopped & fraud).sum()))

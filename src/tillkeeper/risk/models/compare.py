"""Champion against challengers on payments that all of them scored live and that are old enough to be judged."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np

from tillkeeper.risk.models import metrics, rows
from tillkeeper.risk.models.card import Figures
from tillkeeper.store import Tx

_DAY_US: Final = 86_400_000_000
_CUSTOMER: Final = np.dtype("V16")


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
    if len(found) < len(models):
        return Comparison(0, 0, ())
    return await asyncio.to_thread(_compared, found)


def _compared(found: Sequence[tuple[Any, ...]]) -> Comparison:
    fraud = np.frombuffer(found[0][5], np.bool_) if found else np.empty(0, np.bool_)
    return Comparison(len(fraud), int(fraud.sum()), tuple(_standing(*each) for each in found))


def _standing(
    model: int, customers: bytes, times: bytes, scored: bytes, outcomes: bytes, truth: bytes
) -> Standing:
    """Of one model's columns, as PostgreSQL sends them."""
    scores = np.frombuffer(scored, ">f8").astype(np.float64)
    fraud, stopped = np.frombuffer(truth, np.bool_), np.frombuffer(outcomes, np.bool_)
    _, cards = np.unique(np.frombuffer(customers, _CUSTOMER), return_inverse=True)
    # Counted from 2000, which is a midnight too.
    days = np.frombuffer(times, ">i8").astype(np.int64) // _DAY_US
    figures = Figures(
        metrics.auc(scores, fraud),
        metrics.average_precision(scores, fraud),
        metrics.card_precision(scores, fraud, cards, days),
        metrics.recall_at(scores, fraud),
        metrics.brier(scores, fraud),
    )
    return Standing(model, figures, int(stopped.sum()), int((stopped & fraud).sum()))

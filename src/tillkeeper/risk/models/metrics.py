"""How well scores order payments, and whether a probability is one. Exact, with ties as scikit-learn has them.

`weight`: how many payments each one stands for, as scikit-learn's sample weights; unset: one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]
Weights = NDArray[np.float64] | None

CARDS: Final = 100
FALSE_ALARMS: Final = 0.01


def auc(scores: Scores, fraud: Truth, weight: Weights = None) -> float | None:
    """The chance that a fraud is scored above a genuine payment; None without both."""
    hits, alarms = _curve(scores, fraud, weight)
    if not hits[-1] or not alarms[-1]:
        return None
    area = np.trapezoid(np.append(0, hits), np.append(0, alarms))
    return float(area / hits[-1] / alarms[-1])


def average_precision(scores: Scores, fraud: Truth, weight: Weights = None) -> float | None:
    """The mean of precision over the frauds found, each at its threshold; None without frauds."""
    hits, alarms = _curve(scores, fraud, weight)
    if not hits[-1]:
        return None
    return float((np.diff(np.append(0, hits)) * hits / (hits + alarms)).sum() / hits[-1])


def recall_at(
    scores: Scores, fraud: Truth, share: float = FALSE_ALARMS, weight: Weights = None
) -> float | None:
    """The share of frauds found by the lowest threshold with at most this share of false alarms; None without both."""
    hits, alarms = _curve(scores, fraud, weight)
    if not hits[-1] or not alarms[-1]:
        return None
    allowed = hits[alarms <= share * alarms[-1]]
    return float(allowed[-1] / hits[-1]) if allowed.size else 0.0


def card_precision(
    scores: Scores, fraud: Truth, customers: NDArray[np.int64], days: NDArray[np.int64], count: int = CARDS
) -> float | None:
    """Card Precision@count: each day the customers with the highest scores are looked at; the share of them that were
    defrauded that day, in the mean over the days. Who was found is not looked at again. None without payments.
    """
    found: set[int] = set()
    shares = []
    for day in np.unique(days):
        today = days == day
        cards, tops, victims = _by_card(scores[today], fraud[today], customers[today])
        left = np.array([card not in found for card in cards.tolist()], np.bool_)
        cards, tops, victims = cards[left], tops[left], victims[left]
        hit = np.argsort(-tops, kind="stable")[:count]
        hit = hit[victims[hit]]
        shares.append(len(hit) / count)
        found.update(cards[hit].tolist())
    return float(np.mean(shares)) if shares else None


def brier(probabilities: Scores, fraud: Truth, weight: Weights = None) -> float | None:
    """The mean squared error of the probability; None without payments."""
    return float(np.average((probabilities - fraud) ** 2, weights=weight)) if len(fraud) else None


def reliability(
    probabilities: Scores, fraud: Truth, parts: int = 10, weight: Weights = None
) -> tuple[tuple[float, float, int], ...]:
    """(mean probability, share of fraud, payments) of parts with about equally many expected frauds, the safest first.

    Parts of equal size would put nearly all frauds in the last one.
    """
    order = np.argsort(probabilities, kind="stable")
    weight = np.ones(len(order)) if weight is None else weight
    expected = np.cumsum((probabilities * weight)[order])
    if not len(order) or expected[-1] <= 0:
        return ()
    edges = np.searchsorted(expected, expected[-1] * np.arange(1, parts) / parts) + 1
    return tuple(
        (
            float(np.average(probabilities[part], weights=weight[part])),
            float(np.average(fraud[part], weights=weight[part])),
            round(float(weight[part].sum())),
        )
        for part in np.split(order, np.minimum(edges, len(order)))
        if len(part)
    )


def _curve(scores: Scores, fraud: Truth, weight: Weights) -> tuple[Scores, Scores]:
    """Frauds and genuine payments at or above each distinct score, the highest first; one entry of 0 without payments."""
    if not len(scores):
        return np.zeros(1), np.zeros(1)
    order = np.argsort(-scores, kind="stable")
    scores, fraud = scores[order], fraud[order]
    counted = np.ones(len(order)) if weight is None else weight[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    return np.cumsum(counted * fraud)[ends], np.cumsum(counted * ~fraud)[ends]


def _by_card(
    scores: Scores, fraud: Truth, customers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Scores, Truth]:
    cards, at = np.unique(customers, return_inverse=True)
    tops = np.full(len(cards), -np.inf)
    np.maximum.at(tops, at, scores)
    victims = np.zeros(len(cards), np.bool_)
    np.logical_or.at(victims, at, fraud)
    return cards, tops, victims

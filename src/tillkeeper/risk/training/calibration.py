"""From raw scores to probabilities that are right: a strictly rising line through log-odds, so no order is lost."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.models import Line

ENOUGH_FOR_STEPS: Final = 300
"""Frauds from which on the line may bend (isotonic regression); with fewer it is straight (Platt)."""

FAR: Final = 40.0  # log-odds that no forest reaches
_NEWTON_STEPS: Final = 100
_STILL: Final = 1e-10
_APART: Final = 1e-6


def calibrate(raw: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> Line:
    """The line for these payments, which no model has learnt from. Without both kinds of them it changes nothing."""
    if not fraud.any() or fraud.all():
        return Line((-FAR, FAR), (-FAR, FAR))
    if fraud.sum() < ENOUGH_FOR_STEPS:
        return _straight(raw, fraud, weight)
    return _bent(raw, fraud, weight)


def _straight(raw: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> Line:
    """Platt 1999 with his smoothed targets, by Newton's method."""
    frauds, genuine = float(weight[fraud].sum()), float(weight[~fraud].sum())
    target = np.where(fraud, (frauds + 1) / (frauds + 2), 1 / (genuine + 2))
    x = np.stack([raw, np.ones(len(raw))], axis=1)
    ab = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ ab, -FAR, FAR)))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (weight * (p - target)))
        ab = ab - np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < _STILL:
            break
    slope = max(
        float(ab[0]), 0.05
    )  # a model that orders wrongly is still ordered, and its card says how bad it is
    return Line((-FAR, FAR), (-FAR * slope + float(ab[1]), FAR * slope + float(ab[1])))


def _bent(raw: NDArray[np.float64], fraud: NDArray[np.bool_], weight: NDArray[np.float64]) -> Line:
    """Isotonic regression; the line goes through the middles of its steps, which are smoothed by half a payment."""
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(raw, kind="stable")
    raw, fraud, weight = raw[order], fraud[order], weight[order]
    steps = IsotonicRegression().fit(raw, fraud, sample_weight=weight).predict(raw)
    points: list[tuple[float, float]] = []
    for rows in np.split(np.arange(len(raw)), np.flatnonzero(np.diff(steps)) + 1):
        frauds, genuine = float(weight[rows][fraud[rows]].sum()), float(weight[rows][~fraud[rows]].sum())
        middle = float(np.average(raw[rows], weights=weight[rows]))
        odds = math.log((frauds + 0.5) / (genuine + 0.5))
        if not points or (middle > points[-1][0] + _APART and odds > points[-1][1] + _APART):
            points.append((middle, odds))
    return Line(tuple(x for x, _ in points), tuple(y for _, y in points))

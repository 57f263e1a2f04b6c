"""How unusual a payment is, for the days before there are labels.

In the manner of ECOD (Li et al. 2022): for each feature the share of payments that lie as far out, on the side of the
median it lies on; the surprise is -ln of it. The sum over the most surprising features is ranked among all payments, so
the score is a share: 0.999 is more unusual than 999 of 1,000. Quantiles hold against outliers: frauds among the payments
it was made from move them little. A value that is missing, or what half of all payments have, surprises nobody.

This file imports nothing of ours but the artifact's form: see trees.py.
"""

from typing import Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.models.artifact import BadModelError, Tails

COUNTED: Final = 5
"""So many of the most surprising features count: an attack is unusual in few ways, and chance adds up over many."""

LEVELS: Final = (
    *(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
    *(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    *(0.97, 0.99, 0.997, 0.999, 0.9997, 0.9999),
)
"""The shares of payments at which quantiles are kept; beyond them the last surprise is all there is."""


class Tables(NamedTuple):
    """Tails as arrays: quantiles a row a feature, ranks, levels."""

    levels: NDArray[np.float64]
    knots: NDArray[np.float64]
    ranks: NDArray[np.float64]


def prepared(tails: Tails) -> Tables:
    """The tables, checked. Raises BadModelError."""
    levels, ranks = np.array(tails.levels), np.array(tails.ranks)
    if not len(levels) or len(ranks) != len(levels) or any(len(one) != len(levels) for one in tails.knots):
        raise BadModelError("the model's tables have different lengths; train it again")
    knots = np.array(tails.knots).reshape(-1, len(levels))
    sound = (
        all(np.isfinite(each).all() for each in (levels, knots, ranks)) and levels[0] > 0 and levels[-1] < 1
    )
    if not sound or (np.diff(levels) <= 0).any() or (np.diff(knots) < 0).any() or (np.diff(ranks) < 0).any():
        raise BadModelError("the model's tables do not rise; train it again")
    return Tables(levels, knots, ranks)


def fit(values: NDArray[np.float64]) -> Tails:
    """The tables of these payments: a row a payment, a column a feature; NaN where not known."""
    levels = np.array(LEVELS)
    knots = np.zeros((values.shape[1], len(levels)))
    for n, column in enumerate(values.T):
        known = column[np.isfinite(column)]
        if known.size:
            knots[n] = np.quantile(known, levels, method="inverted_cdf")
    sums = _sums(Tables(levels, knots, np.zeros(len(levels))), values)
    ranks = np.quantile(sums, levels, method="inverted_cdf")
    return Tails(tuple(levels.tolist()), tuple(tuple(row) for row in knots.tolist()), tuple(ranks.tolist()))


def surprises(tables: Tables, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """-ln of the share of payments as far out, per row and feature; 0 for what is not known."""
    return _surprises(tables.levels, tables.knots, values)


def ranks(tables: Tables, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of payments less unusual, for each row: 0..1, always below 1."""
    sums = _sums(tables, values)
    highest = tables.ranks[-1]
    inside: NDArray[np.float64] = np.interp(sums, *_rising(tables))
    # Beyond the last level the order goes on: half the way to 1 for every doubling of what is left.
    beyond = np.maximum(sums - highest, 0.0)
    left = 1.0 - tables.levels[-1]
    return np.where(beyond > 0, 1.0 - left * np.exp(-beyond), inside)


def _rising(tables: Tables) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums and their levels, of equal sums the highest level, begun at 0."""
    kept = np.append(np.diff(tables.ranks) > 0, True)
    return np.append(0.0, tables.ranks[kept] + 1e-12), np.append(0.0, tables.levels[kept])


def _sums(tables: Tables, values: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = surprises(tables, values)
    most = min(COUNTED, parts.shape[1])
    highest: NDArray[np.float64] = np.partition(parts, parts.shape[1] - most, axis=1)[:, -most:]
    summed: NDArray[np.float64] = highest.sum(axis=1)
    return summed


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _surprises(
    levels: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    n, width = values.shape
    out = np.zeros((n, width))
    middle = len(levels) // 2
    for f in range(width):
        row = knots[f]
        for i in range(n):
            value = values[i, f]
            # Strictly outside a quantile: what equals it is as common as all that equals it.
            if value > row[middle]:
                at = np.searchsorted(row, value, side="left")  # quantiles below the value
                if at > 0:
                    out[i, f] = -np.log(1.0 - levels[at - 1])
            elif value < row[middle]:
                at = np.searchsorted(row, value, side="right")
                if at < len(row):
                    out[i, f] = -np.log(levels[at])
    return out

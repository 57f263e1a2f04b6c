"""Frozen values of training."""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

DAY_US: Final = 86_400 * 1_000_000


class TrainingError(Exception):
    """A model that cannot be made or measured. `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class LeakError(Exception):
    """Something of the future was about to be learnt: a fault of ours, never of the data."""


class Sample(NamedTuple):
    """Payments with what is known of them, in order of arrival; row n of each belongs to payment n.

    `known_us`: since when the verdict is known: of a fraud when it was told, of a genuine payment when the label delay was
    over. `weight`: how many payments it stands for. `cards`: a number for each customer.
    """

    values: NDArray[np.float64]
    fraud: NDArray[np.bool_]
    known_us: NDArray[np.int64]
    at_us: NDArray[np.int64]
    cards: NDArray[np.int64]
    weight: NDArray[np.float64]

    def where(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> "Sample":
        """Some of the payments."""
        return Sample(
            self.values[rows], self.fraud[rows], self.known_us[rows],
            self.at_us[rows], self.cards[rows], self.weight[rows],
        )  # fmt: skip

    def with_columns(self, columns: list[int]) -> "Sample":
        """Some of the features."""
        return self._replace(values=self.values[:, columns])


class Recipe(msgspec.Struct, frozen=True):
    """How a forest is grown. `seeds`: forests whose mean is taken. `features`: the most that are kept."""

    rounds: int
    learning_rate: float
    leaves: int
    least_in_leaf: int
    feature_share: float
    seeds: int
    features: int


class Progress(msgspec.Struct, frozen=True):
    """How far a long work is: `done` of `total` of what `stage` names."""

    stage: str
    done: int
    total: int


Tell = Callable[[Progress], None]


def quiet(_: Progress) -> None:
    """Tell nobody."""

"""A model opened for scoring: one call for the matrix of a turn."""

from collections.abc import Container
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tillkeeper.base import limits
from tillkeeper.risk.models import trees, unsupervised
from tillkeeper.risk.models.artifact import Artifact, BadModelError, Forest, Line, Tails, fingerprint, unpack
from tillkeeper.risk.models.card import Card
from tillkeeper.risk.models.own import Own

Matrix = NDArray[np.float64]


class Scorer(Protocol):
    """A model that scores. Pure: the same values give the same bits, today and in years."""

    @property
    def kind(self) -> str:
        """`fraud` or `anomaly`."""
        ...

    @property
    def sha256(self) -> str:
        """The model's identity, 64 hexadecimal digits."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """The columns it reads, in this order."""
        ...

    @property
    def card(self) -> Card:
        """Where it comes from."""
        ...

    @property
    def own(self) -> tuple[Own, ...]:
        """Those of its features that an installation declared itself."""
        ...

    def score(self, values: Matrix) -> NDArray[np.float64]:
        """0..1 for each row of `values`, which has a column a feature in the order of `features`; NaN is not known.

        Of a fraud model the probability of fraud; of an anomaly model the share of payments that are less unusual.
        """
        ...

    def contributions(self, values: Matrix) -> Matrix:
        """What each feature adds to each row's score, in log-odds or in surprise; the last column is the beginning."""
        ...


class ForestScorer:
    """Boosted trees with calibration."""

    kind = "fraud"

    def __init__(self, artifact: Artifact, body: Forest, sha256: str) -> None:
        self.sha256, self.features, self.card = sha256, artifact.features, artifact.card
        self.own = artifact.own
        try:
            self._trees = trees.read_trees(body.boosters, len(artifact.features))
        except trees.TreeError as error:
            raise BadModelError(f"the model cannot be read: {error}; train it again") from None
        self._line = _checked(body.calibration)

    def raw(self, values: Matrix) -> NDArray[np.float64]:
        """Log-odds before calibration."""
        return trees.raw_scores(self._trees, np.ascontiguousarray(values, np.float64))

    def score(self, values: Matrix) -> NDArray[np.float64]:
        """As Scorer says."""
        return 1.0 / (1.0 + np.exp(-through(self._line, self.raw(values))))

    def contributions(self, values: Matrix) -> Matrix:
        """As Scorer says; before calibration, which changes no order."""
        return trees.contributions(self._trees, np.ascontiguousarray(values, np.float64))


class TailScorer:
    """How unusual a payment is among all."""

    kind = "anomaly"

    def __init__(self, artifact: Artifact, body: Tails, sha256: str) -> None:
        self.sha256, self.features, self.card = sha256, artifact.features, artifact.card
        self.own = artifact.own
        self._tails = unsupervised.prepared(body)
        if len(body.knots) != len(artifact.features):
            raise BadModelError("the model has not one table a feature; train it again")

    def score(self, values: Matrix) -> NDArray[np.float64]:
        """As Scorer says."""
        return unsupervised.ranks(self._tails, np.ascontiguousarray(values, np.float64))

    def contributions(self, values: Matrix) -> Matrix:
        """As Scorer says."""
        parts = unsupervised.surprises(self._tails, np.ascontiguousarray(values, np.float64))
        return np.concatenate([parts, np.zeros((len(parts), 1))], axis=1)


def open_model(blob: bytes, known: Container[str]) -> Scorer:
    """A blob ready to score. `known`: the features there are, see `unpack`. Raises BadModelError."""
    artifact = unpack(blob, known)
    if not 0 < len(artifact.features) <= limits.MODEL_FEATURES:
        raise BadModelError(
            f"the model reads {len(artifact.features)} features; 1 to {limits.MODEL_FEATURES} are allowed"
        )
    digest = fingerprint(blob)
    if isinstance(artifact.body, Forest):
        return ForestScorer(artifact, artifact.body, digest)
    return TailScorer(artifact, artifact.body, digest)


def through(line: Line, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raw scores through the broken line; outside of it with slope 1, so no order is lost."""
    xs, ys = np.array(line.xs), np.array(line.ys)
    inside: NDArray[np.float64] = np.interp(raw, xs, ys)
    outside: NDArray[np.float64] = np.minimum(raw - xs[0], 0.0) + np.maximum(raw - xs[-1], 0.0)
    return inside + outside


def _checked(line: Line) -> Line:
    rises = len(line.xs) == len(line.ys) > 0 and all(
        (np.diff(np.array(side)) > 0).all() and np.isfinite(side).all() for side in (line.xs, line.ys)
    )
    if not rises:
        raise BadModelError("the model's calibration does not rise; train it again")
    return line


def warm_up() -> None:
    """Have the loops compiled (once a machine, seconds), or loaded from the cache, before a payment waits for them."""
    first, no = np.zeros(1, np.uint32), np.zeros(1, np.bool_)
    pair = np.zeros((1, 2), np.uint32)
    depth = np.zeros(1, np.int32)
    leaf = trees.Trees(first, depth, first, np.zeros(1), no, pair, np.ones((1, 2)), np.zeros(1), 0.0, 1.0)
    trees.raw_scores(leaf, np.zeros((1, 1)))
    unsupervised.surprises(unsupervised.prepared(Tails((0.5,), ((0.0,),), (0.0,))), np.zeros((1, 1)))

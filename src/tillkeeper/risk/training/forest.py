"""Growing a forest with LightGBM: from payments whose verdict was known by then, the same way for a model that goes live
and for the published protocol.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.training.types import LeakError, Recipe, Sample, Tell, TrainingError, quiet
from tillkeeper.risk.training.types import Progress as Step

if TYPE_CHECKING:
    import lightgbm

RECIPE: Final = Recipe(
    rounds=200, learning_rate=0.03, leaves=15, least_in_leaf=30, feature_share=0.5, seeds=3, features=64
)
"""Chosen on the Handbook's selection folds (June and July 2018), see docs/operating/training.md."""

FEWEST_FRAUDS: Final = 30
_THREADS: Final = 2
_WORTH_SHARING: Final = 30_000  # payments; of fewer the threads wait for each other
_NEGLIGIBLE: Final = 0.0005  # of the whole gain: what tells less is noise


class Grown:
    """A forest. `features`: the columns it reads; `texts`: its boosters in LightGBM's form; `gain`: share by feature."""

    def __init__(self, features: tuple[str, ...], boosters: "Sequence[lightgbm.Booster]") -> None:
        self.features = features
        self.texts = tuple(each.model_to_string() for each in boosters)
        self._boosters = boosters

    @property
    def gain(self) -> NDArray[np.float64]:
        """What each feature told, as shares of the whole."""
        told: NDArray[np.float64] = sum_of([each.feature_importance("gain") for each in self._boosters])
        return told / max(float(told.sum()), 1e-300)

    def raw(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds before calibration."""
        said = [
            each.predict(values, raw_score=True, num_threads=_threads(len(values))) for each in self._boosters
        ]
        return sum_of(said) / len(said)


def sum_of(parts: Sequence[Any]) -> NDArray[np.float64]:
    """The sum of arrays of one shape."""
    summed: NDArray[np.float64] = np.sum(np.array(parts, np.float64), axis=0)
    return summed


def grow(
    sample: Sample, names: Sequence[str], as_of_us: int, recipe: Recipe = RECIPE, tell: Tell = quiet
) -> Grown:
    """Grow a forest that could have been grown at `as_of_us`, microseconds since 1970 UTC.

    What tells nothing is left out by a first, small forest. Raises LeakError when a verdict was not known by then, and
    TrainingError when there are too few frauds to learn from.
    """
    check_known(sample, as_of_us)
    frauds = int(sample.fraud.sum())
    if frauds < FEWEST_FRAUDS or frauds == len(sample.fraud):
        raise TrainingError(
            f"{frauds} of {len(sample.fraud)} payments are known frauds, at least {FEWEST_FRAUDS} are needed",
            "wait for more labels, take a longer time, or begin with --anomaly, which needs none",
        )
    kept = _telling(sample, recipe)
    chosen, data = sample.with_columns(kept), []
    for seed in range(recipe.seeds):
        tell(Step("growing", seed, recipe.seeds))
        data.append(_booster(chosen, recipe, seed + 1, recipe.rounds))
    return Grown(tuple(names[n] for n in kept), data)


def check_known(sample: Sample, as_of_us: int) -> None:
    """Raise LeakError unless every payment happened, and every verdict was known, by then."""
    if len(sample.known_us) and max(int(sample.known_us.max()), int(sample.at_us.max())) > as_of_us:
        raise LeakError("a verdict is younger than the moment the model is made at")


def _threads(payments: int) -> int:
    return _THREADS if payments > _WORTH_SHARING else 1


def _telling(sample: Sample, recipe: Recipe) -> list[int]:
    """The columns that tell something, in their order."""
    first = Grown((), [_booster(sample, recipe, 0, max(recipe.rounds // 2, 1))]).gain
    best = np.argsort(-first, kind="stable")[: recipe.features]
    kept = sorted(best[first[best] > _NEGLIGIBLE].tolist())
    if not kept:
        raise TrainingError(
            "no feature tells frauds from other payments", "look at the labels: are they right?"
        )
    return kept


def _booster(sample: Sample, recipe: Recipe, seed: int, rounds: int) -> "lightgbm.Booster":
    import lightgbm

    settings = {
        "objective": "binary",
        "learning_rate": recipe.learning_rate,
        "num_leaves": recipe.leaves,
        "min_data_in_leaf": recipe.least_in_leaf,
        "feature_fraction": recipe.feature_share,
        "seed": seed,
        "num_threads": _threads(len(sample.fraud)),
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(sample.values, sample.fraud.astype(np.int8), weight=sample.weight)
    return lightgbm.train(settings, data, rounds)

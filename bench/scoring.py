"""`python -m bench.scoring`: what a model adds to a turn, ours beside LightGBM's own prediction. One core.

CPU time, so the figures hold on a busy machine too. The model has the size that `till risk train` makes: three forests of
200 trees with 15 leaves over 40 features.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import lightgbm
import numpy as np

from bench import figures
from tillkeeper.risk import FEATURES
from tillkeeper.risk.models import Artifact, Card, Forest, Line, Span, fit_tails, open_model, pack
from tillkeeper.risk.training import LEARNABLE, RECIPE, UNUSUAL

TURN: Final = 64
WHOLE: Final = 8192
TURNS: Final = 400
READ: Final = 40
ROWS: Final = 10_000
CARD: Final = Card("bench", "2026-01-01T00:00:00Z", "bench", 0, Span("", "", 0, 0))


def main() -> None:
    """Measure, print and keep."""
    chance = np.random.default_rng(1)
    values = chance.lognormal(size=(ROWS, READ))
    values[chance.random(values.shape) < 0.1] = np.nan
    known = np.nan_to_num(values)
    fraud = known[:, 0] * known[:, 1] + known[:, 2] + chance.normal(size=len(values)) > 6
    forests = [_forest(values, fraud, seed) for seed in range(RECIPE.seeds)]
    body = Forest(tuple(each.model_to_string() for each in forests), Line((-40.0, 40.0), (-40.0, 40.0)))
    scorer = open_model(pack(Artifact(LEARNABLE[:READ], body, CARD)), FEATURES)
    unusual = chance.lognormal(size=(ROWS, len(UNUSUAL)))
    anomaly = open_model(pack(Artifact(UNUSUAL, fit_tails(unusual), CARD)), FEATURES)
    found = {
        "trees": sum(each.num_trees() for each in forests),
        "ours": _measured(scorer.score, values),
        "lightgbm": _measured(lambda rows: [each.predict(rows, num_threads=1) for each in forests], values),
        "anomaly": _measured(anomaly.score, unusual),
        "contributions": _measured(scorer.contributions, values, turns=20, whole=256),
    }
    for name, said in found.items():
        print(f"{name:14} {said}")
    figures.keep("scoring", found)


def _forest(values: np.ndarray, fraud: np.ndarray, seed: int) -> lightgbm.Booster:
    told = {
        "objective": "binary",
        "num_leaves": RECIPE.leaves,
        "num_threads": 1,
        "verbosity": -1,
        "seed": seed,
    }
    told |= {"learning_rate": RECIPE.learning_rate, "feature_fraction": RECIPE.feature_share}
    return lightgbm.train(told, lightgbm.Dataset(values, fraud.astype(np.int8)), RECIPE.rounds)


def _measured(
    score: Callable[[np.ndarray], Any], values: np.ndarray, turns: int = TURNS, whole: int = WHOLE
) -> dict[str, float]:
    """CPU milliseconds of a turn of 64 (median and 99 of 100), and payments a second when they come in thousands."""
    score(values[:TURN])
    taken = []
    for n in range(turns):
        rows = np.ascontiguousarray(values[(n * TURN) % (ROWS - TURN) :][:TURN])
        begin = time.process_time_ns()
        score(rows)
        taken.append((time.process_time_ns() - begin) / 1e6)
    begin = time.process_time_ns()
    score(values[:whole])
    rate = whole / ((time.process_time_ns() - begin) / 1e9)
    return {
        "turn_ms_p50": round(float(np.median(taken)), 3),
        "turn_ms_p99": round(float(np.quantile(taken, 0.99)), 3),
        "payments_per_second": round(rate),
    }


if __name__ == "__main__":
    main()

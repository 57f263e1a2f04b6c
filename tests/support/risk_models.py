"""Small models to score with."""

import lightgbm
import numpy as np

from tillkeeper.risk.models import Artifact, Card, Forest, Line, Span, pack

FEATURES = ("amount", "ratio", "payee_frauds_7d", "hour", "night")
CARD = Card("a test", "2026-01-01T00:00:00Z", "anna", 7 * 86_400, Span("2025-01-01", "2025-02-01", 4000, 400))


def payments(seed: int, count: int = 4000, blanks: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Values with some that are not known, and whether it was fraud; the third column is never missing."""
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(count, len(FEATURES)))
    fraud = values[:, 0] + values[:, 1] * values[:, 2] + chance.normal(size=count) > 2
    missing = chance.random(values.shape) < blanks
    missing[:, 2] = False
    values[missing] = np.nan
    return values, fraud


def booster(
    seed: int, values: np.ndarray, fraud: np.ndarray, rounds: int = 30, **settings: object
) -> lightgbm.Booster:
    told = {
        "objective": "binary",
        "num_leaves": 15,
        "num_threads": 1,
        "verbosity": -1,
        "seed": seed,
        **settings,
    }
    return lightgbm.train(told, lightgbm.Dataset(values, fraud.astype(np.int8)), rounds)


def artifact(texts: tuple[str, ...], features: tuple[str, ...] = FEATURES) -> Artifact:
    return Artifact(features, Forest(texts, Line((-30.0, 30.0), (-30.0, 30.0))), CARD)


def small_model(seed: int = 1, features: tuple[str, ...] = FEATURES) -> bytes:
    """The blob of a small fraud model."""
    values, fraud = payments(seed, 1000)
    return pack(artifact((booster(seed, values, fraud, 5).model_to_string(),), features))

"""A model from an installation's own history: gathered, parted by time, grown, calibrated, measured, packed with its card."""

import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tillkeeper.base.clock import from_us
from tillkeeper.risk.features import FEATURES, Catalogue, Unit
from tillkeeper.risk.models import (
    Artifact,
    Card,
    Figures,
    Forest,
    Own,
    Span,
    TailScorer,
    fingerprint,
    fit_tails,
    metrics,
    open_model,
    own_among,
    pack,
    through,
)
from tillkeeper.risk.training.calibration import calibrate
from tillkeeper.risk.training.forest import RECIPE, grow
from tillkeeper.risk.training.gather import Gathering
from tillkeeper.risk.training.split import by_time
from tillkeeper.risk.training.types import DAY_US, Recipe, Sample, Tell, TrainingError, quiet

FILLED_BY_ENGINE: Final = (
    "customer_watched",
    "payee_watched",
    "device_watched",
    "ip_watched",
    "anomaly_score",
    "model_score",
)
"""Features that models do not read: what people watch would be learnt as guilt, and scores as their own proof."""

LEARNABLE: Final = tuple(name for name in FEATURES if name not in FILLED_BY_ENGINE)

UNUSUAL: Final = tuple(
    name
    for name in (
        "amount", "ratio", "z_score", "speed_kmh", "distance_km",
        "customer_count_1m", "customer_count_1h", "customer_count_24h", "customer_sum_1h", "customer_sum_24h",
        "customer_payees_1h", "customer_payees_24h", "customer_devices_24h",
        "device_count_1h", "device_customers_1h", "device_customers_24h", "device_payees_1h",
        "ip_count_1h", "ip_customers_1h", "ip_customers_24h", "ip_devices_1h",
        "payee_count_1h", "payee_sum_1h", "payee_max_24h", "payee_customers_1h",
        "received_count_1h", "received_sum_1h", "received_customers_24h",
        "customer_logins_failed_1h", "ip_logins_failed_1h", "device_login_customers_24h",
    )
    if name in FEATURES and FEATURES[name].unit is not Unit.FLAG
)  # fmt: skip
"""What is looked at without labels: speed, amounts and crowds, where unusual is suspicious."""

FEWEST: Final = 500


class Wish(msgspec.Struct, frozen=True):
    """What to make. Moments in microseconds since 1970 UTC: payments within [begin_us, end_us), as known at `end_us`.

    `own`: features that the installation declared itself, to be learnt besides (see own_features); `catalogue` has them.
    """

    name: str
    by: str
    begin_us: int
    end_us: int
    delay_us: int
    anomaly: bool = False
    own: tuple[str, ...] = ()
    catalogue: Catalogue = FEATURES

    @property
    def features(self) -> tuple[str, ...]:
        """What must be computed for it."""
        return (UNUSUAL if self.anomaly else LEARNABLE) + self.own

    def gathering(self) -> Gathering:
        """Where the payments are collected. Without labels none must be old enough to be judged."""
        delay = 0 if self.anomaly else self.delay_us
        return Gathering(
            self.begin_us, self.end_us, self.end_us, delay, len(self.features), blind=self.anomaly
        )


class Trained(msgspec.Struct, frozen=True):
    """A model ready to be kept."""

    blob: bytes
    card: Card
    features: tuple[str, ...]
    sha256: str
    own: tuple[Own, ...] = ()


def own_features(names: Iterable[str], catalogue: Catalogue) -> tuple[str, ...]:
    """The names, if the installation declared such features and computes them. Raises TrainingError."""
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if name in FEATURES:
            raise TrainingError(
                f"{name} comes with the package",
                "leave it out: a model learns from what comes with it anyway",
            )
        if name not in catalogue:
            raise TrainingError(
                f"this installation computes no feature {name[:60]!r} of its own",
                "till risk features list --mine; one that was retired comes back if it is declared just as it was",
            )
    return wanted


def train(
    sample: Sample, wish: Wish, made_at: datetime, recipe: Recipe = RECIPE, tell: Tell = quiet
) -> Trained:
    """Make a model from these payments, whose columns are the wish's features. Raises TrainingError."""
    if wish.anomaly:
        return _unsupervised(sample, wish, made_at)
    slices = by_time(sample.at_us, wish.delay_us)
    learnt = sample.where(sample.at_us < slices.calibrate_us)
    later = sample.where((sample.at_us >= slices.calibrate_us) & (sample.at_us < slices.closed_us))
    last = sample.where(sample.at_us >= slices.made_us)
    grown = grow(_known_by(learnt, slices.made_us, wish), wish.features, slices.made_us, recipe, tell)
    columns = [wish.features.index(name) for name in grown.features]
    later = _known_by(later.with_columns(columns), slices.made_us, wish)
    last = last.with_columns(columns)
    line = calibrate(grown.raw(later.values), later.fraud, later.weight)
    probabilities = 1 / (1 + np.exp(-through(line, grown.raw(last.values))))
    card = Card(
        name=wish.name,
        made_at=made_at.astimezone(UTC).isoformat(),
        made_by=wish.by,
        label_delay_s=wish.delay_us // 1_000_000,
        trained=_span(learnt),
        calibrated=_span(later),
        tested=_span(last),
        figures=_figures(probabilities, last),
        importance=_importance(grown.features, grown.gain),
        reliability=metrics.reliability(probabilities, last.fraud, weight=last.weight),
        settings=msgspec.structs.asdict(recipe) | _with(wish),
        versions=_versions("lightgbm", "numpy", "tillkeeper"),
        remarks=_remarks(last, sample),
    )
    own = own_among(grown.features, wish.catalogue)
    return _packed(Artifact(grown.features, Forest(grown.texts, line), card, own), wish.catalogue)


def _known_by(sample: Sample, moment_us: int, wish: Wish) -> Sample:
    """What was known of these payments at a moment: a fraud that was told later was thought genuine then."""
    told = sample.known_us <= moment_us
    known = np.where(told, sample.known_us, sample.at_us + wish.delay_us)
    return sample._replace(fraud=sample.fraud & told, known_us=known)


def _unsupervised(sample: Sample, wish: Wish, made_at: datetime) -> Trained:
    if len(sample.fraud) < FEWEST:
        raise TrainingError(
            f"{len(sample.fraud)} payments are too few to say what is usual",
            f"{FEWEST} are needed: take a longer time",
        )
    begin, end = int(sample.at_us.min()), int(sample.at_us.max())
    part = int(np.quantile(sample.at_us, 0.8))
    learnt, last = sample.where(sample.at_us < part), sample.where(sample.at_us >= part)
    if not len(learnt.fraud):
        raise TrainingError("all payments happened at one moment", f"look at the times from {begin} to {end}")
    card = Card(
        name=wish.name,
        made_at=made_at.astimezone(UTC).isoformat(),
        made_by=wish.by,
        label_delay_s=wish.delay_us // 1_000_000,
        trained=_span(learnt),
        settings=_with(wish),
        versions=_versions("numpy", "tillkeeper"),
        remarks=("unlabelled",),
    )
    artifact = Artifact(wish.features, fit_tails(learnt.values), card, own_among(wish.own, wish.catalogue))
    judged = last.where(last.at_us < wish.end_us - wish.delay_us)
    if len(judged.fraud):
        scorer = open_model(pack(artifact), wish.catalogue)
        assert isinstance(scorer, TailScorer)
        figures = msgspec.structs.replace(_figures(scorer.score(judged.values), judged), brier=None)
        card = msgspec.structs.replace(card, tested=_span(judged), figures=figures)
    return _packed(msgspec.structs.replace(artifact, card=card), wish.catalogue)


def _with(wish: Wish) -> dict[str, str | int | float]:
    """What was asked for besides: not all of it may have told anything."""
    return {"with": ", ".join(wish.own)} if wish.own else {}


def _packed(artifact: Artifact, catalogue: Catalogue) -> Trained:
    blob = pack(artifact)
    open_model(blob, catalogue)  # what does not open here is not given out
    return Trained(blob, artifact.card, artifact.features, fingerprint(blob), artifact.own)


def _figures(scores: NDArray[np.float64], sample: Sample) -> Figures:
    """Of a thinned sample who stayed counts for who went; what an analyst would have found in a day cannot be told from it."""
    whole = bool((sample.weight == 1).all())
    days = sample.at_us // DAY_US
    return Figures(
        metrics.auc(scores, sample.fraud, sample.weight),
        metrics.average_precision(scores, sample.fraud, sample.weight),
        metrics.card_precision(scores, sample.fraud, sample.cards, days) if whole else None,
        metrics.recall_at(scores, sample.fraud, weight=sample.weight),
        metrics.brier(scores, sample.fraud, sample.weight),
    )


def _span(sample: Sample) -> Span:
    begin, end = (from_us(int(each)).isoformat() for each in (sample.at_us.min(), sample.at_us.max()))
    return Span(begin, end, int(sample.weight.sum()), int(sample.fraud.sum()))


def _importance(names: Sequence[str], gain: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-gain, kind="stable").tolist()
    return tuple((names[n], round(float(gain[n]), 4)) for n in order)


def _versions(*packages: str) -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _remarks(last: Sample, sample: Sample) -> tuple[str, ...]:
    said = []
    if last.fraud.sum() < _FEW:
        said.append("few_frauds")
    if (sample.weight != 1).any():
        said.append("thinned")
    return tuple(said)


_FEW: Final = 50

"""Models: their artifacts, scoring, reasons, and the registry of champion and challengers."""

from tillkeeper.risk.models import metrics, registry
from tillkeeper.risk.models.artifact import (
    FORMAT,
    Artifact,
    BadModelError,
    Forest,
    Line,
    Tails,
    fingerprint,
    pack,
    read,
    unpack,
)
from tillkeeper.risk.models.card import Card, Figures, Span, as_text
from tillkeeper.risk.models.compare import Comparison, Standing, compare
from tillkeeper.risk.models.own import Own, own_among, with_own
from tillkeeper.risk.models.reasons import ModelReason, reasons
from tillkeeper.risk.models.rows import acts, in_force, newest, reigns, revision, write_shadow
from tillkeeper.risk.models.scoring import ForestScorer, Scorer, TailScorer, open_model, through, warm_up
from tillkeeper.risk.models.types import Act, InForce, ModelRow, Shadow
from tillkeeper.risk.models.unsupervised import fit as fit_tails

__all__ = [
    "FORMAT",
    "Act",
    "Artifact",
    "BadModelError",
    "Card",
    "Comparison",
    "Figures",
    "Forest",
    "ForestScorer",
    "InForce",
    "Line",
    "ModelReason",
    "ModelRow",
    "Own",
    "Scorer",
    "Shadow",
    "Span",
    "Standing",
    "TailScorer",
    "Tails",
    "acts",
    "as_text",
    "compare",
    "fingerprint",
    "fit_tails",
    "in_force",
    "metrics",
    "newest",
    "open_model",
    "own_among",
    "pack",
    "read",
    "reasons",
    "registry",
    "reigns",
    "revision",
    "through",
    "unpack",
    "warm_up",
    "with_own",
    "write_shadow",
]

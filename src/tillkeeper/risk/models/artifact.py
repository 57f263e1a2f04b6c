"""A model as one blob that describes itself: what it reads, how it computes, how it was made, and a hash over all of it.

The first line is `till-model <format> <sha256>`, the rest JSON, so the format and the hash are checked before anything
is believed. What is written here is never changed: a model of today must give the same score in years.
"""

import hashlib
import re
from collections.abc import Container
from typing import Final

import msgspec

from tillkeeper.base import limits
from tillkeeper.risk.features import Catalogue
from tillkeeper.risk.models.card import Card
from tillkeeper.risk.models.own import Own, misfit

FORMAT: Final = 1
"""Of the blob. A release reads its own format and, when there is a second one, the older ones too."""

_HEAD: Final = re.compile(rb"till-model (\d{1,4}) ([0-9a-f]{64})\n")


class BadModelError(ValueError):
    """A model that must not score: damaged, of another format, or of features that are not there. Says what to do."""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A strictly rising broken line through (`xs`, `ys`): from raw scores to log-odds that are right. Outside, slope 1."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]


class Forest(msgspec.Struct, frozen=True, tag="forest", forbid_unknown_fields=True):
    """Boosted trees as LightGBM writes them; the raw score is the mean over the boosters, in log-odds of fraud."""

    boosters: tuple[str, ...]
    calibration: Line


class Tails(msgspec.Struct, frozen=True, tag="tails", forbid_unknown_fields=True):
    """How rare each value is: per feature the values at the shares `levels` of payments, and the ranks of their sums.

    `knots[f]`: quantiles of feature f, rising. `ranks`: sums of surprise at `levels`, so a score is a share of payments.
    """

    levels: tuple[float, ...]
    knots: tuple[tuple[float, ...], ...]
    ranks: tuple[float, ...]


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model: `features` are the columns it reads, in this order; `card` says where it comes from.

    `own`: those of the features that the installation declared itself. Without any, the bytes are those of always.
    """

    features: tuple[str, ...]
    body: Forest | Tails
    card: Card
    own: tuple[Own, ...] = ()

    @property
    def kind(self) -> str:
        """`fraud`: a probability of fraud; `anomaly`: how unusual, without labels."""
        return "fraud" if isinstance(self.body, Forest) else "anomaly"


def pack(artifact: Artifact) -> bytes:
    """The blob of a model. The same model gives the same bytes."""
    body = msgspec.json.encode(artifact)
    return f"till-model {FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def fingerprint(blob: bytes) -> str:
    """The hash in a blob's first line, 64 hexadecimal digits: a model's identity. Raises BadModelError."""
    return _head(blob)[1]


def unpack(blob: bytes, known: Container[str]) -> Artifact:
    """Read and check a blob. `known`: the features there are; of a Catalogue, what the model knows as declared must be
    declared just so. Raises BadModelError.
    """
    artifact = read(blob)
    if isinstance(known, Catalogue) and (fault := misfit(artifact.own, known)) is not None:
        raise BadModelError(fault)
    if missing := [name for name in artifact.features if name not in known]:
        raise BadModelError(
            f"the model reads {', '.join(missing[:5])}, which no feature is called here; declare them or train it again"
        )
    return artifact


def read(blob: bytes) -> Artifact:
    """Read a blob, whatever features there are. Raises BadModelError."""
    _, digest, begin = _head(blob)
    body = blob[begin:]
    if hashlib.sha256(body).hexdigest() != digest:
        raise BadModelError(
            "the model is damaged: its hash does not fit; take it from a backup or train it again"
        )
    try:
        return msgspec.json.decode(body, type=Artifact)
    except msgspec.DecodeError as error:
        raise BadModelError(f"the model cannot be read: {error}; train it again") from None


def _head(blob: bytes) -> tuple[int, str, int]:
    if len(blob) > limits.MODEL_BYTES:
        raise BadModelError(f"the model has {len(blob)} bytes; {limits.MODEL_BYTES} are allowed")
    found = _HEAD.match(blob)
    if found is None:
        raise BadModelError("this is no model of Tillkeeper: its first line is not till-model; train one")
    if int(found[1]) != FORMAT:
        raise BadModelError(
            f"the model is of format {int(found[1])}, this release reads format {FORMAT}; "
            "use the release that made it, or train it again"
        )
    return int(found[1]), found[2].decode(), found.end()

"""Frozen values of the models' registry."""

from datetime import datetime
from uuid import UUID

import msgspec


class InForce(msgspec.Struct, frozen=True):
    """Which models score now, by their version; None and empty: none. `revision` rises with every act."""

    revision: int = 0
    champion: int | None = None
    challengers: tuple[int, ...] = ()
    anomaly: int | None = None


class ModelRow(msgspec.Struct, frozen=True):
    """A stored model without its blob. `role`: champion, challenger, anomaly, or empty; `sha256`: 64 hexadecimal digits."""

    version: int
    name: str
    kind: str
    sha256: str
    made_at: datetime
    made_by: str
    role: str = ""


class Act(msgspec.Struct, frozen=True):
    """One act of a person on the models. `after`: what was in force when it was done; `undoes`: the act it took back."""

    id: int
    at: datetime
    by: str
    act: str
    model: int
    reason: str
    approval: UUID | None
    undoes: int | None
    after: InForce


class Shadow(msgspec.Struct, frozen=True, gc=False):
    """What a model said about a payment. `outcome`: what would have been decided with it."""

    payment: UUID
    model: int
    score: float
    outcome: str

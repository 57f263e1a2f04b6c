"""Frozen values of the risk engine."""

from datetime import datetime
from uuid import UUID

import msgspec

OUTCOMES = ("allow", "challenge", "hold", "deny")
"""From mild to severe; of several rules that hit, the severest outcome wins."""


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One payment that asks for a decision. `at_us`: event time, microseconds since 1970 UTC. `amount`: minor units."""

    id: UUID
    kind: str
    at_us: int
    customer: UUID
    payee: UUID
    amount: int
    currency: str
    device: str | None = None
    ip: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class Decision(msgspec.Struct, frozen=True):
    """What was decided about an attempt, and from which values: the receipt before it is written.

    `reasons`: names of all rules that hit. `features`: the columns the rule set reads, little-endian float64.
    """

    attempt: Attempt
    outcome: str
    reasons: tuple[str, ...]
    rule_set: int
    features: bytes


class Label(msgspec.Struct, frozen=True, gc=False):
    """What a payment turned out to be, and since when that is known."""

    payment: UUID
    fraud: bool
    known_at_us: int
    source: str = "report"


class Receipt(msgspec.Struct, frozen=True):
    """One decision as stored: the attempt, what was decided, and the rule set's text and feature order."""

    id: UUID
    at: datetime
    kind: str
    customer: UUID
    payee: UUID
    amount: int
    currency: str
    device: str | None
    ip: str | None
    outcome: str
    reasons: tuple[str, ...]
    rule_set: int
    source: str
    names: tuple[str, ...]
    features: bytes

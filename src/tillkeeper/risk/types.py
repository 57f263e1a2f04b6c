"""Frozen values of the risk engine."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

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


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Attempts as columns, in order of arrival; row n of each belongs to attempt n.

    `ids`: UUIDs as two signed 64-bit halves each. `at_us`: event time, microseconds since 1970 UTC. `customers` and
    `payees`: UUIDs as integers. `amounts`: minor units of `currencies`. `places`: latitude and longitude in degrees, NaN
    where none is known.
    """

    ids: NDArray[np.int64]
    at_us: NDArray[np.int64]
    kinds: Sequence[str]
    customers: Sequence[int]
    payees: Sequence[int]
    amounts: NDArray[np.int64]
    currencies: Sequence[str]
    devices: Sequence[str | None]
    ips: Sequence[str | None]
    places: NDArray[np.float64]

    def __len__(self) -> int:
        """How many attempts."""
        return len(self.at_us)

    @classmethod
    def of(cls, attempts: Sequence[Attempt]) -> "Batch":
        """The columns of attempts."""
        return cls(
            ids=halves([one.id for one in attempts]),
            at_us=np.array([one.at_us for one in attempts], np.int64),
            kinds=[one.kind for one in attempts],
            customers=[one.customer.int for one in attempts],
            payees=[one.payee.int for one in attempts],
            amounts=np.array([one.amount for one in attempts], np.int64),
            currencies=[one.currency for one in attempts],
            devices=[one.device for one in attempts],
            ips=[one.ip for one in attempts],
            places=np.array([(one.latitude, one.longitude) for one in attempts], np.float64).reshape(-1, 2),
        )


def halves(ids: Sequence[UUID]) -> NDArray[np.int64]:
    """UUIDs as two signed 64-bit halves each."""
    return np.frombuffer(b"".join([one.bytes for one in ids]), ">i8").astype(np.int64).reshape(-1, 2)


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something a customer did besides paying. `event`: "login" or "setting". `at_us` as in Attempt.

    `kind`: of a setting: phone, password, email, payee, device; of a login: "". `network`: the autonomous system's number
    as text, `country`: ISO 3166 alpha-2, both "" where unknown. `score`: what was thought of a login, 0 to 1.
    """

    id: UUID
    event: str
    at_us: int
    customer: UUID
    device: str | None = None
    ip: str | None = None
    network: str | None = None
    country: str = ""
    succeeded: bool = True
    score: float = 0.0
    kind: str = ""


class Said(NamedTuple):
    """What a model in force said of a payment while there was a challenger, and the outcome that follows from it."""

    model: int
    score: float
    outcome: str


class Decision(msgspec.Struct, frozen=True):
    """What was decided about an attempt, and from which values: the receipt before it is written.

    `reasons`: names of the rules that hit and were not silent. `effects`: see migration 0024. `features`: the columns of
    the configuration, little-endian float64. `said`: what the models in force said, while there is a challenger.
    `force`: the force that decided, for words.
    """

    attempt: Attempt
    outcome: str
    reasons: tuple[str, ...]
    rule_set: int
    features: bytes
    configuration: int = 0
    effects: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()
    force: Any = None


class Label(msgspec.Struct, frozen=True, gc=False):
    """What a payment turned out to be, and since when that is known."""

    payment: UUID
    fraud: bool
    known_at_us: int
    source: str = "report"


class Receipt(msgspec.Struct, frozen=True):
    """One decision as stored: the attempt, what was decided, and what it was decided under.

    `source`: the rule set's text. `names`: of the values in `features`. `champion`, `anomaly`: versions of the models that
    scored, None for none. `configuration`: None in receipts that are older than configurations.
    """

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
    effects: tuple[str, ...] = ()
    configuration: int | None = None
    champion: int | None = None
    anomaly: int | None = None


class Listing(msgspec.Struct, frozen=True):
    """An entry of a list. `list`: block, trust or watch; `entity`: customer, payee, device or ip; `key`: the id as text.

    `until`: None for no end. `ended`: it is over, by `author` for `reason`.
    """

    list: str
    entity: str
    key: str
    until: datetime | None
    reason: str
    author: str
    at: datetime
    ended: bool = False


class Mute(msgspec.Struct, frozen=True):
    """A rule that is silent until a moment, for everybody (`entity` and `key` empty) or for one."""

    rule: str
    entity: str
    key: str
    until: datetime
    reason: str
    author: str
    at: datetime
    ended: bool = False


class Proposal(msgspec.Struct, frozen=True):
    """A rule set that somebody would like to see in force. `base`: what was in force when it was written.

    `sha256`: of the rule set; `active_since`: when it came into force, if it did; `active`: it decides now. `backtest`: its
    newest one that is done.
    """

    id: UUID
    rule_set: int
    base: int | None
    author: str
    reason: str
    at: datetime
    source: str
    sha256: bytes
    active_since: datetime | None
    active: bool
    backtest: UUID | None = None


class Activation(msgspec.Struct, frozen=True):
    """A rule set that came into force. `origin`: package, file or people."""

    rule_set: int
    at: datetime
    origin: str
    author: str
    proposal: UUID | None
    source: str

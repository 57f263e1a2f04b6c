"""Frozen values of logins."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

OUTCOMES: Final = ("allow", "ask_again", "block")
"""What is to be done about a login, from mild to severe."""

SETTINGS: Final = ("phone", "password", "email", "payee", "device")
"""What a customer may have changed."""

FACTORS: Final = ("network", "agent", "device", "hour", "place")
"""What a login is compared by; the order is that of `Verdict.lifts`."""


class Network(msgspec.Struct, frozen=True, gc=False):
    """Where an address belongs. `name`: who runs the network; `country`: ISO 3166, two letters. "" where unknown."""

    name: str = ""
    country: str = ""


class Agent(msgspec.Struct, frozen=True, gc=False):
    """A program that somebody logs in with, by families, without versions. `kind`: phone, tablet, desktop, robot, other.

    `digest`: of the whole User-Agent, first eight bytes; the text itself is not kept. All empty where none was given.
    """

    digest: bytes = b""
    browser: str = ""
    system: str = ""
    kind: str = ""


class Login(msgspec.Struct, frozen=True, gc=False):
    """One try to log in. `at_us`: when it happened, microseconds since 1970 UTC."""

    id: UUID
    at_us: int
    customer: UUID
    succeeded: bool
    ip: str | None = None
    network: Network = Network()
    agent: Agent = Agent()
    device: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class SettingChange(msgspec.Struct, frozen=True, gc=False):
    """A customer changed something: one of SETTINGS."""

    id: UUID
    at_us: int
    customer: UUID
    kind: str
    device: str | None = None
    ip: str | None = None
    network: Network = Network()


class Verdict(msgspec.Struct, frozen=True):
    """What is thought of a login. `score`: 0 (the customer, as ever) to 1; from THRESHOLDS follows the outcome.

    `lifts`: one per factor of FACTORS, natural logarithm of how much likelier the customer comes like this than anybody;
    None where nothing was given. `known`: how many accepted logins it was compared with. `reasons`: names of words.REASONS
    and of rules that hit.
    """

    outcome: str
    score: float
    reasons: tuple[str, ...]
    lifts: tuple[float | None, ...]
    known: int


class Moment(msgspec.Struct, frozen=True):
    """One entry of a customer's timeline, by `id` (UUIDv7: in order of arrival). `at`: when it happened.

    `kind`: "login", "setting", "payment" or "payout". `what`: of a login "succeeded" or "failed", of a setting what was
    changed, of the others the attempt's kind. `outcome`: of a login one of OUTCOMES, of payments what risk decided, "" of a
    setting. `answer`: what came of asking again. `amount`: minor units. `new_device`: nothing earlier of this customer came
    from it. `fraud`: what the payment turned out to be by the latest word, known since `known_at`.
    """

    id: UUID
    at: datetime
    kind: str
    what: str
    outcome: str = ""
    answer: bool | None = None
    score: float | None = None
    reasons: tuple[str, ...] = ()
    amount: int | None = None
    currency: str | None = None
    payee: UUID | None = None
    device: str | None = None
    new_device: bool = False
    ip: str | None = None
    network: str | None = None
    country: str | None = None
    browser: str | None = None
    system: str | None = None
    fraud: bool | None = None
    known_at: datetime | None = None

"""The values of a replay."""

from collections.abc import Sequence
from datetime import datetime

import msgspec


class ReplayError(Exception):
    """A replay cannot begin or go on. `remedy` says what to do next."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of a file as texts, an empty one where nothing is written. `line` counts from 1; a CSV's header is line 1."""

    line: int
    values: Sequence[str | None]


class Bad(msgspec.Struct, frozen=True):
    """A row that is left out. `column` is the meaning at fault ("time", "amount"), "" for the row as a whole."""

    line: int
    column: str
    reason: str
    values: Sequence[str | None]


class Record(msgspec.Struct, frozen=True):
    """A row understood. `amount`: minor units; `at_us`: event time, microseconds since 1970 UTC; `fraud` None: not said.

    `key` is what the row is known by within its mapping, or its file. `reference`: the same, where it may be stored.
    """

    line: int
    key: str
    reference: str | None
    at: datetime
    at_us: int
    payer: str
    payee: str
    amount: int
    currency: str
    fraud: bool | None
    payee_name: str | None
    device: str | None
    ip: str | None
    latitude: float | None
    longitude: float | None
    values: Sequence[str | None]


class Step(msgspec.Struct, frozen=True):
    """A record on its way into the turn. `bring`: minor units its payer needs first; `score`: what hand rules say."""

    record: Record
    bring: int
    score: int

"""What monitoring speaks of."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from tillkeeper.base import limits

Kind = Literal["counter", "gauge"]
"""counter: only rises, from a process's start; gauge: is what it is at the moment."""

Better = Literal["higher", "lower"]

Labels = Mapping[str, str]


class Metric(msgspec.Struct, frozen=True):
    """One line of the catalogue. `words`: what it is, by language; `labels`: their names; `every`: seconds between samples."""

    name: str
    kind: Kind
    unit: str
    words: Mapping[str, str]
    labels: tuple[str, ...] = ()
    every: float = limits.SAMPLE_SECONDS

    @property
    def stale_after(self) -> float:
        """A sample older than that says nothing of now."""
        return self.every * limits.SAMPLES_MISSED


class Sample(msgspec.Struct, frozen=True):
    """A metric's value, measured just now."""

    metric: str
    value: float
    labels: Labels = {}


class Latest(msgspec.Struct, frozen=True):
    """The newest sample of a series."""

    metric: str
    labels: dict[str, str]
    at: datetime
    value: float


class Point(msgspec.Struct, frozen=True):
    """A stretch of a series: how many samples, their sum (of a counter its rise), lowest, highest and last."""

    at: datetime
    samples: int
    total: float
    low: float
    high: float
    last: float

    @property
    def mean(self) -> float:
        """The mean of a gauge's samples."""
        return self.total / self.samples


class Measure(msgspec.Struct, frozen=True):
    """Something that guardrails and objectives ask for by name. `least`: below so many samples it says little."""

    unit: str
    better: Better
    words: Mapping[str, str]
    least: int = 1


class Measured(msgspec.Struct, frozen=True):
    """What a measure was over a stretch of time. `value` None: unknown, which is never fine."""

    value: float | None
    samples: int
    unit: str


class MoneyFault(msgspec.Struct, frozen=True):
    """Something about the money that cannot be right. `amount`: by how much, minor units; 0 where that is not known."""

    code: str
    currency: str
    amount: int
    said: str


class MoneyLook(msgspec.Struct, frozen=True):
    """A look at the books: what was found, how long it took, and how many rows were looked at."""

    faults: tuple[MoneyFault, ...]
    took_ms: float
    checked: int


class Second(msgspec.Struct, frozen=True):
    """One second of the api: orders `answered` and orders `failed` by fault of ours, what became of payments, how long
    they took (None: there were none).
    """

    at: datetime
    answered: int
    failed: int
    payments: int
    succeeded: int
    waiting: int
    declined: int
    refused: int
    p50_ms: float | None
    p99_ms: float | None

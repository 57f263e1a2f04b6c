"""Frozen values of history: payments as columns, in order of arrival, and what became known of them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.types import Batch, Event

NEVER: Final = 2**62
"""A moment that does not come, microseconds."""


class HistoryError(Exception):
    """A history that cannot be read. `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Verdicts(NamedTuple):
    """Labels in the order they were written. `row`: the payment's place in its stretch. `known_us`: since when known,
    microseconds since 1970 UTC.
    """

    row: NDArray[np.int64]
    known_us: NDArray[np.int64]
    fraud: NDArray[np.bool_]


class Stretch(NamedTuple):
    """Payments that arrived one after the other, with every label that they have got to this day.

    `clock_us`: the moment at which each was decided, microseconds since 1970 UTC: what was known then, counted then.
    `events`: what customers did besides paying, in order of arrival, each with the row of the payment it came before.
    """

    batch: Batch
    clock_us: NDArray[np.int64]
    verdicts: Verdicts
    events: Sequence[tuple[int, Event]] = ()

    def truth(self, as_of_us: int = NEVER) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """What was known at a moment: whether each payment is a fraud, and since when its verdict stands (or NEVER).

        Of several labels the latest known one stands, and of equals the one written last.
        """
        fraud = np.zeros(len(self.clock_us), np.bool_)
        since = np.full(len(self.clock_us), NEVER, np.int64)
        row, known, found = self.verdicts
        order = np.argsort(known, kind="stable")
        order = order[known[order] <= as_of_us]
        fraud[row[order]] = found[order]
        since[row[order]] = known[order]
        return fraud, since


NOTHING_BESIDE: Final = np.empty((0, 0))


class Seen(NamedTuple):
    """A stretch after its payments went through the profiles. `values`: a row a payment, a column a feature asked for.

    `beside`: a row for each of the stretch's events, a column a feature asked for of them; no row where none was asked for.
    """

    values: NDArray[np.float64]
    stretch: Stretch
    beside: NDArray[np.float64] = NOTHING_BESIDE


class Columns(msgspec.Struct, frozen=True):
    """Names of a file's columns by their meaning. Without `fraud`, nothing can be judged."""

    time: str
    payer: str
    payee: str
    amount: str
    id: str | None = None
    fraud: str | None = None
    currency: str | None = None
    device: str | None = None
    ip: str | None = None
    latitude: str | None = None
    longitude: str | None = None


class Layout(msgspec.Struct, frozen=True):
    """How a file is to be read: a replay mapping, as far as history needs it (docs/operating/replay.md).

    `currency`: of all rows, where no column says it. `time`: "iso", "epoch" (seconds), "epoch_ms", or a strptime format.
    `zone`: of times that name none. `amounts`: "major" (12.34) or "minor" units (1234). `payees`: whether money goes to
    merchants or to other customers. `fraud_values`: what the label column says of a fraud, where not plain yes or no.
    """

    columns: Columns
    currency: str | None = None
    time: str = "iso"
    zone: str = "UTC"
    amounts: str = "major"
    payees: str = "merchants"
    fraud_values: tuple[str, ...] = ()


HANDBOOK: Final = Layout(
    Columns(
        id="transaction_id",
        time="occurred_at",
        payer="customer_id",
        payee="terminal_id",
        amount="amount",
        fraud="fraud",
    ),
    currency="EUR",
)
"""The simulated card payments of the Fraud Detection Handbook, ../shared/data."""

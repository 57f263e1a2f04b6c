"""History from PostgreSQL, in columns: bounded batches in order of arrival, each with the labels of its payments."""

from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH, from_us
from tillkeeper.base.ids import NIL, first_id_at
from tillkeeper.risk import logins
from tillkeeper.risk.history.types import Stretch, Verdicts
from tillkeeper.risk.types import Batch, Event
from tillkeeper.store import Store, Tx, queries

_sql = queries(__package__, "queries.sql")
_PG_EPOCH_US: Final = 946_684_800_000_000  # PostgreSQL counts from the year 2000
_ID_MILLISECOND_BITS: Final = 16  # of the upper half of a UUIDv7, below its milliseconds


async def span(store: Store) -> tuple[datetime, datetime] | None:
    """Event times of the first and the last payment, None without payments."""
    async with store.tx("history span") as tx:
        row = await tx.row(_sql.span)
    return None if row is None or row.first is None else (row.first, row.last)


async def reported_until(store: Store) -> datetime | None:
    """The latest moment of which anything was heard, payment or label. In a replayed file it lies years back: what was
    paid within the label delay before it was never judged, however old it looks today. None without payments.
    """
    async with store.tx("history reports") as tx:
        found: datetime | None = await tx.value(_sql.reported_until)
    return found


async def stretches(
    store: Store, since_us: int, to_us: int | None = None, *, rows: int = limits.HISTORY_ROWS
) -> AsyncIterator[Stretch]:
    """Payments from the first that happened at `since_us` or later, to the stretch before the one all of which happened
    at `to_us` or later. Each stretch is read by a transaction of its own: nothing of it ever changes.
    """
    since = max(from_us(since_us), EPOCH)
    async with store.tx("history begins") as tx:
        first = await _first(tx, since)
    if first is None:
        return
    # What customers did before anybody paid counts, too.
    before = max(min(first, first_id_at(since)).int - 1, 0)
    after, events = NIL, _Events(UUID(int=before), rows)
    while True:
        async with store.tx("history") as tx:
            found = (await tx.tuples(_sql.payments_from, {"first": first, "after": after, "count": rows}))[0]
            if not found[0]:
                return
            begin, after = UUID(bytes=bytes(found[1][:16])), UUID(bytes=bytes(found[1][-16:]))
            labels = (await tx.tuples(_sql.verdicts_of, {"first": begin, "last": after}))[0]
            between = await events.until(tx, after)
        batch = _batch(found)
        if to_us is not None and int(batch.at_us.min()) >= to_us:
            return
        yield Stretch(batch, _clock(batch), _verdicts(found[1], labels), _placed(found[1], between))


class _Events:
    """Logins and changes of settings in order of arrival, read as far as they are wanted."""

    def __init__(self, last: UUID, batch: int) -> None:
        self._last = last
        self._batch = batch
        self._read: deque[Event] = deque()

    async def until(self, tx: Tx, last: UUID) -> list[Event]:
        """Those up to an id that were not given out yet."""
        while not self._read or self._read[-1].id <= last:
            more = await anext(logins.events_after(tx, self._last, self._batch), None)
            if more is None:
                break
            self._read.extend(more)
            self._last = more[-1].id
        found = []
        while self._read and self._read[0].id <= last:
            found.append(self._read.popleft())
        return found


def _placed(ids: bytes, events: Sequence[Event]) -> list[tuple[int, Event]]:
    """Each event with the row of the payment that it came before."""
    keys = _keys(ids) if events else []
    return [(bisect_left(keys, event.id.bytes), event) for event in events]


async def _first(tx: Tx, since: datetime) -> UUID | None:
    found: UUID | None = await tx.value(_sql.first_since, {"from_id": first_id_at(since), "since": since})
    return found


def _batch(found: tuple[Any, ...]) -> Batch:
    _, ids, at, kinds, customers, payees, amounts, currencies, devices, ips, latitudes, longitudes = found
    return Batch(
        ids=_integers(ids).reshape(-1, 2),
        at_us=_times(at),
        kinds=kinds,
        customers=_wide(customers),
        payees=_wide(payees),
        amounts=_integers(amounts),
        currencies=currencies,
        devices=devices,
        ips=ips,
        places=np.stack([_floats(latitudes), _floats(longitudes)], axis=1),
    )


def _clock(batch: Batch) -> NDArray[np.int64]:
    """When each was decided: when it happened, or when its id was made if that was earlier: an event time that lies
    ahead of the clocks must not let labels out early. In a replay of an old file it is when it happened.
    """
    made = (batch.ids[:, 0] >> _ID_MILLISECOND_BITS) * 1000
    clock: NDArray[np.int64] = np.minimum(batch.at_us, made)
    return clock


def _verdicts(ids: bytes, labels: tuple[Any, ...]) -> Verdicts:
    if labels[0] is None:
        return Verdicts(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_))
    places = {key: row for row, key in enumerate(_keys(ids))}
    # A label may name what was never decided here.
    row = np.array([places.get(key, -1) for key in _keys(labels[0])], np.int64)
    known = row >= 0
    fraud = np.frombuffer(labels[2], np.uint8).astype(np.bool_)
    return Verdicts(row[known], _times(labels[1])[known], fraud[known])


def _keys(packed: bytes) -> list[bytes]:
    return [packed[n : n + 16] for n in range(0, len(packed), 16)]


def _wide(packed: bytes) -> list[int]:
    return [int.from_bytes(key) for key in _keys(packed)]


def _integers(packed: bytes) -> NDArray[np.int64]:
    return np.frombuffer(packed, ">i8").astype(np.int64)


def _times(packed: bytes) -> NDArray[np.int64]:
    times: NDArray[np.int64] = _integers(packed) + _PG_EPOCH_US
    return times


def _floats(packed: bytes) -> NDArray[np.float64]:
    return np.frombuffer(packed, ">f8").astype(np.float64)

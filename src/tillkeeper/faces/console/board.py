"""The figures of the overview, kept up to date by small reads: nothing re-reads a day, nothing counts a table.

Payments of the last RING seconds stand in buckets of a second, those of the business day in buckets of a minute. Each
refresh reads the seconds that may still change; once a minute the last minute is read, and those whose payments stopped
waiting since. Inexact on purpose: a bucket of a second keeps the state a payment had _SETTLING seconds after it arrived,
so "today" may lag by a minute for payments that were challenged or held.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar.di import NamedDependency

from tillkeeper import audit, ledger
from tillkeeper.audit import Event
from tillkeeper.base.clock import Clock, from_us, to_us
from tillkeeper.base.ids import first_id_at
from tillkeeper.faces.console.names import Named, names_of, parties_in
from tillkeeper.ledger import Total
from tillkeeper.payments import Payment, browse
from tillkeeper.payments.browse import Count, Sample
from tillkeeper.store import Store, Tx
from tillkeeper.vault import Vault

RING: Final = 300  # seconds that the live picture shows
RATE_SECONDS: Final = 10
REFUSALS: Final = 8
BOOKS_SUBJECT: Final = "ledger"
BOOKS_DIFFER: Final = "ledger.differs"
_SETTLING: Final = 5  # seconds until a second's payments are all committed and decided
_LAG: Final = 1  # the newest whole second is still being committed: it would always look like a drop
_SAMPLES: Final = 60
_FRESH: Final = timedelta(milliseconds=500)
_MINUTE: Final = 60
_CHUNK: Final = 3600  # of the day, read at once when the console starts
_CHUNK_BUDGET: Final = 0.2  # seconds of one refresh given to catching up with the day
_FORGOTTEN: Final = 600  # seconds nobody looked, after which the day is read anew
_BOOKS_EVERY: Final = 10.0
_BOOKS_SHARE: Final = (
    50  # the check may cost this part of the time: a sum over ten million accounts comes seldom
)

REFUSED: Final = frozenset({"declined", "failed"})
WAITING: Final = frozenset({"pending", "challenged", "in_review"})
OUTCOMES: Final = ("allow", "challenge", "hold", "deny")


@dataclass
class Bucket:
    """Payments that arrived in one slot of time."""

    accepted: int = 0
    waiting: int = 0
    refused: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    captured: Counter[str] = field(default_factory=Counter)

    @property
    def payments(self) -> int:
        """All of them."""
        return self.accepted + self.waiting + self.refused

    def add(self, count: Count) -> None:
        """Take in one row of the database."""
        if count.state in REFUSED:
            self.refused += count.payments
        elif count.state in WAITING:
            self.waiting += count.payments
        else:
            self.accepted += count.payments
        if count.risk is not None:
            self.outcomes[count.risk] += count.payments
        if count.captured:
            self.captured[count.currency] += count.captured

    def merge(self, other: "Bucket") -> None:
        """Add another slot's payments."""
        self.accepted += other.accepted
        self.waiting += other.waiting
        self.refused += other.refused
        self.outcomes.update(other.outcomes)
        self.captured.update(other.captured)


@dataclass(frozen=True)
class Books:
    """Whether both sides of every currency are equal, when that was looked at, and the last full verification."""

    totals: list[Total]
    at: datetime
    verified: Event | None

    @property
    def balanced(self) -> bool:
        """Whether they are equal in all currencies, and the last full verification found nothing else."""
        found = self.verified is not None and self.verified.action == BOOKS_DIFFER
        return not found and all(total.balanced for total in self.totals)


@dataclass(frozen=True)
class Figures:
    """What the overview shows. None stands for "not measured", never for "fine"."""

    at: datetime
    rate: float
    recent: Bucket
    series: list[Bucket]  # one per second, oldest first
    today: Bucket | None  # None while the day is still being read
    day: date  # the business day
    samples: list[Sample]
    books: Books | None
    refusals: list[Payment]
    names: dict[UUID, Named]
    held: int
    held_since: datetime | None

    @property
    def within_us(self) -> int | None:
        """99 of 100 payments of the last minute were answered within this: the worst second's own percentile."""
        return max((sample.p99_us for sample in self.samples), default=None)

    @property
    def half_us(self) -> int:
        """Half of them were answered within this. Only with samples."""
        return max(sample.p50_us for sample in self.samples)

    @property
    def worst_us(self) -> int:
        """The slowest of all. Only with samples."""
        return max(sample.max_us for sample in self.samples)


class Board:
    """Keeps the figures. `refresh` may be called by anybody at any time; it reads only what is new."""

    def __init__(self, store: Store, vault: Vault, clock: Clock, zone: ZoneInfo) -> None:
        self._store, self._vault, self._clock, self._zone = store, vault, clock, zone
        self._lock = asyncio.Lock()
        self._figures: Figures | None = None
        self._seconds: dict[int, Bucket] = {}
        self._minutes: dict[int, Bucket] = {}
        self._minutes_to = 0  # minutes before this are in the buckets
        self._ended: set[int] = set()  # minutes to read again, for payments in them stopped waiting
        self._midnight = 0
        self._refusals: list[Payment] = []
        self._books: Books | None = None
        self._books_due = 0.0

    async def refresh(self) -> Figures:
        """The figures of this moment."""
        async with self._lock:
            now = self._clock.now()
            if self._figures is not None and now - self._figures.at < _FRESH:
                return self._figures
            async with self._store.tx("console board") as tx:
                await self._read_seconds(tx, now)
                await self._read_minutes(tx, now)
                await self._read_refusals(tx)
                await self._check_books(tx, now)
                held, since = await browse.held_size(tx)
                samples = await browse.samples(tx, now - timedelta(seconds=_SAMPLES))
                names = await names_of(tx, self._vault, parties_in(self._refusals))
            self._figures = self._sum_up(now, samples, names, held, since)
            return self._figures

    async def _read_seconds(self, tx: Tx, now: datetime) -> None:
        second = _seconds(now)
        last = _seconds(self._figures.at) if self._figures else 0
        since = max(last - _SETTLING, second - RING - _LAG)
        read = _buckets(await browse.counts(tx, _moment(since), _moment(second + 2), 1))
        kept = {
            slot: bucket for slot, bucket in self._seconds.items() if second - RING - _LAG <= slot < since
        }
        self._seconds = kept | read

    async def _read_minutes(self, tx: Tx, now: datetime) -> None:
        midnight = _seconds(now.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0))
        last = _seconds(self._figures.at) if self._figures else 0
        if midnight != self._midnight or _seconds(now) - last > _FORGOTTEN:
            self._midnight, self._minutes, self._minutes_to, self._ended = midnight, {}, midnight, set()
        self._ended |= set(await self._ended_waits(tx, now))
        ready = (_seconds(now) - _SETTLING) // _MINUTE * _MINUTE
        if self._minutes_to >= ready:
            return
        began = self._clock.monotonic()
        while self._minutes_to < ready and self._clock.monotonic() - began < _CHUNK_BUDGET:
            until = min(self._minutes_to + _CHUNK, ready)
            self._minutes |= _buckets(
                await browse.counts(tx, _moment(self._minutes_to), _moment(until), _MINUTE)
            )
            self._minutes_to = until
        for slot in self._ended:
            self._minutes |= _buckets(
                await browse.counts(tx, _moment(slot), _moment(slot + _MINUTE), _MINUTE)
            )
        self._ended = set()

    async def _ended_waits(self, tx: Tx, now: datetime) -> list[int]:
        last = self._figures.at if self._figures else now
        after = last - timedelta(seconds=_SETTLING)
        return await browse.ended_waits(
            tx, after, _moment(self._midnight), _moment(self._minutes_to), _MINUTE
        )

    async def _read_refusals(self, tx: Tx) -> None:
        # Ids of several processes are not quite in the order of their commits: look back a little.
        known = {row.id: row for row in self._refusals}
        after = None
        if self._figures is not None:
            after = first_id_at(self._figures.at - timedelta(seconds=_SETTLING))
        known |= {row.id: row for row in await browse.refusals(tx, after, REFUSALS)}
        self._refusals = sorted(known.values(), key=lambda row: row.id, reverse=True)[:REFUSALS]

    async def _check_books(self, tx: Tx, now: datetime) -> None:
        began = self._clock.monotonic()
        if self._books is not None and began < self._books_due:
            return
        totals = await ledger.totals(tx)
        verified = await audit.of(tx, BOOKS_SUBJECT, limit=1)
        self._books = Books(totals, now, verified[0] if verified else None)
        done = self._clock.monotonic()
        self._books_due = done + max(_BOOKS_EVERY, (done - began) * _BOOKS_SHARE)

    def _sum_up(
        self,
        now: datetime,
        samples: list[Sample],
        names: dict[UUID, Named],
        held: int,
        held_since: datetime | None,
    ) -> Figures:
        second = _seconds(now)
        series = [self._seconds.get(slot, Bucket()) for slot in range(second - RING - _LAG, second - _LAG)]
        complete = series[-RATE_SECONDS:]
        return Figures(
            at=now,
            rate=sum(bucket.payments for bucket in complete) / RATE_SECONDS,
            recent=_total(series),
            series=series,
            today=self._today(now),
            day=now.astimezone(self._zone).date(),
            samples=samples,
            books=self._books,
            refusals=self._refusals,
            names=names,
            held=held,
            held_since=held_since,
        )

    def _today(self, now: datetime) -> Bucket | None:
        if _seconds(now) - self._minutes_to > RING:
            return None
        rest = [bucket for slot, bucket in self._seconds.items() if slot >= self._minutes_to]
        return _total([*self._minutes.values(), *rest])


TheBoard = NamedDependency[Board]
"""The board, as a handler asks for it."""


def _seconds(moment: datetime) -> int:
    return to_us(moment) // 1_000_000


def _moment(seconds: int) -> datetime:
    return from_us(seconds * 1_000_000)


def _buckets(counts: Iterable[Count]) -> dict[int, Bucket]:
    found: dict[int, Bucket] = {}
    for count in counts:
        found.setdefault(count.slot, Bucket()).add(count)
    return found


def _total(buckets: Iterable[Bucket]) -> Bucket:
    total = Bucket()
    for bucket in buckets:
        total.merge(bucket)
    return total

"""Read models for people: search, one payment's story, the queue of held payments, figures for the overview.

Every list is bounded and walks an index; nothing here counts a whole table or takes a lock.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.base import histogram
from tillkeeper.base.clock import EPOCH
from tillkeeper.base.ids import NIL, first_id_at
from tillkeeper.payments.types import Move, Payment, QrCode, Refund, Wallet
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "browse.sql")

SCAN: Final = 20_000  # rows one page may look at: about 20 ms
STORY: Final = 200  # rows of one kind in one payment's story
HELD_COUNTED: Final = 1000  # beyond this the queue's size is "more than"
LAST_ID: Final = UUID(int=2**128 - 1)
# An id is made on arrival, created_at when the turn starts: a full queue may lie between.
_ARRIVAL_MARGIN: Final = timedelta(seconds=10)
_SCAN_ENDS: Final = {
    "time": _sql.scan_end_of_time,
    "party": _sql.scan_end_of_party,
    "waiting": _sql.scan_end_of_waiting,
    "reference": _sql.scan_end_of_reference,
}
Which = Literal["latency", "queueing"]
_WAITING: Final = frozenset({"pending", "challenged", "in_review", "authorized"})


class Filter(msgspec.Struct, frozen=True):
    """What a search asks for; None: anything. `since` and `until` bound the time of arrival."""

    party: UUID | None = None
    reference: str | None = None
    kind: str | None = None
    state: str | None = None
    risk: str | None = None
    failure: str | None = None
    currency: str | None = None
    least: int | None = None
    most: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def way(self) -> str:
        """The index to walk: the most selective one that fits."""
        if self.reference is not None:
            return "reference"
        if self.state in _WAITING:
            return "waiting"
        return "time" if self.party is None else "party"


class Page(msgspec.Struct, frozen=True):
    """Rows, and the id to continue before. `partial`: the walk ended at its bound, older rows were not looked at."""

    rows: list[Payment]
    next_before: UUID | None
    partial: bool


class RailAttempt(msgspec.Struct, frozen=True):
    """What was asked of an external rail."""

    id: UUID
    rail: str
    direction: str
    amount: int
    currency: str
    state: str
    tries: int
    due_at: datetime
    answer: str
    created_at: datetime


class Delivery(msgspec.Struct, frozen=True):
    """A webhook message about a payment."""

    id: UUID
    url: str
    topic: str
    state: str
    tries: int
    due_at: datetime
    last_answer: str
    created_at: datetime


class Story(msgspec.Struct, frozen=True):
    """What happened to a payment, as far as `payments` knows."""

    moves: list[Move]
    refunds: list[Refund]
    rail_attempts: list[RailAttempt]
    deliveries: list[Delivery]


class Count(msgspec.Struct, frozen=True):
    """Payments that arrived in one slot (`slot`: seconds since 1970) with one state, decision and currency."""

    slot: int
    state: str
    risk: str | None
    currency: str
    payments: int
    captured: int


class Sample(msgspec.Struct, frozen=True):
    """One second of the api: payments answered, and durations in microseconds (of several processes the worst)."""

    second: datetime
    payments: int
    p50_us: int
    p99_us: int
    max_us: int


class Second(msgspec.Struct, frozen=True):
    """One second of the api: orders `asked` and `failed`, what became of commands, durations in microseconds (of several
    processes the worst).
    """

    second: datetime
    asked: int
    failed: int
    payments: int
    succeeded: int
    waiting: int
    declined: int
    refused: int
    p50_us: int
    p99_us: int


class Seconds(msgspec.Struct, frozen=True):
    """What the api counted over a stretch of time: `seconds` measured in it, orders `asked` and of them `failed` by fault of
    ours, all `answers` and of them `errors`, `commands` carried through and their `turns`.
    """

    seconds: int
    asked: int
    failed: int
    answers: int
    errors: int
    commands: int
    turns: int


async def search(tx: Tx, wanted: Filter, before: UUID | None, limit: int) -> Page:
    """A page of payments, newest arrivals first, that arrived before the id `before`."""
    params = msgspec.structs.asdict(wanted) | {
        "way": wanted.way,
        "before": _earliest(before, wanted.until),
        "since": first_id_at(wanted.since) if wanted.since else NIL,
        "scan": SCAN,
        "limit": limit + 1,
    }
    rows = [Payment(*row) for row in await tx.tuples(_sql.find_payments, params)]
    if len(rows) > limit:
        return Page(rows[:limit], rows[limit - 1].id, partial=False)
    end = await tx.value(_SCAN_ENDS[wanted.way], params)
    return Page(rows, end, partial=end is not None)


def _earliest(before: UUID | None, until: datetime | None) -> UUID:
    bounds = [LAST_ID] + ([before] if before else []) + ([first_id_at(until)] if until else [])
    return min(bounds)


async def find_payments(tx: Tx, ids: Sequence[UUID]) -> list[Payment]:
    """Payments by id, newest first; unknown ids are left out."""
    return [Payment(*row) for row in await tx.tuples(_sql.payments_by_id, {"ids": list(ids)})]


async def story(tx: Tx, payment: UUID) -> Story:
    """What happened to a payment after it arrived."""
    params = {"id": payment, "limit": STORY}
    return Story(
        moves=[Move(*row) for row in await tx.tuples(_sql.moves_of, params)],
        refunds=[Refund(*row) for row in await tx.tuples(_sql.refunds_of, params)],
        rail_attempts=[RailAttempt(*row) for row in await tx.tuples(_sql.rail_attempts_of, params)],
        deliveries=[Delivery(*row) for row in await tx.tuples(_sql.deliveries_of, params)],
    )


async def held(tx: Tx, after: UUID | None, limit: int) -> list[Payment]:
    """Payments that wait for a person, the longest waiting first, after the id `after`."""
    return [Payment(*row) for row in await tx.tuples(_sql.held, {"after": after or NIL, "limit": limit})]


async def held_size(tx: Tx) -> tuple[int, datetime | None]:
    """How many wait for a person, counted up to HELD_COUNTED, and since when the first does."""
    found = await tx.tuples(_sql.held_size, {"limit": HELD_COUNTED})
    return found[0][0], found[0][1]


async def wallets_of(tx: Tx, owners: Sequence[UUID]) -> list[Wallet]:
    """The wallets of owners, by owner and currency."""
    return [Wallet(*row) for row in await tx.tuples(_sql.wallets_of, {"owners": list(owners)})]


async def wallets_by_account(tx: Tx, accounts: Sequence[UUID]) -> dict[UUID, Wallet]:
    """Whose wallets these ledger accounts are."""
    rows = await tx.tuples(_sql.wallets_by_account, {"accounts": list(accounts)})
    return {row[3]: Wallet(*row) for row in rows}


async def currencies(tx: Tx) -> list[str]:
    """The currencies in use."""
    return [row[0] for row in await tx.tuples(_sql.currencies)]


async def counts(tx: Tx, since: datetime, until: datetime, step: int) -> list[Count]:
    """Payments that arrived from `since` on and before `until`, in slots of `step` seconds."""
    params = {
        "since": since,
        "until": until,
        "first": first_id_at(max(since - _ARRIVAL_MARGIN, EPOCH)),
        "last": first_id_at(until),
        "step": step,
    }
    return [Count(*row) for row in await tx.tuples(_sql.counts, params)]


async def ended_waits(tx: Tx, after: datetime, since: datetime, until: datetime, step: int) -> list[int]:
    """The slots of `step` seconds in which payments arrived (from `since` on and before `until`) that stopped waiting
    after a moment: their figures are no longer what they were.
    """
    params = {"first": first_id_at(after), "since": since, "until": until, "step": step}
    return [row[0] for row in await tx.tuples(_sql.ended_waits, params)]


async def refusals(tx: Tx, after: UUID | None, limit: int) -> list[Payment]:
    """The newest payments that were declined or failed, newest first, among the newest SCAN after the id `after`."""
    params = {"after": after or NIL, "scan": SCAN, "limit": limit}
    return [Payment(*row) for row in await tx.tuples(_sql.refusals, params)]


async def samples(tx: Tx, since: datetime) -> list[Sample]:
    """The api's own measurements, one per second with payments in it, oldest first."""
    return [Sample(*row) for row in await tx.tuples(_sql.samples, {"since": since})]


async def seconds(tx: Tx, since: datetime, until: datetime) -> Seconds:
    """What the api counted after one moment and up to another."""
    ((*row,),) = await tx.tuples(_sql.seconds_total, {"since": since, "until": until})
    return Seconds(*row)


async def every_second(tx: Tx, since: datetime, until: datetime) -> list[Second]:
    """Each second that the api measured after one moment and up to another, oldest first."""
    rows = await tx.tuples(_sql.every_second, {"since": since, "until": until})
    return [Second(*row) for row in rows]


async def buckets(tx: Tx, which: Which, since: datetime, until: datetime) -> list[int]:
    """How many commands were in each bucket (base/histogram.py) after one moment and up to another."""
    statement = _sql.seconds_latency if which == "latency" else _sql.seconds_queueing
    counts = [0] * histogram.BUCKETS
    for place, count in await tx.tuples(statement, {"since": since, "until": until}):
        counts[place - 1] = count
    return counts


async def qr_codes_of(tx: Tx, merchant: UUID, limit: int) -> list[QrCode]:
    """A merchant's QR codes, newest first."""
    return [QrCode(*row) for row in await tx.tuples(_sql.qr_codes_of, {"merchant": merchant, "limit": limit})]

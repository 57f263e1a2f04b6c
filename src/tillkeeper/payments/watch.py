"""What payments say of themselves, for a watch that compares it with the books."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tillkeeper.base.ids import first_id_at
from tillkeeper.ledger import Snapshot
from tillkeeper.store import Tx, columns, queries

_sql = queries("tillkeeper.payments", "watch.sql")


class Claim(msgspec.Struct, frozen=True):
    """A payment's own figures; `refunds`, `refunds_amount`, `fees_returned`: its refunds; `attempts` on rails, and what
    banks `accepted`.
    """

    id: UUID
    kind: str
    state: str
    currency: str
    amount: int
    captured: int
    refunded: int
    fee: int
    held: bool
    refunds: int
    refunds_amount: int
    fees_returned: int
    attempts: int
    accepted: int


async def touched_since(tx: Tx, before: Snapshot, now: Snapshot, lower: UUID) -> list[UUID]:
    """Payments of which something is new since an earlier snapshot, among the ids from `lower` on."""
    params = {"before": before.end, "open": list(before.open), "xmax": now.end, "lower": lower}
    return [payment for (payment,) in await tx.tuples(_sql.touched_since, params)]


async def next_payments(tx: Tx, after: UUID, limit: int) -> list[UUID]:
    """The payments after an id."""
    return [each for (each,) in await tx.tuples(_sql.next_payments, {"after": after, "limit": limit})]


async def claims(tx: Tx, payments: Sequence[UUID]) -> dict[UUID, Claim]:
    """What payments say of themselves, by id; unknown ids are left out."""
    rows = await tx.tuples(_sql.claims, {"payments": columns.uuids(payments)})
    return {row[0]: Claim(*row) for row in rows}


class OnTheWay(msgspec.Struct, frozen=True):
    """Money that a bank has not said its final word on, in one currency."""

    currency: str
    attempts: int
    amount: int
    since: datetime


async def on_the_way(tx: Tx) -> list[OnTheWay]:
    """What waits for banks, by currency: this platform's clearing accounts, which should come to nothing."""
    return [OnTheWay(*row) for row in await tx.tuples(_sql.on_the_way)]


async def webhooks_of_late(tx: Tx, since: datetime) -> tuple[int, int]:
    """Webhook messages made since a moment that were tried, and how many of them have failed so far."""
    ((tried, failed),) = await tx.tuples(_sql.webhooks_of_late, {"since": first_id_at(since)})
    return tried, failed


async def webhooks_waiting(tx: Tx) -> int:
    """Webhook messages that wait, counted up to 10,000."""
    waiting: int = await tx.value(_sql.webhooks_waiting)
    return waiting

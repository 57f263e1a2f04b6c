"""News: written in the transaction that makes it true, read in order by readers that keep a cursor."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.store import columns
from tillkeeper.store.database import Tx
from tillkeeper.store.sql import queries

_sql = queries(__package__, "queries.sql")


class News(msgspec.Struct, frozen=True):
    """Something that became true. `topic` as in "payment.succeeded", `payload` JSON text."""

    at: datetime
    topic: str
    subject: UUID
    payload: str


class Delivered(msgspec.Struct, frozen=True):
    """News as a reader gets it; (xid, id) is its place in the order."""

    id: int
    xid: str
    at: datetime
    topic: str
    subject: UUID
    payload: str


async def publish(tx: Tx, news: Sequence[News]) -> None:
    """Write news; readers see it after the commit."""
    if not news:
        return
    await tx.run(
        _sql.publish,
        {
            "at": columns.times([each.at for each in news]),
            "topics": columns.texts([each.topic for each in news]),
            "subjects": columns.uuids([each.subject for each in news]),
            "payloads": columns.texts([each.payload for each in news]),
        },
    )


async def read(tx: Tx, reader: str, limit: int = limits.OUTBOX_BATCH) -> list[Delivered]:
    """The next news of a reader, oldest first. The reader's place is locked until the transaction ends."""
    place = await tx.row(_sql.lock_cursor, {"reader": reader})
    if place is None:
        await tx.run(_sql.start_cursor, {"reader": reader})
        place = await tx.row(_sql.lock_cursor, {"reader": reader})
        assert place is not None
    rows = await tx.tuples(_sql.read_news, {"xid": place.xid, "id": place.id, "limit": limit})
    return [Delivered(*row) for row in rows]


async def advance(tx: Tx, reader: str, last: Delivered) -> None:
    """Everything up to and with `last` is dealt with; to be called in the transaction that read it."""
    await tx.run(_sql.advance_cursor, {"reader": reader, "xid": last.xid, "id": last.id})


async def lag(tx: Tx, reader: str) -> tuple[int, datetime | None]:
    """How many news wait for a reader (counted up to 10,000), and since when the oldest does."""
    row = await tx.row(_sql.outbox_lag, {"reader": reader})
    assert row is not None
    return row[0], row[1]

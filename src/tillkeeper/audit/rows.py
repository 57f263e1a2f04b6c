"""The audit schema's statements, run."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import errors

from tillkeeper.audit.keys import Key
from tillkeeper.audit.tree import Frontier
from tillkeeper.audit.types import Head
from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH, from_us
from tillkeeper.base.ids import NIL
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "sealing.sql")

START: Final = ("0", NIL)
"""The first place in the order of transactions."""

LAST: Final = UUID(int=2**128 - 1)
"""No id is greater."""

NOTHING: Final = "1:1:"
"""The snapshot that sees no event."""


class Stored(msgspec.Struct, frozen=True):
    """A head as the database has it. `frontier` is what it should have come from; None when it does not give its root.

    `seen`: the snapshot whose events are all sealed; None when it is of another cluster.
    """

    head: Head
    frontier: Frontier | None
    seen: str | None


class Leaf(msgspec.Struct, frozen=True):
    """A leaf and its event's columns as texts, in the order of EVENT_FIELDS; None when the event is gone."""

    seq: int
    hash: bytes
    event: str
    columns: tuple[str | None, ...] | None


async def snapshot(tx: Tx) -> str:
    """Which transactions are visible now."""
    found: str = await tx.value(_sql.snapshot)
    return found


def following(event: UUID) -> UUID:
    """The place of the next event; after the last possible one, its own."""
    return UUID(int=min(event.int + 1, LAST.int))


async def unsealed(tx: Tx, seen: str, place: tuple[str, UUID]) -> list[tuple[Any, ...]]:
    """At most SEAL_BATCH unsealed events that a snapshot did not see, from a place in the order of transactions on."""
    params = {"seen": seen, "xid": place[0], "id": place[1], "limit": limits.SEAL_BATCH}
    return await tx.tuples(_sql.unsealed, params)


async def page_end(tx: Tx, from_id: UUID, size: int) -> UUID | None:
    """The last of `size` events from an id on; None when there are fewer."""
    found: UUID | None = await tx.value(_sql.page_end, {"from_id": from_id, "limit": size})
    return found


async def unsealed_between(tx: Tx, from_id: UUID, to: UUID) -> list[tuple[Any, ...]]:
    """The events of a range of ids, both ends included, that have no leaf."""
    return await tx.tuples(_sql.unsealed_between, {"from_id": from_id, "to": to})


async def last_head(tx: Tx) -> Stored | None:
    """The newest head."""
    row = await tx.row(_sql.last_head)
    if row is None:
        return None
    frontier = Frontier.read(row.size, bytes(row.frontier or b""))
    if frontier is not None and frontier.root() != row.root:
        frontier = None
    return Stored(_head(row), frontier, row.seen if row.plausible else None)


async def leaf_count(tx: Tx) -> int:
    """One more than the last leaf's number."""
    found: int = await tx.value(_sql.leaf_count)
    return found


async def add_leaves(tx: Tx, first: int, events: Sequence[str], hashes: Sequence[bytes]) -> None:
    """Leaves from a number on."""
    params = {"first": first, "events": columns.texts(events), "hashes": columns.blobs(hashes)}
    await tx.run(_sql.add_leaves, params)


async def add_head(tx: Tx, head: Head, frontier: Frontier, seen: str) -> None:
    """The head after a batch."""
    params = msgspec.structs.asdict(head) | {"frontier": frontier.written(), "seen": seen}
    await tx.run(_sql.add_head, params)


async def add_key(tx: Tx, key: Key) -> bool:
    """A public key in use; whether it took another's place."""
    params = {"id": key.id, "public_key": bytes.fromhex(key.public), "since": key.since}
    return bool(await tx.value(_sql.add_key, params))


async def keys(tx: Tx, until: datetime) -> list[Key]:
    """The public keys used so far, as keys that are no longer used from now on."""
    found = await tx.tuples(_sql.keys)
    return [Key(row[0], row[2], bytes(row[1]).hex(), until) for row in found]


def is_clash(error: Exception) -> bool:
    """Whether somebody else has given these numbers or sealed these events."""
    return isinstance(error, errors.UniqueViolation)


async def waiting(tx: Tx, seen: str) -> tuple[int, float]:
    """How many events that a snapshot did not see have no leaf, counted up to AUDIT_WAITING; the oldest's age in seconds."""
    ((count, seconds),) = await tx.tuples(_sql.waiting, {"seen": seen, "limit": limits.AUDIT_WAITING})
    return count, seconds


async def leaves(tx: Tx, from_seq: int, to_seq: int) -> list[Leaf]:
    """At most AUDIT_PAGE leaves of a range with their events, in order."""
    params = {"from_seq": from_seq, "to_seq": to_seq, "limit": limits.AUDIT_PAGE}
    return [_leaf(row) for row in await tx.tuples(_sql.leaves, params)]


async def event_at(tx: Tx, seq: int) -> str | None:
    """The event of a leaf; None if there is no such leaf."""
    found: str | None = await tx.value(_sql.event_at, {"seq": seq})
    return found


async def leaf_of(tx: Tx, event: UUID) -> Leaf | None:
    """An event's leaf."""
    found = await tx.tuples(_sql.leaf_of, {"event": event})
    return _leaf(found[0]) if found else None


async def hashes(tx: Tx, from_seq: int, to_seq: int) -> AsyncIterator[tuple[int, bytes]]:
    """The leaves [from_seq, to_seq) in order, read in bounded batches."""
    at = from_seq
    while found := await tx.tuples(
        _sql.hashes, {"from_seq": at, "to_seq": to_seq, "limit": limits.AUDIT_PAGE}
    ):
        for seq, each in found:
            yield seq, each
        at = found[-1][0] + 1


async def heads(tx: Tx, after: int) -> list[tuple[Head, bytes]]:
    """At most ANCHOR_READ heads larger than a size, the smallest first, each with its stored frontier."""
    found = await tx.rows(_sql.heads, {"after": after, "limit": limits.ANCHOR_READ})
    return [(_head(row), bytes(row.frontier or b"")) for row in found]


async def heads_of(tx: Tx, sizes: Sequence[int]) -> dict[int, Head]:
    """The heads of these sizes."""
    found = await tx.rows(_sql.heads_of, {"sizes": columns.bigints(sizes)})
    return {row.size: _head(row) for row in found}


async def head_from(tx: Tx, size: int) -> Head | None:
    """The first head that covers so many leaves."""
    row = await tx.row(_sql.head_from, {"size": size})
    return None if row is None else _head(row)


def _head(row: Any) -> Head:
    """A head as it is stored. What a superuser emptied or set out of range fits no signature."""
    try:
        at = from_us(int(row.at))
    except (ValueError, OverflowError, TypeError):
        at = EPOCH
    return Head(row.trail, row.size, bytes(row.root or b""), at, row.key, bytes(row.signature or b""))


def _leaf(row: tuple[Any, ...]) -> Leaf:
    return Leaf(row[0], bytes(row[1] or b""), row[2], None if row[3] is None else row[3:])

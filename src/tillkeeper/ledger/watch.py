"""The books as a watch sees them: figures that can be compared every second, of one moment, and cheaply.

The fingerprint gives every account a weight, drawn from its id. The weighted sum of all net balances must equal the sum
over all transfers of amount x (weight of the credit account - weight of the debit account). Whatever changes a balance
without a transfer, or a transfer without the balances, changes one side alone; that two faults cancel out takes a chance of
one in two thousand million. Python's integers add the two parts of each sum up, so nothing overflows.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from tillkeeper.base.ids import NIL
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "watch.sql")


class Snapshot(msgspec.Struct, frozen=True):
    """What a transaction saw: everything of transactions below `end` but the `open` ones."""

    end: int
    open: tuple[int, ...]


class CurrencyStanding(msgspec.Struct, frozen=True):
    """A currency's accounts: `net` is credits less debits; `below` accounts are out of their limit, by `missing` in all."""

    currency: str
    net: int
    fingerprint: int
    accounts: int
    below: int
    missing: int


class Moved(msgspec.Struct, frozen=True):
    """Transfers: how many, what they add to the fingerprint, and of which payments they are."""

    transfers: int
    fingerprint: int
    payments: tuple[UUID, ...] = ()


class Displaced(msgspec.Struct, frozen=True):
    """An account whose balance is not what its last transfer left."""

    account: UUID
    currency: str
    balance: int
    expected: int


class Booked(msgspec.Struct):
    """What the books say of a payment: transfers by kind (how many, how much), captured out of holds, still held."""

    transfers: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    captured: int | None = None
    held: int = 0


async def begin_watch(tx: Tx) -> Snapshot:
    """Have a transaction see one moment, at the cost of one core. To be called first."""
    await tx.run(_sql.one_snapshot)
    await tx.run(_sql.one_core)
    ((end, still_open),) = await tx.tuples(_sql.snapshot)
    return Snapshot(end, tuple(still_open))


async def standing(tx: Tx) -> list[CurrencyStanding]:
    """Every account, summed up by currency."""
    return [
        CurrencyStanding(currency, int(net), _whole(high, low), accounts, below, int(missing))
        for currency, net, high, low, accounts, below, missing in await tx.tuples(_sql.standing)
    ]


async def moved_since(tx: Tx, before: Snapshot, now: Snapshot, lower: UUID = NIL) -> Moved:
    """The transfers that an earlier snapshot did not see, among the ids from `lower` on."""
    params = {"before": before.end, "open": list(before.open), "xmax": now.end, "lower": lower}
    ((count, high, low, payments),) = await tx.tuples(_sql.moved_since, params)
    return Moved(count, _whole(high, low), tuple(payments))


async def moved_ever(tx: Tx) -> Moved:
    """All transfers, however long that takes: a million in about half a second."""
    await tx.run(_sql.long_statements)
    ((count, high, low),) = await tx.tuples(_sql.moved_ever)
    return Moved(count, _whole(high, low))


async def changed_transfers(tx: Tx) -> int:
    """How many transfers were ever changed or deleted, by the server's own count; where that rises, a hand was at work."""
    return await tx.value(_sql.changed_transfers) or 0


async def displaced(tx: Tx, limit: int) -> list[Displaced]:
    """Accounts whose balance is not the one that their last transfer left."""
    return [Displaced(*row) for row in await tx.tuples(_sql.displaced, {"limit": limit})]


async def booked_for(tx: Tx, payments: Sequence[UUID]) -> dict[UUID, Booked]:
    """What the books say of payments; those of which they know nothing are left out."""
    found: dict[UUID, Booked] = {}
    params = {"payments": columns.uuids(payments)}
    for payment, kind, count, amount in await tx.tuples(_sql.booked_for, params):
        found.setdefault(payment, Booked()).transfers[kind] = (count, amount)
    for payment, captured, held in await tx.tuples(_sql.held_for, params):
        booked = found.setdefault(payment, Booked())
        booked.captured, booked.held = captured, held
    return found


def _whole(high: object, low: object) -> int:
    return (int(high) << 31) + int(low)  # type: ignore[call-overload, no-any-return]

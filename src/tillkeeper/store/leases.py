"""Leases: one process at a time does a job, and another takes over when it dies."""

from datetime import datetime

import msgspec

from tillkeeper.base import limits
from tillkeeper.store.database import Tx
from tillkeeper.store.incarnation import is_dead
from tillkeeper.store.sql import queries

_sql = queries(__package__, "queries.sql")


class Lease(msgspec.Struct, frozen=True):
    """Who does a job, since when, and until when without renewal."""

    holder: str
    taken_at: datetime
    expires_at: datetime


async def try_take(tx: Tx, name: str, holder: str, seconds: float = limits.LEASE_SECONDS) -> bool:
    """Take a lease that is free or expired, or renew one's own; False when somebody else holds it.

    A holder's name that begins with its incarnation is seen to be dead by others on its machine: they do not wait.
    """
    params = {"name": name, "holder": holder, "seconds": seconds, "dead": None}
    if await tx.value(_sql.take_lease, params) is not None:
        return True
    other = await _held(tx, name)
    if other is None or not is_dead(other.holder):
        return False
    return await tx.value(_sql.take_lease, params | {"dead": other.holder}) is not None


async def give(tx: Tx, name: str, holder: str) -> None:
    """Give back one's own lease; somebody else's is left alone."""
    await tx.run(_sql.give_lease, {"name": name, "holder": holder})


async def holder(tx: Tx, name: str) -> Lease | None:
    """The lease, if anybody holds it now."""
    return await _held(tx, name)


async def _held(tx: Tx, name: str) -> Lease | None:
    row = await tx.row(_sql.lease_holder, {"name": name})
    return Lease(*row) if row else None

"""Audit: what people and keys did, written in the transaction that does it. Nothing here is changed or deleted."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from tillkeeper.base.ids import new_id
from tillkeeper.base.limits import PAGE_DEFAULT
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")

__all__ = ["Event", "Result", "append", "of"]

Result = Literal["done", "refused", "failed"]


class Event(msgspec.Struct, frozen=True):
    """Who did what to what, and why. `at` is UTC; `origin` is where it came from (an address, "cli")."""

    id: UUID
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    origin: str
    result: str


async def append(
    tx: Tx,
    actor: str,
    action: str,
    subject: str,
    reason: str = "",
    origin: str = "",
    result: Result = "done",
) -> None:
    """Record an act; it stands if and only if the transaction commits. The time is the database server's, so
    that no caller chooses it.

    `action` as in "payment.released". Reason and subject hold ids and field names, never values.
    """
    await tx.run(
        _sql.append,
        {
            "id": new_id(),
            "actor": actor,
            "action": action,
            "subject": subject,
            "reason": reason,
            "origin": origin,
            "result": result,
        },
    )


async def of(tx: Tx, subject: str, cursor: UUID | None = None, limit: int = PAGE_DEFAULT) -> list[Event]:
    """What was done to a subject, newest first; `cursor` is the id of the last event already seen."""
    rows = await tx.tuples(_sql.of_subject, {"subject": subject, "cursor": cursor, "limit": limit})
    return [Event(*row) for row in rows]

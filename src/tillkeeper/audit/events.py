"""Events as people write and read them: appended, listed, searched."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from tillkeeper.audit.types import Event, Filter, Page, Result
from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH
from tillkeeper.base.ids import NIL, first_id_at, new_id
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")
_LAST: Final = UUID(int=2**128 - 1)
# An id is made by the writer's clock, the time by the database's: a search by time looks so far around.
_CLOCKS: Final = timedelta(hours=1)


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


async def note_change(tx: Tx, action: str, subject: str, state: str, usual: str) -> None:
    """Record what a thing is now (a fingerprint, never a value), if that is not what the trail says of it last.

    `usual`: what it is while the trail says nothing.
    """
    last = await of(tx, subject, limit=1)
    if state != (last[0].reason if last else usual):
        await append(tx, "system", action, subject, state)


async def of(
    tx: Tx, subject: str, cursor: UUID | None = None, limit: int = limits.PAGE_DEFAULT
) -> list[Event]:
    """What was done to a subject, newest first; `cursor` is the id of the last event already seen."""
    return (await search(tx, Filter(subject=subject), cursor, limit)).events


async def search(tx: Tx, wanted: Filter, before: UUID | None, limit: int) -> Page:
    """A page of events, newest first, `before` an id. One page looks at AUDIT_SCAN events at most."""
    params = _bounds(wanted, before) | {"scan": limits.AUDIT_SCAN}
    rows = await tx.tuples(_sql.find_events, params | {"limit": limit + 1})
    events = [Event(*row) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(events, events[-1].id, partial=False)
    end: UUID | None = await tx.value(_sql.scan_end, params)
    return Page(events, end, partial=end is not None)


async def find(tx: Tx, event: UUID) -> Event | None:
    """One event."""
    rows = await tx.tuples(_sql.find_event, {"id": event})
    return Event(*rows[0]) if rows else None


async def actions(tx: Tx) -> list[str]:
    """The different actions there are, in alphabetical order, at most AUDIT_ACTIONS."""
    return [name for (name,) in await tx.tuples(_sql.actions, {"limit": limits.AUDIT_ACTIONS})]


async def last_of(tx: Tx, one: str, other: str) -> dict[str, str]:
    """Of each subject, which of two actions was the last."""
    return dict(await tx.tuples(_sql.last_of_actions, {"one": one, "other": other}))


def _bounds(wanted: Filter, before: UUID | None) -> dict[str, Any]:
    from_id = first_id_at(max(wanted.since - _CLOCKS, EPOCH)) if wanted.since else NIL
    to_id = first_id_at(max(wanted.until + _CLOCKS, EPOCH)) if wanted.until else _LAST
    return {
        "way": wanted.way,
        "actor": wanted.actor,
        "action": wanted.action,
        "subject": wanted.subject,
        "result": wanted.result,
        "since": wanted.since,
        "until": wanted.until,
        "before": min(before or _LAST, to_id),
        "from_id": from_id,
    }

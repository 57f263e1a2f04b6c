"""Plans, rehearsals, freezes and overrides as rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.plans.types import Filed, Freeze, Override, Plan, PlanState, Rehearsal, Rehearsed
from tillkeeper.store import Statement, Tx, queries

sql = queries(__package__, "queries.sql")
_plan = msgspec.json.Decoder(Plan)
_rehearsed = msgspec.json.Decoder(Rehearsed)


async def add(
    tx: Tx, plan: Plan, author: str, state: PlanState, at: datetime, replaces: UUID | None = None
) -> Filed:
    """A plan, as a draft or submitted."""
    row = {
        "id": new_id(),
        "content": plan.content.decode(),
        "digest": plan.digest,
        "goal": plan.goal,
        "author": author,
        "replaces": replaces,
        "at": at,
        "state": state,
        "submitted_at": at if state == "submitted" else None,
    }
    await tx.run(sql.add, row)
    found = await one(tx, sql.find, {"id": row["id"]})
    assert found is not None
    return found


async def one(tx: Tx, statement: Statement, params: dict[str, Any]) -> Filed | None:
    """The first plan that a statement finds."""
    found = await many(tx, statement, params)
    return found[0] if found else None


async def many(tx: Tx, statement: Statement, params: dict[str, Any]) -> list[Filed]:
    """The plans that a statement finds."""
    return [_filed(row) for row in await tx.tuples(statement, params)]


async def page(tx: Tx, states: Sequence[PlanState], before: UUID | None, limit: int) -> list[Filed]:
    """Plans in some states, the newest first."""
    return await many(tx, sql.page, {"states": list(states), "before": before, "limit": limit})


async def rehearsals(tx: Tx, digest: bytes, limit: int = limits.PAGE_DEFAULT) -> list[Rehearsal]:
    """Rehearsals of one content, the newest first."""
    rows = await tx.tuples(sql.rehearsals, {"digest": digest, "limit": limit})
    return [Rehearsal(row[0], row[1], row[2], _rehearsed.decode(row[3]), row[4], row[5]) for row in rows]


async def freezes(tx: Tx, since: datetime, until: datetime) -> list[Freeze]:
    """The freezes in force between two moments, the soonest first."""
    rows = await tx.tuples(sql.freezes, {"since": since, "until": until, "limit": limits.FREEZES})
    return [Freeze(*row) for row in rows]


async def overrides(tx: Tx, plan: UUID) -> list[Override]:
    """What two people allowed a plan against the calendar, the newest first."""
    rows = await tx.tuples(sql.overrides, {"plan": plan, "limit": limits.PAGE_DEFAULT})
    return [Override(*row) for row in rows]


def _filed(row: tuple[Any, ...]) -> Filed:
    id_, content, digest, *rest = row
    return Filed(id_, _plan.decode(content), digest, *rest)

"""The notices as they stand, for the status page, the console and the api."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.maintenance.notices.types import Notice, Told, Words
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")
_words = msgspec.json.Decoder(dict[str, Words])


async def current(tx: Tx) -> list[Notice]:
    """What is going on, the soonest begun first."""
    return [each for each in await unfinished(tx) if each.state != "scheduled"]


async def planned(tx: Tx) -> list[Notice]:
    """What is announced and has not begun, the soonest first."""
    return [each for each in await unfinished(tx) if each.state == "scheduled"]


async def history(tx: Tx, since: datetime) -> list[Notice]:
    """What ended since a moment, the newest first."""
    rows = await tx.tuples(_sql.past_notices, {"since": since, "limit": limits.NOTICES_PAST})
    return await _with_stages(tx, rows)


async def ahead(tx: Tx, now: datetime) -> list[Notice]:
    """What everybody should know now: what is going on, and what begins within NOTICE_AHEAD_SECONDS."""
    soon = now + timedelta(seconds=limits.NOTICE_AHEAD_SECONDS)
    return [each for each in await unfinished(tx) if each.state != "scheduled" or each.begins <= soon]


async def unfinished(tx: Tx) -> list[Notice]:
    """What is not over, the soonest first."""
    return await _with_stages(tx, await tx.tuples(_sql.open_notices, {"limit": limits.NOTICES_OPEN}))


async def of_plans(tx: Tx, plans: Sequence[UUID]) -> dict[UUID, Notice]:
    """The notices of plans, by plan."""
    found = await _with_stages(tx, await tx.tuples(_sql.of_plans, {"plans": list(plans)}))
    return {each.plan: each for each in found}


def header(notices: Sequence[Notice]) -> str | None:
    """The value of Till-Maintenance: the first of what everybody should know, as a list of name=value; None: nothing.

    `state=scheduled; begins=2026-11-23T02:00:00Z; ends=2026-11-23T03:30:00Z; expect=slower; notice=ntc_…`
    """
    if not notices:
        return None
    first = next((each for each in notices if each.state != "scheduled"), notices[0])
    state = "scheduled" if first.state == "scheduled" else "ongoing"
    return (
        f"state={state}; begins={_utc(first.begun_at or first.begins)}; ends={_utc(first.ends)};"
        f" expect={first.expect}; notice={first.public_id}"
    )


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


async def _with_stages(tx: Tx, rows: Sequence[tuple[Any, ...]]) -> list[Notice]:
    """Notices with what was told of them."""
    told: dict[UUID, list[Told]] = {row[0]: [] for row in rows}
    if told:
        for plan, stage, at, downtime in await tx.tuples(_sql.stages_of, {"plans": list(told)}):
            told[plan].append(Told(stage, at, downtime))
    return [
        Notice(plan, expect, _words.decode(words), begins, ends, spare, tuple(told[plan]))
        for plan, expect, words, begins, ends, spare in rows
    ]

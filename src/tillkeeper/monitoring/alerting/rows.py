"""Alerts, standings and counts as rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.monitoring.alerting.types import (
    COMPONENTS,
    Alert,
    AlertEvent,
    Count,
    EventKind,
    Silence,
    Span,
    Standing,
)
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


class Line(msgspec.Struct, frozen=True):
    """One line of a notice: an alert, and what became of it."""

    kind: EventKind
    alert: Alert


async def standings(tx: Tx) -> list[Standing]:
    """How every rule stands."""
    return [Standing(*row) for row in await tx.tuples(_sql.standings)]


async def keep_standings(tx: Tx, found: Sequence[Standing], before: datetime) -> None:
    """Keep how rules stand, and forget those nobody judged since a moment."""
    params = {
        "rules": [each.rule for each in found],
        "labels": [each.labels for each in found],
        "verdicts": [each.verdict for each in found],
        "since": [each.since for each in found],
        "at": [each.at for each in found],
        "values": _floats(each.value for each in found),
        "bounds": _floats(each.bound for each in found),
    }
    await tx.run(_sql.keep_standings, params)
    await tx.run(_sql.forget_standings, {"before": before})


async def open_alerts(tx: Tx) -> list[Alert]:
    """What lasts, locked."""
    return [Alert(*row) for row in await tx.tuples(_sql.open_alerts, {"limit": limits.ALERTS_OPEN})]


async def show_alerts(tx: Tx, limit: int = limits.ALERTS_OPEN) -> list[Alert]:
    """What lasts, pages first, then the newest first."""
    return [Alert(*row) for row in await tx.tuples(_sql.show_alerts, {"limit": limit})]


async def past_alerts(tx: Tx, since: datetime, limit: int = limits.ALERTS_PAST) -> list[Alert]:
    """What ended since a moment, the newest end first."""
    return [Alert(*row) for row in await tx.tuples(_sql.past_alerts, {"since": since, "limit": limit})]


async def past_pages(tx: Tx, rules: Sequence[str], since: datetime) -> list[Alert]:
    """The same of pages of some rules."""
    params = {"rules": list(rules), "since": since, "limit": limits.STATUS_INCIDENTS}
    return [Alert(*row) for row in await tx.tuples(_sql.past_pages, params)]


async def lock_alert(tx: Tx, alert: UUID) -> Alert | None:
    """One alert, locked."""
    rows = await tx.tuples(_sql.lock_alert, {"id": alert})
    return Alert(*rows[0]) if rows else None


async def keep_alerts(tx: Tx, found: Sequence[Alert]) -> None:
    """Keep alerts as they are now."""
    columns = {
        "ids": "id", "rules": "rule", "labels": "labels", "severities": "severity", "states": "state", "causes": "cause",
        "values": "value", "bounds": "bound", "fired": "fired_at", "told": "told_at", "acknowledged": "acknowledged_by",
        "silenced": "silenced_until", "resolved": "resolved_at",
    }  # fmt: skip
    params = {name: [getattr(each, field) for each in found] for name, field in columns.items()}
    for name in ("values", "bounds"):
        params[name] = _floats(params[name])
    if found:
        await tx.run(_sql.keep_alerts, params)


def _floats(values: Iterable[float | None]) -> list[float | None]:
    """All of one type, as the driver wants them: a count is an int."""
    return [None if value is None else float(value) for value in values]


async def note_events(
    tx: Tx, found: Sequence[tuple[UUID, EventKind]], at: datetime, person: str = "", detail: str = ""
) -> None:
    """Note what became of alerts."""
    if found:
        params: dict[str, Any] = {
            "ids": [new_id() for _ in found],
            "alerts": [alert for alert, _ in found],
            "at": [at for _ in found],
            "kinds": [kind for _, kind in found],
            "people": [person for _ in found],
            "details": [detail for _ in found],
        }
        await tx.run(_sql.note_events, params)


async def events_of(tx: Tx, alerts: Sequence[UUID]) -> dict[UUID, list[AlertEvent]]:
    """What became of some alerts, in order."""
    found: dict[UUID, list[AlertEvent]] = {}
    for row in await tx.tuples(_sql.events_of, {"alerts": list(alerts)}):
        found.setdefault(row[1], []).append(AlertEvent(*row))
    return found


async def silences(tx: Tx, now: datetime) -> list[Silence]:
    """What is silenced, the first to end first."""
    return [Silence(*row) for row in await tx.tuples(_sql.silences_now, {"now": now})]


async def counted_until(tx: Tx, since: datetime) -> datetime | None:
    """Until when objectives have counted, if they did since a moment."""
    found: datetime | None = await tx.value(_sql.counted_until, {"since": since})
    return found


async def count(tx: Tx, found: Mapping[str, Count], until: datetime) -> None:
    """Add what objectives counted up to a moment."""
    minute = until.replace(second=0, microsecond=0)
    params: dict[str, Any] = {
        "objectives": list(found),
        "minutes": [minute for _ in found],
        "goods": [each.good for each in found.values()],
        "totals": [each.total for each in found.values()],
        "blinds": [each.blind for each in found.values()],
        "seen": [until for _ in found],
    }
    await tx.run(_sql.count_minutes, params)


async def counted(
    tx: Tx, objectives: Sequence[str], since: Sequence[datetime]
) -> dict[tuple[str, datetime], Count]:
    """What each objective counted since each of some moments."""
    params = {"objectives": list(objectives), "since": list(since)}
    rows = await tx.tuples(_sql.counted_windows, params)
    return {(objective, moment): Count(*counts) for objective, moment, *counts in rows}


async def last_spans(tx: Tx) -> dict[str, tuple[UUID, Span]]:
    """Every component's newest span by the agent."""
    rows = await tx.tuples(_sql.last_spans, {"components": list(COMPONENTS)})
    return {row[1]: (row[0], Span(*row[1:])) for row in rows}


async def prolong_spans(tx: Tx, ids: Sequence[UUID], now: datetime) -> None:
    """Components that were seen again as they were."""
    if ids:
        await tx.run(_sql.prolong_spans, {"ids": list(ids), "now": now})


async def add_spans(tx: Tx, found: Sequence[Span]) -> None:
    """Components that stand otherwise."""
    if found:
        params: dict[str, Any] = {
            "ids": [new_id() for _ in found],
            "components": [each.component for each in found],
            "states": [each.state for each in found],
            "begun": [each.begun_at for each in found],
            "seen": [each.seen_at for each in found],
            "by": [each.seen_by for each in found],
            "causes": [each.cause for each in found],
        }
        await tx.run(_sql.add_spans, params)


async def spans_since(tx: Tx, since: datetime) -> list[Span]:
    """How components stood since a moment."""
    rows = await tx.tuples(_sql.spans_since, {"since": since, "limit": limits.STATUS_SPANS})
    return [Span(*row) for row in rows]


async def tell(tx: Tx, lines: Sequence[Line], now: datetime, due_at: datetime) -> None:
    """Have people told of something: with the notice that still waits if it has room, else with new ones."""
    waiting = await tx.row(_sql.open_notice, {"now": now})
    before = msgspec.json.decode(waiting.lines, type=list[Line]) if waiting else []
    if waiting and len(before) + len(lines) <= limits.ALERT_LINES:
        text = msgspec.json.encode([*before, *lines]).decode()
        await tx.run(_sql.add_lines, {"id": waiting.id, "lines": text})
        return
    for place in range(0, len(lines), limits.ALERT_LINES):
        text = msgspec.json.encode(lines[place : place + limits.ALERT_LINES]).decode()
        await tx.run(_sql.add_notice, {"id": new_id(), "at": now, "lines": text, "due_at": due_at})


async def undelivered(tx: Tx, since: datetime) -> int:
    """How many notices could not be delivered since a moment."""
    return int(await tx.value(_sql.undelivered, {"since": since}))


async def forget_old(tx: Tx, before: datetime) -> None:
    """Forget what is past its age."""
    for statement in (_sql.forget_minutes, _sql.forget_spans, _sql.forget_notices):
        await tx.run(statement, {"before": before})

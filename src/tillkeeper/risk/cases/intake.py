"""From alerts to cases: what early warning queued belongs to a case within a second; and whoever is late is told once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from msgspec.structs import replace

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.risk.cases import rows
from tillkeeper.risk.cases.clocks import due, raised_due, severity_of, worse
from tillkeeper.risk.cases.types import Case, Waiting
from tillkeeper.store import Store, Tx

SYSTEM = "system"


class Clerk:
    """The agent's loop that opens cases and watches their clocks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if await self.beat() < limits.CASE_INTAKE:
                await asyncio.sleep(limits.CASE_LOOK_SECONDS)

    async def beat(self) -> int:
        """One look; how many alerts were taken in."""
        async with self._store.tx("cases") as tx:
            taken = await take_in(tx, self._clock.now())
            await note_late(tx, self._clock.now())
        return taken


async def take_in(tx: Tx, now: datetime) -> int:
    """Give each waiting alert its case: the subject's open one, or a new one. How many there were, CASE_INTAKE at most."""
    since = now - timedelta(days=limits.CASE_INTAKE_DAYS)
    found = await rows.waiting(tx, since, limits.CASE_INTAKE)
    ordered = sorted(found, key=lambda each: (each.subject.int, each.subject_kind, each.id.int))
    for _, alerts in groupby(ordered, key=lambda each: (each.subject, each.subject_kind)):
        await _join(tx, list(alerts), now)
    return len(found)


async def _join(tx: Tx, alerts: Sequence[Waiting], now: datetime) -> None:
    case, is_new = await rows.open_or_lock(tx, alerts[0], now)
    count, newest, loss = await rows.join_alerts(tx, case.id, [each.id for each in alerts])
    after = _opened(case, count, newest, loss) if is_new else _grown(case, count, newest, loss, now)
    await rows.keep(tx, after)
    if is_new:
        await rows.note(tx, case.id, "opened", now, detail=after.severity)
        await audit.append(tx, SYSTEM, "case.opened", case.public_id, after.severity)
    elif after.severity != case.severity:
        await rows.note(tx, case.id, "raised", now, detail=after.severity)
        await audit.append(tx, SYSTEM, "case.raised", case.public_id, after.severity)


def _opened(case: Case, count: int, newest: datetime, loss: int) -> Case:
    """A new case with its first alerts."""
    severity = severity_of(loss)
    due_at = due(severity, case.opened_at)
    return replace(
        case, alerts=count, alerted_at=newest, expected_loss=loss, severity=severity, due_at=due_at
    )


def _grown(case: Case, count: int, newest: datetime, more: int, now: datetime) -> Case:
    """A case with further alerts. More may be lost by them, so it may be due sooner; never later."""
    loss = case.expected_loss + more
    severity = worse(case.severity, severity_of(loss))
    return replace(
        case,
        alerts=case.alerts + count,
        alerted_at=max(case.alerted_at, newest),
        expected_loss=loss,
        severity=severity,
        due_at=case.due_at if severity == case.severity else raised_due(case.due_at, severity, now),
    )


async def note_late(tx: Tx, now: datetime) -> int:
    """Write down which cases nobody decided in time; how many were new. The alert about them is monitoring's."""
    found = await rows.late(tx, now)
    for case in found:
        await rows.keep(tx, replace(case, overdue_at=now))
        await rows.note(tx, case.id, "overdue", now, detail=case.severity)
        await audit.append(
            tx, SYSTEM, "case.overdue", case.public_id, f"due {case.due_at:%Y-%m-%d %H:%M} UTC"
        )
    return len(found)

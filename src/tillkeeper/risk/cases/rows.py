"""The statements of cases, run."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import first_id_at, new_id
from tillkeeper.risk.cases.clocks import due
from tillkeeper.risk.cases.types import Case, CaseAlert, CaseEvent, EventKind, Verdict, Waiting
from tillkeeper.store import Statement, Tx, columns, queries

_sql = queries(__package__, "queries.sql")

Queued = Literal["open", "free", "mine", "late"]
"""Which open cases: all, those nobody works on, one's own, those past their due time."""

_QUEUES: Final[Mapping[Queued, Statement]] = {
    "open": _sql.queue_open,
    "free": _sql.queue_free,
    "mine": _sql.queue_mine,
    "late": _sql.queue_late,
}


async def waiting(tx: Tx, since: datetime, limit: int) -> list[Waiting]:
    """Alerts within the budget, found since a moment, that belong to no case yet; the oldest first."""
    params = {"first": first_id_at(since), "limit": limit}
    return [Waiting(*row) for row in await tx.tuples(_sql.waiting, params)]


async def open_or_lock(tx: Tx, alert: Waiting, now: datetime) -> tuple[Case, bool]:
    """The open case of an alert's subject, locked, and whether it was opened just now."""
    params = {
        "id": new_id(),
        "subject_kind": alert.subject_kind,
        "subject": alert.subject,
        "currency": alert.currency,
        "now": now,
        "due_at": due("low", now),
    }
    while True:  # ends: who closed the case between the two statements closed it once
        made = await tx.value(_sql.open_case, params)
        found = await tx.tuples(_sql.lock_open, params)
        if found:
            return Case(*found[0]), made is not None


async def join_alerts(tx: Tx, case: UUID, alerts: Sequence[UUID]) -> tuple[int, datetime, int]:
    """Let alerts belong to a case, which is locked: how many they are, when the newest was, and how much more may be lost by
    them in minor units.
    """
    params = {"alerts": columns.uuids(alerts), "case_id": case}
    ((count, newest, loss),) = await tx.tuples(_sql.join_alerts, params)
    return count, newest, loss


async def find(tx: Tx, case: UUID) -> Case | None:
    """One case."""
    rows = await tx.tuples(_sql.find_case, {"id": case})
    return Case(*rows[0]) if rows else None


async def lock(tx: Tx, case: UUID) -> Case | None:
    """One case, until the transaction ends."""
    rows = await tx.tuples(_sql.lock_case, {"id": case})
    return Case(*rows[0]) if rows else None


async def keep(tx: Tx, case: Case) -> None:
    """Write a case as it is now."""
    await tx.run(_sql.keep_case, msgspec.structs.asdict(case))


async def note(tx: Tx, case: UUID, kind: EventKind, at: datetime, person: str = "", detail: str = "") -> None:
    """Write what became of a case."""
    event = {"id": new_id(), "case_id": case, "at": at, "kind": kind, "person": person, "detail": detail}
    await tx.run(_sql.note, event)


async def add_verdict(tx: Tx, case: UUID, verdict: Verdict) -> None:
    """Write what somebody decided."""
    params = msgspec.structs.asdict(verdict) | {"case_id": case, "payments": columns.uuids(verdict.payments)}
    await tx.run(_sql.add_verdict, params)


async def decided(tx: Tx, payments: Collection[UUID], subject: UUID) -> set[UUID]:
    """Those of the payments that risk decided about and in which the subject paid or was paid."""
    params = {"payments": columns.uuids(payments), "subject": subject}
    return {row[0] for row in await tx.tuples(_sql.decided_payments, params)}


async def other_open(tx: Tx, case: Case) -> UUID | None:
    """Another open case of the same subject."""
    params = {"subject": case.subject, "subject_kind": case.subject_kind, "id": case.id}
    found: UUID | None = await tx.value(_sql.other_open, params)
    return found


async def late(tx: Tx, now: datetime) -> list[Case]:
    """Open cases past their due time that nobody was told of, locked; a bounded number."""
    params = {"now": now, "limit": limits.CASE_INTAKE}
    return [Case(*row) for row in await tx.tuples(_sql.late, params)]


async def alerts_of(tx: Tx, case: UUID) -> list[CaseAlert]:
    """What a case is made of, the largest expected loss first, CASE_ALERTS at most."""
    params = {"case_id": case, "limit": limits.CASE_ALERTS}
    rows = await tx.tuples(_sql.alerts_of, params)
    return [CaseAlert(*row) for row in rows]


async def events_of(tx: Tx, case: UUID) -> list[CaseEvent]:
    """What became of a case, oldest first, the newest CASE_EVENTS."""
    params = {"case_id": case, "limit": limits.CASE_EVENTS}
    return [CaseEvent(*row) for row in await tx.tuples(_sql.events_of, params)]


async def verdicts_of(tx: Tx, case: UUID) -> list[Verdict]:
    """What was decided about a case, oldest first, the newest CASE_EVENTS."""
    rows = await tx.tuples(_sql.verdicts_of, {"case_id": case, "limit": limits.CASE_EVENTS})
    return [Verdict(*row) for row in rows]


async def cases_of(tx: Tx, subject: UUID) -> list[Case]:
    """The newest cases of a subject, open or decided."""
    params = {"subject": subject, "limit": limits.CASES_EARLIER}
    return [Case(*row) for row in await tx.tuples(_sql.cases_of, params)]


async def cases_of_payments(tx: Tx, payments: Collection[UUID]) -> dict[UUID, UUID]:
    """The newest case that each payment is in; payments in none are left out."""
    rows = await tx.tuples(_sql.cases_of_payments, {"payments": columns.uuids(payments)})
    return dict(rows)


async def labels_of(tx: Tx, payments: Collection[UUID]) -> dict[UUID, bool]:
    """The newest word on each payment: whether it was fraud. Payments without one are left out."""
    rows = await tx.tuples(_sql.labels_of_payments, {"payments": columns.uuids(payments)})
    return dict(rows)


async def payments_of(tx: Tx, case: UUID) -> list[tuple[UUID, UUID, UUID]]:
    """(payment, customer, payee) of the payments alerted about, the newest first, CASE_ALERTS at most."""
    rows = await tx.tuples(_sql.payments_of, {"case_id": case, "limit": limits.CASE_ALERTS})
    return [(row[0], row[1], row[2]) for row in rows]


async def queue(
    tx: Tx, show: Queued, person: str, now: datetime, before: tuple[int, UUID], limit: int
) -> list[Case]:
    """Open cases below a place in the queue, the largest expected loss first."""
    params = {"now": now, "person": person, "loss": before[0], "before": before[1], "limit": limit}
    return [Case(*row) for row in await tx.tuples(_QUEUES[show], params)]


async def past(tx: Tx, before: tuple[datetime, UUID], limit: int) -> list[Case]:
    """Decided cases, the newest decision first."""
    params = {"closed_at": before[0], "before": before[1], "limit": limit}
    return [Case(*row) for row in await tx.tuples(_sql.past, params)]


async def counts(tx: Tx, now: datetime, person: str) -> tuple[int, int, int, int]:
    """Open cases, those past due, those claimed, those of one person; each counted up to CASES_COUNTED."""
    params = {"now": now, "person": person, "limit": limits.CASES_COUNTED}
    ((is_open, is_late, claimed, mine),) = await tx.tuples(_sql.counts, params)
    return is_open, is_late, claimed, mine


async def losses(tx: Tx) -> dict[str, int]:
    """What may be lost in the open cases, by currency, minor units."""
    return dict(await tx.tuples(_sql.losses, {"limit": limits.CASES_COUNTED}))


async def count_late(tx: Tx, now: datetime) -> int:
    """How many open cases are past their due time, counted up to CASES_COUNTED."""
    return int(await tx.value(_sql.count_late, {"now": now, "limit": limits.CASES_COUNTED}))


async def count_open(tx: Tx) -> int:
    """How many cases are open, counted up to CASES_COUNTED."""
    return int(await tx.value(_sql.count_open, {"limit": limits.CASES_COUNTED}))

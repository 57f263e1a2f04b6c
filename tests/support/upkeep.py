"""Plans and runs as rows, for tests of what stands above them."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.plans import NoticeText, Plan, Step, Window


def plan_of(begin: datetime | None = None, **changes: Any) -> Plan:
    """A plan of one step, an hour from `begin` on."""
    window = Window(begin, begin + timedelta(hours=1)) if begin else None
    made = Plan(
        goal="Find payments by reference faster",
        reason="support waits 4 s for each search",
        owner="anna",
        steps=(
            Step(
                "index.create", {"table": "payments.payments"}, title="Build the index", expected_seconds=3.0
            ),
        ),
        window=window,
        notice=NoticeText(lead_hours=24.0),
    )
    return msgspec.structs.replace(made, **changes)


async def approved(admin: psycopg.AsyncConnection, plan: Plan, at: datetime) -> UUID:
    """A plan that two people agreed to."""
    id_ = new_id()
    await admin.execute(
        "INSERT INTO maintenance.plans (id, content, digest, goal, author, made_at, state, submitted_at, approval,"
        " approved_by, approved_at, approved_until)"
        " VALUES (%s, %s, %s, %s, 'anna', %s, 'approved', %s, %s, 'bert', %s, %s)",
        (id_, plan.content.decode(), plan.digest, plan.goal, at, at, new_id(), at, at + timedelta(days=7)),
    )
    return id_


async def end_plan(admin: psycopg.AsyncConnection, plan: UUID, state: str, at: datetime) -> None:
    """A plan comes to its end."""
    await admin.execute(
        "UPDATE maintenance.plans SET state = %s, ended_at = %s, ended_by = 'anna' WHERE id = %s",
        (state, at, plan),
    )


async def ran(
    admin: psycopg.AsyncConnection,
    plan_id: UUID,
    plan: Plan,
    state: str,
    begun_at: datetime | None,
    ended_at: datetime | None = None,
) -> UUID:
    """A run of a plan, as far as its row."""
    id_ = new_id()
    await admin.execute("UPDATE maintenance.plans SET run = %s WHERE id = %s", (id_, plan_id))
    await admin.execute(
        "INSERT INTO maintenance.runs (id, plan, digest, content, rehearsal, state, asked_by, asked_at, begun_at, ended_at)"
        " VALUES (%s, %s, %s, %s, false, %s, 'anna', %s, %s, %s)",
        (id_, plan_id, plan.digest, plan.content.decode(), state, begun_at or ended_at, begun_at, ended_at),
    )
    return id_


async def change_run(
    admin: psycopg.AsyncConnection, run: UUID, state: str, ended_at: datetime | None = None
) -> None:
    """A run goes on."""
    await admin.execute(
        "UPDATE maintenance.runs SET state = %s, ended_at = %s WHERE id = %s", (state, ended_at, run)
    )


async def wrote(
    admin: psycopg.AsyncConnection, run: UUID, *events: tuple[datetime, str, int | None, dict[str, Any]]
) -> None:
    """Lines of a run's journal, in order: when, what, which step, detail."""
    for seq, (at, kind, step, detail) in enumerate(events, 1):
        await admin.execute(
            "INSERT INTO maintenance.journal (run, seq, at, fence, kind, step, attempt, by, detail)"
            " VALUES (%s, %s, %s, 1, %s, %s, %s, 'agent', %s)",
            (run, seq, at, kind, step, None if step is None else 1, json.dumps(detail)),
        )
    await admin.execute("UPDATE maintenance.runs SET events = %s WHERE id = %s", (len(events), run))


async def measured(
    admin: psycopg.AsyncConnection, since: datetime, seconds: int, *, asked: int = 20, failed: int = 0
) -> None:
    """So many seconds of the api after a moment, all alike."""
    await admin.execute(
        "INSERT INTO payments.samples (at, process, turns, payments, p50_us, p99_us, max_us, asked, failed)"
        " SELECT %s + n * interval '1 second', 'one', 4, %s, 4000, 9000, 12000, %s, %s"
        " FROM generate_series(1, %s) AS n",
        (since, asked, asked, failed, seconds),
    )

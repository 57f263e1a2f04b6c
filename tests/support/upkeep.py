"""Plans and runs as rows, for tests of what stands above them."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.plans import NoticeText, Plan, Step, Window
from tillkeeper.store import Store


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


async def a_run(
    admin: psycopg.AsyncConnection, clock: ManualClock, *, ended: str = "succeeded"
) -> tuple[UUID, UUID, Plan]:
    """A run of 20 s that was paused once; in two of its seconds all failed."""
    plan = plan_of(clock.now() - timedelta(minutes=5))
    plan_id = await approved(admin, plan, clock.now())
    await measured(admin, clock.now() - timedelta(seconds=60), 65)
    begun = clock.now()
    run = await ran(admin, plan_id, plan, "running", begun)
    light = {"measure": "payments.success_rate", "usual": 99.9, "limit": None, "samples": 40, "at": begun}
    at = [begun + timedelta(seconds=each) for each in range(21)]
    verdicts = [
        msgspec.to_builtins(light | {"verdict": verdict, "value": value, "said": said})
        for verdict, value, said in (
            ("pass", 99.9, ""),
            ("inconclusive", None, "3 samples"),
            ("pass", 99.8, ""),
        )
    ]
    last = "step_done" if ended == "succeeded" else "step_failed"
    await wrote(
        admin,
        run,
        (at[0], "asked", None, {"said": ""}),
        (at[0], "preflight", None, {"ok": True, "findings": [{"code": "disk", "said": "room", "ok": True}]}),
        (at[0], "begun", None, {"reversible": [True], "baseline": {}}),
        (at[0], "step_begun", 0, {}),
        (at[1], "verdict", None, verdicts[0]),
        (at[5], "verdict", None, verdicts[1]),
        (at[5], "paused", None, {"cause": "inconclusive", "said": "too few payments"}),
        (at[8], "resumed", None, {"said": "it is night"}),
        (at[8], "verdict", None, verdicts[2]),
        (at[18], last, 0, {"index": "payments_by_reference", "bytes": 8192, "said": "no room left"}),
        (at[20], "ended", None, {"state": ended, "said": ""}),
    )
    await measured(admin, begun + timedelta(seconds=5), 2, failed=20)
    await measured(admin, begun + timedelta(seconds=7), 40)
    clock.advance(20)
    await change_run(admin, run, ended, clock.now())
    await end_plan(admin, plan_id, "done", clock.now())
    return run, plan_id, plan


async def told(store: Store) -> list[tuple[str, dict[str, Any]]]:
    """News so far, in the order it was written; a reader would wait for whatever else is at work on the server."""
    async with store.tx("told") as tx:
        rows = await tx.tuples(b"SELECT topic, payload FROM store.outbox ORDER BY id")
    return [(topic, payload) for topic, payload in rows]

"""Reports, their reviews, and what is to be done about them."""

from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Filed, Plan
from tillkeeper.maintenance.reports.signing import document_of
from tillkeeper.maintenance.reports.types import Document, Listed, Review, Task
from tillkeeper.maintenance.runs import Run
from tillkeeper.store import News, Tx, outbox, queries

_sql = queries(__package__, "queries.sql")

PREFIX: Final = "rep"
TASK_PREFIX: Final = "tsk"
COUNTED: Final = 99  # of what nobody has reviewed, for the badge
_DONE: Final = ("done", "kept")


async def keep(tx: Tx, run: Run, document: Document, file: bytes, clock: Clock) -> UUID | None:
    """Keep a report with its tasks, and tell; None where this end of the run was reported on before."""
    id_, now = new_id(), clock.now()
    row = {
        "id": id_,
        "run": run.id,
        "ended_at": run.ended_at,
        "plan": run.plan,
        "goal": document.plan.goal,
        "owner": document.plan.owner,
        "outcome": document.outcome,
        "made_at": now,
        "document": file.decode(),
    }
    if await tx.value(_sql.add_report, row) is None:
        return None
    for item in document.items:
        task = {"id": new_id(), "report": id_, "owner": document.plan.owner, "made_at": now}
        await tx.run(_sql.add_task, task | msgspec.structs.asdict(item))
    payload = {
        "report": to_typeid(PREFIX, id_),
        "run": run.public,
        "outcome": document.outcome,
        "owner": document.plan.owner,
        "balanced": document.money.balanced,
    }
    news = News(now, "report.written", id_, msgspec.json.encode(payload).decode())
    await outbox.publish(tx, [news])
    return id_


async def unreported(tx: Tx, ended: list[Run]) -> list[Run]:
    """Of runs that have ended those whose end nobody reported on."""
    known = {
        (run, at) for run, at in await tx.tuples(_sql.ends_reported, {"runs": [each.id for each in ended]})
    }
    return [each for each in ended if (each.id, each.ended_at) not in known]


async def listed(tx: Tx, before: UUID | None = None, limit: int = limits.PAGE_DEFAULT) -> list[Listed]:
    """Reports, the newest first, before an id."""
    return [_listed(row) for row in await tx.tuples(_sql.reports, {"before": before, "limit": limit})]


async def find(tx: Tx, id_: UUID) -> Listed | None:
    """One report by its id, or the newest of a run."""
    rows = await tx.tuples(_sql.find_report, {"id": id_})
    return _listed(rows[0]) if rows else None


async def file_of(tx: Tx, report: UUID) -> bytes | None:
    """A report's signed JSON, byte for byte."""
    text: str | None = await tx.value(_sql.document, {"id": report})
    return None if text is None else text.encode()


async def count_unreviewed(tx: Tx) -> int:
    """How many reports nobody has reviewed, up to COUNTED + 1."""
    return int(await tx.value(_sql.count_unreviewed, {"limit": COUNTED + 1}))


async def review(
    tx: Tx, report: UUID, person: str, remark: str, clock: Clock, *, origin: str = ""
) -> Refusal | None:
    """Say that one has read a report, and what one thinks. Refuses unknown_report, report_reviewed, and a remark with
    personal data: it goes on record.
    """
    if refusal := gossip(remark, "remark"):
        return refusal
    found = await find(tx, report)
    if found is None:
        return _UNKNOWN
    row = {"report": found.id, "person": person, "remark": remark, "at": clock.now()}
    if await tx.value(_sql.review, row) is None:
        return Refusal("report_reviewed", f"{found.review.person} did" if found.review else "look again")
    await audit.append(tx, person, "report.reviewed", to_typeid(PREFIX, found.id), remark, origin)
    return None


async def tasks_of(tx: Tx, report: UUID) -> list[Task]:
    """What is to be done about a report."""
    return [Task(*row) for row in await tx.tuples(_sql.tasks_of, {"report": report})]


async def open_tasks(tx: Tx, limit: int = limits.PAGE_MAX) -> list[Task]:
    """What is to be done about all of them, the oldest first."""
    return [Task(*row) for row in await tx.tuples(_sql.open_tasks, {"limit": limit})]


async def find_task(tx: Tx, task: UUID) -> Task | None:
    """One task."""
    found = await _locked(tx, task)
    return None if isinstance(found, Refusal) else found


async def finish_task(tx: Tx, task: UUID, person: str, clock: Clock, *, origin: str = "") -> Task | Refusal:
    """A task is done. Refuses unknown_task; what was done before is done."""
    found = await _locked(tx, task)
    if isinstance(found, Refusal) or found.state == "done":
        return found
    await tx.run(_sql.do_task, {"id": task, "by": person, "at": clock.now()})
    await audit.append(tx, person, "task.done", to_typeid(TASK_PREFIX, task), found.code, origin)
    return msgspec.structs.replace(found, state="done", done_at=clock.now(), done_by=person)


async def plan_task(
    tx: Tx, task: UUID, goal: str, person: str, clock: Clock, *, origin: str = ""
) -> Filed | Refusal:
    """Make a draft of the next plan from a task; pressed again, it finds the first. `goal`: the task in words.

    Refuses unknown_task, and what plans refuses.
    """
    found = await _locked(tx, task)
    if isinstance(found, Refusal):
        return found
    if found.plan is not None and (made := await plans.get(tx, found.plan)) is not None:
        return made
    file = await file_of(tx, found.report)
    assert file is not None  # a task has a report
    drafted = await plans.draft(tx, next_plan(document_of(file), goal, person), person, clock, origin=origin)
    if isinstance(drafted, Refusal):
        return drafted
    await tx.run(_sql.plan_task, {"id": task, "plan": drafted.id})
    await audit.append(tx, person, "task.planned", to_typeid(TASK_PREFIX, task), drafted.public_id, origin)
    return drafted


def next_plan(document: Document, goal: str, owner: str) -> Plan:
    """What the next plan may begin from: the steps that were not done, or all where all were; its window is to be chosen."""
    plan = document.plan
    left = tuple(
        step for step, part in zip(plan.steps, document.steps, strict=True) if part.state not in _DONE
    )
    return msgspec.structs.replace(
        plan,
        goal=goal[: limits.MAX_TEXT],
        reason=f"{document.run}: {plan.goal}"[: limits.MAX_TEXT],
        owner=owner,
        steps=left or plan.steps,
        window=None,
    )


async def _locked(tx: Tx, task: UUID) -> Task | Refusal:
    rows = await tx.tuples(_sql.lock_task, {"id": task})
    return Task(*rows[0]) if rows else Refusal("unknown_task", "check the id")


def _listed(row: tuple[Any, ...]) -> Listed:
    id_, run, plan, goal, owner, outcome, made_at, person, remark, at, open_ = row
    review_ = None if person is None else Review(person, remark, at)
    return Listed(id_, run, plan, goal, owner, outcome, made_at, review_, open_)


_UNKNOWN: Final = Refusal("unknown_report", "check the id")

"""What is to be told now: a pure function of what was told, the plan, its run, and the time."""

from datetime import datetime, timedelta
from typing import Final

from tillkeeper.maintenance.notices.types import Notice, Stage
from tillkeeper.maintenance.plans import Plan
from tillkeeper.maintenance.runs import Run, RunState

_END: Final[dict[RunState, Stage]] = {
    "succeeded": "completed",
    "undone": "undone",
    "aborted": "undone",
    "failed": "failed",
}


def announced(plan: Plan, now: datetime) -> bool:
    """Whether an approved plan is told of by now: from its lead time on, until its window ends."""
    if plan.window is None or plan.notice is None:
        return False
    return plan.window.begin - timedelta(hours=plan.notice.lead_hours) <= now < plan.window.end


def of_run(plan: Plan, run: Run) -> bool:
    """Whether a run is told of: a real one that has begun, of a plan that says what to expect."""
    return plan.notice is not None and not run.rehearsal and run.begun_at is not None


def due(notice: Notice, run: Run | None, now: datetime, *, agreed: bool) -> tuple[Stage, ...]:
    """The stages that are to be told now, in order. `agreed`: the plan may still run."""
    told = {each.stage for each in notice.told}
    if notice.over:
        return ()
    if run is None or run.begun_at is None:
        if notice.run is None and (not agreed or now >= notice.ends):
            return ("cancelled",) if "scheduled" in told else ()
        return ()
    begun: tuple[Stage, ...] = () if "begun" in told else ("begun",)
    if (end := _END.get(run.state)) is not None:
        return (*begun, end)
    late = now >= notice.ends and "delayed" not in told
    return (*begun, "delayed") if late else begun

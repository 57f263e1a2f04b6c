"""What is to be told now: a pure function of what was told, the plan, its run, and the time."""

from datetime import datetime, timedelta
from typing import Final

from tillkeeper.maintenance.notices.types import Notice, Stage
from tillkeeper.maintenance.plans import Filed
from tillkeeper.maintenance.runs import Run, RunState

_END: Final[dict[RunState, Stage]] = {
    "succeeded": "completed",
    "undone": "undone",
    "aborted": "undone",
    "failed": "failed",
}


def announced(filed: Filed, now: datetime) -> bool:
    """Whether customers know of a plan by now: it is agreed to, and its lead time has come."""
    window, notice = filed.plan.window, filed.plan.notice
    if filed.state != "approved" or window is None or notice is None:
        return False
    return window.begin - timedelta(hours=notice.lead_hours) <= now < window.end


def due(notice: Notice | None, filed: Filed, run: Run | None, now: datetime) -> tuple[Stage, ...]:
    """The stages that are to be told now, in order. `run`: that of the plan, if it has one."""
    if filed.plan.notice is None or (notice is not None and notice.over):
        return ()
    told = {each.stage for each in notice.told} if notice else set()
    first: tuple[Stage, ...] = ("scheduled",) if "scheduled" not in told and announced(filed, now) else ()
    if run is None or run.begun_at is None:
        return ("cancelled",) if told == {"scheduled"} and _is_off(filed, run, now) else first
    begun: tuple[Stage, ...] = () if "begun" in told else ("begun",)
    if (end := _END.get(run.state)) is not None:
        return (*begun, end)
    ends = notice.ends if notice else filed.plan.window.end if filed.plan.window else None
    late = ends is not None and now >= ends and "delayed" not in told
    return (*begun, "delayed") if late else begun


def _is_off(filed: Filed, run: Run | None, now: datetime) -> bool:
    """Whether what was announced will not begin any more."""
    late = filed.plan.window is not None and now >= filed.plan.window.end
    return filed.state != "approved" or late or (run is not None and run.ended_at is not None)

"""A run as pages, the command line and reports show it."""

from datetime import datetime
from uuid import UUID

from tillkeeper.maintenance.plans import Step as Planned
from tillkeeper.maintenance.runs import journal
from tillkeeper.maintenance.runs.fold import StepStanding
from tillkeeper.maintenance.runs.journal import Story
from tillkeeper.maintenance.runs.types import Now, RunView, StepView
from tillkeeper.store import Tx


async def view(tx: Tx, run: UUID) -> RunView | None:
    """Everything about a run; None if there is none."""
    story = await journal.load(tx, run)
    return view_of(story) if story else None


def view_of(story: Story) -> RunView:
    """The same, of what was read."""
    standing, now = story.standing, story.now
    at = story.run.ended_at or now.at or story.run.asked_at
    steps = tuple(
        _step(place, planned, step, now, at)
        for place, (planned, step) in enumerate(zip(story.plan.steps, standing.steps, strict=True))
    )
    reason = {"paused": standing.said, "waiting": now.said}.get(standing.state, "")
    return RunView(story.run, story.plan, steps, now.lights, reason, story.events, now.at)


def _step(place: int, planned: Planned, step: StepStanding, now: Now, at: datetime) -> StepView:
    busy = step.state in {"running", "undoing"} and not step.finished
    end = step.ended_at or at
    seconds = max(0.0, (end - step.begun_at).total_seconds()) if step.begun_at else None
    share = 1.0 if step.finished else now.share if busy else 0.0
    return StepView(
        place,
        planned.kind,
        planned.title or planned.kind,
        step.state,
        step.attempts,
        share,
        now.said if busy else step.said,
        seconds,
        planned.expected_seconds,
        step.evidence or step.saved,
    )

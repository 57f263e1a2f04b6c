"""A rehearsal as it is written down in production: a run of its own kind, so that whoever waits for it can watch."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Filed
from tillkeeper.maintenance.runs import journal
from tillkeeper.maintenance.runs.fold import Standing
from tillkeeper.maintenance.runs.types import AGENT, EventKind, Now, Run
from tillkeeper.store import Store, Tx


class GivenUpError(Exception):
    """Somebody else ended this rehearsal: it goes on for nobody."""


class Diary:
    """One rehearsal's lines. Only the process that rehearses writes them."""

    def __init__(self, store: Store, run: Run, standing: Standing, clock: Clock) -> None:
        self.run = run
        self._store = store
        self._standing = standing
        self._clock = clock
        self._told = float("-inf")

    @classmethod
    async def opened(cls, store: Store, filed: Filed, by: str, clock: Clock) -> "Diary | Refusal":
        """That of the rehearsal that was asked for, or of a new one. Refuses run_open."""
        async with store.tx("rehearsal begins") as tx:
            run = await ask_rehearsal(tx, filed.id, by, clock)
            if isinstance(run, Refusal):
                return run
            story = await journal.load(tx, run.id, lock=True)
            assert story is not None
            if story.standing.begun:
                return journal.busy(run)
            diary = cls(store, run, story.standing, clock)
            await diary._append(tx, "begun", None, {})
        return diary

    async def write(
        self, kind: EventKind, step: int | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """One more line. Raises GivenUpError."""
        async with self._store.tx("rehearsal") as tx:
            await self._append(tx, kind, step, detail or {})

    async def tell(self, share: float, said: str) -> None:
        """How far it is; written at most once a second."""
        if self._clock.monotonic() - self._told < limits.RUN_GUARD_SECONDS:
            return
        self._told = self._clock.monotonic()
        async with self._store.tx("rehearsal now") as tx:
            now = Now(self._clock.now(), share, said[: limits.RUN_SAYING])
            await journal.note_now(tx, self.run.id, journal.PERSON, now)

    async def _append(self, tx: Tx, kind: EventKind, step: int | None, detail: Mapping[str, Any]) -> None:
        attempts = self._standing.steps[step].attempts if step is not None else None
        attempt = None if attempts is None else attempts + (kind == "step_begun")
        line = journal.line(self.run.id, kind, self._clock, step=step, attempt=attempt, detail=detail)
        after = await journal.append(tx, line, self._standing)
        if after is None:
            raise GivenUpError(f"{self.run.public} was ended by somebody else")
        self._standing = after


async def ask_rehearsal(tx: Tx, plan_id: UUID, who: str, clock: Clock) -> Run | Refusal:
    """Have a plan rehearsed: the agent does it in a process of its own. The same question waits once.

    Refuses unknown_plan, plan_state, and run_open while another plan is rehearsed.
    """
    filed = await plans.get(tx, plan_id)
    if filed is None:
        return Refusal("unknown_plan", "check the id")
    if filed.state not in {"submitted", "rehearsed"}:
        return Refusal("plan_state", f"it is {filed.state}: only what is submitted is rehearsed")
    other = await journal.other_run(tx, rehearsal=True)
    if other is not None and await _silent(tx, other, clock):
        await give_up(tx, other, clock)
        other = None
    if other is not None:
        return other if other.plan == plan_id and other.state == "waiting" else journal.busy(other)
    run = await journal.ask(tx, new_id(), plan_id, filed.plan, who, clock, rehearsal=True)
    assert run is not None  # one asks at a time
    await audit.append(tx, who, "plan.rehearsal_asked", filed.public_id)
    return run


async def _silent(tx: Tx, run: Run, clock: Clock) -> bool:
    """Whether the process of a rehearsal that has begun says nothing any more."""
    story = await journal.load(tx, run.id)
    assert story is not None
    heard = max(story.events[-1].at, story.now.at or run.asked_at)
    return run.state != "waiting" and (clock.now() - heard).total_seconds() > limits.REHEARSAL_SILENT_SECONDS


async def give_up(tx: Tx, run: Run, clock: Clock, said: str = "its process ended") -> None:
    """End a rehearsal that nobody works at."""
    story = await journal.load(tx, run.id, lock=True)
    if story is None or story.run.ended_at is not None:
        return
    detail = {"state": "failed", "said": said}
    line = journal.line(run.id, "ended", clock, by=AGENT, detail=detail)
    await journal.append(tx, line, story.standing)

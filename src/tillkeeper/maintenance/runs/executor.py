"""Carries one run through: asks what is next, does it, writes it down; meanwhile the guardrails are watched and people heard."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Plan
from tillkeeper.maintenance.runs.guard import Guard
from tillkeeper.maintenance.runs.guardrails import MONEY, changed, doubtful, failing
from tillkeeper.maintenance.runs.journal import Story
from tillkeeper.maintenance.runs.next import (
    Action,
    Begin,
    Do,
    End,
    Pause,
    Preflight,
    PutBack,
    Rest,
    Undo,
    Verify,
    decide,
)
from tillkeeper.maintenance.runs.pen import Pen
from tillkeeper.maintenance.runs.types import Light, RunState
from tillkeeper.maintenance.runs.work import Bell, Outcome, Watched
from tillkeeper.maintenance.steps import Aborted, Evidence, Finding, Kind, Kinds, Site
from tillkeeper.store import is_transient

log = logging.getLogger(__name__)


class Gate(Protocol):
    """What must be so before a run begins, and how long it may go on."""

    async def closed(self, plan_id: UUID, plan: Plan) -> str:
        """Why the calendar does not let it begin now; empty: it may."""
        ...

    async def edge(self, plan_id: UUID, plan: Plan) -> datetime | None:
        """Where the time of a run under way ends; None: nowhere in sight."""
        ...

    async def findings(self, plan_id: UUID, plan: Plan) -> Sequence[Finding]:
        """What stands in the way."""
        ...


class Executor:
    """One run, carried by the agent that holds the fence. `die`: ends this process."""

    def __init__(
        self,
        site: Site,
        kinds: Kinds,
        gate: Gate,
        guard: Guard,
        story: Story,
        fence: int,
        die: Callable[[], None],
    ) -> None:
        self._site = site
        self._kinds = kinds
        self._gate = gate
        self._guard = guard
        self._plan = story.plan
        self._plan_id = story.run.plan
        self._taken_over = any(0 < event.fence < fence for event in story.events)
        self._bell = Bell()
        self._go = asyncio.Event()
        self._pen = Pen(site.store, site.clock, story, fence, self._turned)
        self._work = Watched(site.clock, self._bell, self._resting, self._stopping, die)
        self._asked_calendar = float("-inf")
        self._closed = ""
        self._edge: datetime | None = None
        self._turned()

    async def carry(self) -> None:
        """Until the run has ended. Raises FencedError (in a group) when another agent has taken over."""
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._listen()), group.create_task(self._watch())]
            if self._taken_over:
                await self._pen.write("taken_over")
            while (action := await self._next()) is not None:
                await self._act(action)
            for task in beside:
                task.cancel()
        await self._note_end()

    async def _note_end(self) -> None:
        self._pen.now = msgspec.structs.replace(self._pen.now, share=0.0, said="", at=self._site.clock.now())
        await self._pen.listen(note=True)

    # -- what people and guardrails say

    def _turned(self) -> None:
        """The run stands otherwise than before."""
        if self._resting():
            self._go.clear()
        else:
            self._go.set()
        self._bell.ring()

    def _resting(self) -> bool:
        return self._pen.standing.state == "paused"

    def _stopping(self) -> bool:
        """Whether a step is to stop now: all is to be undone, or nobody can see what it does to the money."""
        standing = self._pen.standing
        return standing.state == "undoing" or (standing.state == "paused" and standing.cause == "blind")

    async def _listen(self) -> None:
        """Hear what people want, and tell them how the moment stands."""
        told = float("-inf")
        while True:
            now = self._site.clock.monotonic()
            note = now - told >= limits.RUN_GUARD_SECONDS
            if note:
                told = now
                self._pen.now = msgspec.structs.replace(self._pen.now, at=self._site.clock.now())
            try:
                await self._pen.listen(note=note)
            except Exception as error:
                if not is_transient(error):
                    raise
            await asyncio.sleep(limits.RUN_LOOK_SECONDS)

    async def _watch(self) -> None:
        """Look at the guardrails while it runs, and while it is paused."""
        while True:
            began = self._site.clock.monotonic()
            standing = self._pen.standing
            if standing.begun and standing.state in {"running", "paused"}:
                await self._react(await self._guard.look(standing.baseline))
            pause = limits.RUN_MONEY_SECONDS if self._at_money() else limits.RUN_GUARD_SECONDS
            await asyncio.sleep(max(0.0, began + pause - self._site.clock.monotonic()))

    def _at_money(self) -> bool:
        """Whether the step at work writes where money is kept."""
        steps = zip(self._plan.steps, self._pen.standing.steps, strict=True)
        return any(
            step.state == "running" and self._kinds[planned.kind].money_risk for planned, step in steps
        )

    async def _react(self, lights: tuple[Light, ...]) -> None:
        self._pen.now = msgspec.structs.replace(self._pen.now, lights=lights)
        bad = failing(lights)
        if bad is not None:
            detail = {"said": f"{bad.measure}: {bad.said}", "measure": bad.measure}
            while self._pen.standing.state in {"running", "paused"}:
                await self._pen.write("undo_asked", detail=detail, decision=True)
        for light in changed(lights, self._pen.standing.verdicts):
            await self._pen.write("verdict", detail=msgspec.to_builtins(light))
        unclear = doubtful(lights, self._pen.standing.waived)
        if bad is None and unclear and self._pen.standing.state == "running":
            blind = any(light.measure == MONEY for light in unclear)
            said = "; ".join(f"{light.measure}: {light.said}" for light in unclear)[: limits.RUN_SAYING]
            names = [light.measure for light in unclear]
            cause = "blind" if blind else "inconclusive"
            await self._pause(cause, said, names)

    async def _pause(self, cause: str, said: str, unclear: Sequence[str] = ()) -> None:
        detail = {"cause": cause, "said": said, "doubtful": list(unclear)}
        await self._pen.write("paused", detail=detail, decision=True)

    # -- what is next

    async def _next(self) -> Action | None:
        clock = self._site.clock
        if clock.monotonic() - self._asked_calendar >= limits.RUN_GUARD_SECONDS:
            try:
                await self._ask_calendar()
            except Exception as error:  # PostgreSQL is away for a moment: what it said last holds
                if not is_transient(error):
                    raise
        return decide(self._plan, self._pen.standing, clock.now(), self._closed, self._edge)

    async def _ask_calendar(self) -> None:
        standing = self._pen.standing
        if standing.state == "waiting":
            self._closed = await self._gate.closed(self._plan_id, self._plan)
            self._tell(0.0, self._closed)
        elif standing.begun:
            self._edge = await self._gate.edge(self._plan_id, self._plan)
        self._asked_calendar = self._site.clock.monotonic()

    async def _act(self, action: Action) -> None:
        match action:
            case Rest():
                await self._bell.wait(limits.RUN_LOOK_SECONDS)
            case Preflight():
                await self._preflight()
            case Begin():
                await self._begin()
            case Do(step, attempt):
                await self._do(step, attempt)
            case Verify(step):
                await self._verify(step)
            case Undo(step, attempt):
                await self._undo(step, attempt)
            case Pause(cause, said):
                await self._pause(cause, said)
            case PutBack(said):
                await self._pen.write("undo_asked", detail={"said": said}, decision=True)
            case End(state, said):
                await self._end(state, said)

    async def _end(self, state: RunState, said: str) -> None:
        """Write the end. Where everything is put back and the money is still wrong, a person must look."""
        if state in {"undone", "aborted"}:
            money = await self._guard.look_at_money()
            if money.verdict == "fail":
                state, said = "failed", f"{MONEY}: {money.said}"
        await self._pen.write("ended", detail={"state": state, "said": said}, decision=True)

    async def _preflight(self) -> None:
        found = await self._looked(self._findings())
        if found is None:
            return
        detail = {"ok": not _wrong(found), "findings": msgspec.to_builtins(found)}
        if await self._pen.write("preflight", detail=detail, decision=True):
            await self._hold_back(found)

    async def _looked(self, looking: Coroutine[Any, Any, list[Finding]]) -> list[Finding] | None:
        """What was found; None where there was no time for it, or no database."""
        outcome = await self._work.carry(looking, limits.RUN_PREFLIGHT_SECONDS)
        if outcome.state in {"stopped", "cut"}:
            await self._bell.wait(limits.RUN_LOOK_SECONDS)
            return None
        found: list[Finding] = outcome.value or []
        return found if outcome.state == "done" else [Finding("preflight_failed", outcome.said)]

    async def _hold_back(self, found: Sequence[Finding]) -> bool:
        """Pause where something stands in the way; whether it does."""
        if wrong := _wrong(found):
            await self._pause("preflight", "; ".join(wrong)[: limits.RUN_SAYING])
        return bool(wrong)

    async def _findings(self) -> list[Finding]:
        """What stands in the way: of the plan, of its first step, and the books as they are."""
        found = list(await self._gate.findings(self._plan_id, self._plan))
        found += await self._step_findings(0)
        money = await self._guard.look_at_money()
        said = money.said or "the books are in order"
        return [*found, Finding("books", said, ok=money.verdict == "pass")]

    async def _step_findings(self, place: int) -> list[Finding]:
        """What stands in the way of a step. It may need what the step before it makes, so it is asked when its turn comes."""
        kind, given = self._kind(place)
        return list(await kind.preflight(self._site, given))

    async def _begin(self) -> None:
        baseline = await self._guard.baseline()
        reversible = [self._kinds[each.kind].reversible for each in self._plan.steps]
        detail = {"reversible": reversible, "baseline": baseline}
        await self._pen.write("begun", detail=detail, decision=True)

    async def _do(self, place: int, attempt: int) -> None:
        # Not at a second try: what the first one left lies in its way, and is its own to clear.
        if place and attempt == 1:
            found = await self._looked(self._step_findings(place))
            if found is None or await self._hold_back(found):
                return
        if not await self._pen.write("step_begun", step=place, attempt=attempt, decision=True):
            return
        kind, given = self._kind(place)
        outcome = await self._carry(place, kind.run(self._site, given, _Attempt(self, place, attempt)))
        if outcome.state == "done":
            await self._pen.write("step_done", step=place, attempt=attempt, detail=outcome.value)
        elif outcome.state == "failed":
            await self._failed(place, attempt, outcome)
        elif outcome.state == "cut":
            await self._bell.wait(limits.RUN_RETRY_SECONDS)

    async def _verify(self, place: int) -> None:
        step = self._pen.standing.steps[place]
        kind, given = self._kind(place)
        outcome = await self._carry(place, kind.verify(self._site, given, step.evidence))
        if outcome.state in {"stopped", "cut"}:
            await self._bell.wait(limits.RUN_RETRY_SECONDS if outcome.state == "cut" else 0.0)
            return
        found: list[Finding] = list(outcome.value or ())
        wrong = [each.said for each in found if not each.ok] or ([outcome.said] if outcome.said else [])
        if wrong:
            await self._failed(place, step.attempts, Outcome("failed", found, "; ".join(wrong)))
        else:
            detail = {"findings": msgspec.to_builtins(found)}
            await self._pen.write("step_verified", step=place, attempt=step.attempts, detail=detail)

    async def _failed(self, place: int, attempt: int, outcome: Outcome) -> None:
        detail: dict[str, Any] = {"said": outcome.said[: limits.RUN_SAYING]}
        if outcome.value:
            detail["findings"] = msgspec.to_builtins(outcome.value)
        await self._pen.write("step_failed", step=place, attempt=attempt, detail=detail)
        if self._pen.standing.steps[place].failures < self._plan.steps[place].tries:
            await self._bell.wait(limits.RUN_RETRY_SECONDS)

    async def _undo(self, place: int, attempt: int) -> None:
        if not await self._pen.write("undo_begun", step=place, attempt=attempt, decision=True):
            return
        step, (kind, given) = self._pen.standing.steps[place], self._kind(place)
        known = step.evidence or step.saved
        as_one = _Attempt(self, place, attempt, to_the_end=True)
        undoing = kind.undo(self._site, given, known, as_one)
        outcome = await self._carry(place, undoing, to_the_end=True)
        if outcome.state == "done":
            await self._pen.write("undo_done", step=place, attempt=attempt, detail=outcome.value)
            return
        if outcome.state != "cut":
            said = outcome.said or "it stopped by itself"
            await self._pen.write("undo_failed", step=place, attempt=attempt, detail={"said": said})
        await self._bell.wait(limits.RUN_RETRY_SECONDS)

    def _kind(self, place: int) -> tuple[Kind, Any]:
        planned = self._plan.steps[place]
        return self._kinds[planned.kind], plans.parameters(planned, self._kinds)

    async def _carry(
        self, place: int, work: Coroutine[Any, Any, Any], *, to_the_end: bool = False
    ) -> Outcome:
        self._tell(0.0, "")
        seconds = self._plan.steps[place].timeout_seconds or limits.RUN_STEP_SECONDS
        return await self._work.carry(work, seconds, to_the_end=to_the_end)

    def _tell(self, share: float, said: str) -> None:
        self._pen.now = msgspec.structs.replace(
            self._pen.now, share=min(1.0, max(0.0, share)), said=said[: limits.RUN_SAYING]
        )

    # -- what a step's attempt calls

    def saved(self, place: int) -> Evidence:
        """What a step kept last."""
        return self._pen.standing.steps[place].saved

    async def save(self, place: int, attempt: int, state: Evidence) -> None:
        """Keep how far a step is."""
        await self._pen.write("step_saved", step=place, attempt=attempt, detail=state)

    def tell(self, share: float, said: str) -> None:
        """How far the step at work is."""
        self._tell(share, said)

    async def rest(self) -> None:
        """Wait while the run is paused. Raises Aborted."""
        await self._go.wait()
        if self._stopping():
            raise Aborted


def _wrong(found: Sequence[Finding]) -> list[str]:
    return [each.said for each in found if not each.ok]


class _Attempt:
    """One try of a step, as the step sees it. `to_the_end`: an undo, which neither rests nor stops."""

    def __init__(self, executor: Executor, place: int, attempt: int, *, to_the_end: bool = False) -> None:
        self._executor = executor
        self._place = place
        self._attempt = attempt
        self._to_the_end = to_the_end

    @property
    def saved(self) -> Evidence:
        return self._executor.saved(self._place)

    async def save(self, state: Evidence) -> None:
        await self._executor.save(self._place, self._attempt, state)

    async def progress(self, share: float, said: str = "") -> None:
        self._executor.tell(share, said)

    async def checkpoint(self) -> None:
        if not self._to_the_end:
            await self._executor.rest()

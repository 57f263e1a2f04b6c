"""A rehearsal as it is written down in production: a run of its own kind, so that whoever waits for it can watch."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance.plans import Filed
from tillkeeper.maintenance.runs import journal
from tillkeeper.maintenance.runs.fold import Standing
from tillkeeper.maintenance.runs.types import EventKind, Now, Run
from tillkeeper.store import Store, Tx, is_transient


class GivenUpError(Exception):
    """Somebody else ended this rehearsal: it goes on for nobody."""


class Diary:
    """One rehearsal's lines. Only the process that rehearses writes them."""

    def __init__(self, store: Store, run: Run, standing: Standing, clock: Clock) -> None:
        self.run = run
        self._store = store
        self._standing = standing
        self._clock = clock
        self._now = Now()

    @classmethod
    async def opened(cls, store: Store, filed: Filed, by: str, clock: Clock) -> "Diary | Refusal":
        """A new one. Refuses plan_state, and run_open while another rehearsal is under way."""
        if filed.state not in {"submitted", "rehearsed"}:
            return Refusal("plan_state", f"it is {filed.state}: only what is submitted is rehearsed")
        async with store.tx("rehearsal begins") as tx:
            other = await journal.other_run(tx, rehearsal=True)
            if other is not None and not await _gave_up(tx, other, clock):
                return journal.busy(other)
            run = await journal.ask(tx, new_id(), filed.id, filed.plan, by, clock, rehearsal=True)
            assert run is not None  # one asks at a time
            story = await journal.load(tx, run.id)
            assert story is not None
            diary = cls(store, run, story.standing, clock)
            await diary._append(tx, "begun", None, {})
        return diary

    async def write(
        self, kind: EventKind, step: int | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """One more line. Raises GivenUpError."""
        async with self._store.tx("rehearsal") as tx:
            await self._append(tx, kind, step, detail or {})

    def tell(self, share: float, said: str) -> None:
        """How far it is."""
        self._now = Now(None, share, said[: limits.RUN_SAYING])

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Says every second of the block how far it is, and that its process lives."""
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            now = msgspec.structs.replace(self._now, at=self._clock.now())
            try:
                async with self._store.tx("rehearsal now") as tx:
                    await journal.note_now(tx, self.run.id, journal.PERSON, now)
            except Exception as error:
                if not is_transient(error):
                    raise
            await asyncio.sleep(limits.RUN_GUARD_SECONDS)

    async def _append(self, tx: Tx, kind: EventKind, step: int | None, detail: Mapping[str, Any]) -> None:
        attempts = self._standing.steps[step].attempts if step is not None else None
        attempt = None if attempts is None else attempts + (kind == "step_begun")
        line = journal.line(self.run.id, kind, self._clock, step=step, attempt=attempt, detail=detail)
        after = await journal.append(tx, line, self._standing)
        if after is None:
            raise GivenUpError(f"{self.run.public} was ended by somebody else")
        self._standing = after


async def _gave_up(tx: Tx, run: Run, clock: Clock) -> bool:
    """End a rehearsal whose process says nothing any more; False if it is still heard."""
    story = await journal.load(tx, run.id, lock=True)
    assert story is not None
    heard = max(story.events[-1].at, story.now.at or run.asked_at)
    if (clock.now() - heard).total_seconds() <= limits.REHEARSAL_SILENT_SECONDS:
        return False
    detail = {"state": "failed", "said": "its process ended"}
    return (
        await journal.append(tx, journal.line(run.id, "ended", clock, detail=detail), story.standing)
        is not None
    )

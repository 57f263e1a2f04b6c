"""Writes a run's journal for the agent at work: fenced, in order with what people write, through restarts of PostgreSQL."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.runs import journal
from tillkeeper.maintenance.runs.fold import Standing, apply
from tillkeeper.maintenance.runs.journal import FencedError, Story
from tillkeeper.maintenance.runs.people import tell
from tillkeeper.maintenance.runs.types import AGENT, ENDS, Event, EventKind, Now
from tillkeeper.store import Store, Tx, is_transient

log = logging.getLogger(__name__)

_TOLD: Final[Mapping[EventKind, str]] = {
    "begun": "run.begun",
    "paused": "run.paused",
    "undo_asked": "run.undoing",
    "ended": "run.ended",
}
"""Lines that are news and stand in the audit trail, and as what."""


class Pen:
    """`standing` is the run as far as it was read; `changed` is called when it changes."""

    def __init__(
        self, store: Store, clock: Clock, story: Story, fence: int, changed: Callable[[], None]
    ) -> None:
        self.run = story.run
        self.standing: Standing = story.standing
        self.now = Now()
        self._store = store
        self._clock = clock
        self._fence = fence
        self._changed = changed
        self._lock = asyncio.Lock()

    async def write(
        self,
        kind: EventKind,
        *,
        step: int | None = None,
        attempt: int | None = None,
        detail: Mapping[str, Any] | None = None,
        decision: bool = False,
    ) -> bool:
        """One more line. A `decision` is only written if nobody has written meanwhile: else it is to be made anew, and False.

        Raises FencedError, and what the store raises when PostgreSQL stays away.
        """
        line = journal.line(
            self.run.id, kind, self._clock, fence=self._fence, step=step, attempt=attempt, detail=detail
        )
        async with self._lock:
            for left in reversed(range(limits.RUN_WRITE_TRIES)):
                try:
                    if await self._try(line) or await self._read(line):
                        return True
                except Exception as error:
                    if not (left and is_transient(error)):
                        raise
                    await asyncio.sleep(limits.RUN_LOOK_SECONDS)
                    continue
                if decision:
                    return False
        raise RuntimeError(f"others wrote before every one of {limits.RUN_WRITE_TRIES} tries of {kind}")

    async def listen(self, *, note: bool) -> None:
        """Read what people wrote; `note`: tell them how the moment stands. Raises FencedError."""
        async with self._lock:
            if note:
                async with self._store.tx("run now") as tx:
                    await journal.note_now(tx, self.run.id, self._fence, self.now)
            await self._read()

    async def _try(self, line: Event) -> bool:
        async with self._store.tx("run journal") as tx:
            after = await journal.append(tx, line, self.standing)
            if after is None:
                return False
            if (topic := _TOLD.get(line.kind)) is not None:
                await self._announce(tx, topic, after)
        self._turn(after)
        return True

    async def _announce(self, tx: Tx, topic: str, after: Standing) -> None:
        await tell(tx, self.run, topic, after, self._clock)
        said = f"{after.state} {after.said}".strip()
        result: audit.Result = "failed" if after.state == "failed" else "done"
        await audit.append(tx, AGENT, topic, self.run.public, said, result=result)
        if after.state in ENDS:
            await plans.finish(tx, self.run.id, self._clock)

    async def _read(self, mine: Event | None = None) -> bool:
        """Read the lines that were not seen; whether `mine`, which seemed lost with its connection, is among them."""
        async with self._store.tx("run lines") as tx:
            inside = await journal.is_inside(tx, self._fence)
            new = await journal.lines(tx, self.run.id, self.standing.seen)
        standing = self.standing
        for event in new:
            standing = apply(standing, event)
        if new:
            self._turn(standing)
        if not inside:
            raise FencedError("another agent carries the runs out")
        return mine is not None and any(
            (event.fence, event.kind, event.step, event.at) == (mine.fence, mine.kind, mine.step, mine.at)
            for event in new
        )

    def _turn(self, standing: Standing) -> None:
        self.standing = standing
        self._changed()

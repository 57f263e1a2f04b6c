"""The agent's part: one worker takes the fence and carries out whatever run is open, until it is cancelled."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable

from tillkeeper.base import limits
from tillkeeper.maintenance.runs import journal
from tillkeeper.maintenance.runs.executor import Executor, Gate
from tillkeeper.maintenance.runs.guard import Books, Guard
from tillkeeper.maintenance.runs.journal import FencedError, Story
from tillkeeper.maintenance.steps import Kinds, Site

log = logging.getLogger(__name__)


def end_this_process() -> None:
    """For work that does not stop: the agent is started again, and goes on where the journal ends."""
    os.kill(os.getpid(), signal.SIGKILL)


class Worker:
    """Carries runs out at a site. `gate`: what must be so before one begins; `books`: looks at the money."""

    def __init__(
        self,
        site: Site,
        kinds: Kinds,
        gate: Gate,
        books: Books,
        die: Callable[[], None] = end_this_process,
    ) -> None:
        self._site = site
        self._kinds = kinds
        self._gate = gate
        self._books = books
        self._die = die

    async def run(self) -> None:
        """Until cancelled. Once another agent has taken the fence this one does nothing more: it has lost its lease."""
        async with self._site.store.tx("take fence") as tx:
            fence = await journal.take_fence(tx)
        try:
            while True:
                story = await self._open()
                if story is None:
                    await asyncio.sleep(limits.RUN_IDLE_SECONDS)
                else:
                    await self._carry(story, fence)
        except* FencedError as error:
            log.warning("runs are left to another agent: %s", error.exceptions[0])
        await asyncio.Event().wait()

    async def _open(self) -> Story | None:
        async with self._site.store.tx("open run") as tx:
            run = await journal.open_run(tx)
            return await journal.load(tx, run.id) if run else None

    async def _carry(self, story: Story, fence: int) -> None:
        log.info("run %s: %s", story.run.public, story.plan.goal)
        site = self._site
        guard = Guard(site.store, self._books, story.plan.guardrails, site.clock)
        await Executor(site, self._kinds, self._gate, guard, story, fence, self._die).carry()

"""How long a step made others wait: the locks of tables on the copy, looked at again and again while it is at work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Owner, as_owner, queries

_sql = queries(__package__, "queries.sql")


class Locks:
    """The longest that anybody waited for a table, and that a step held one from those who write."""

    def __init__(self, clock: Clock) -> None:
        self.waited_ms = 0.0
        self.held_ms = 0.0
        self._clock = clock
        self._since: dict[tuple[int, int, str], float] = {}

    async def look(self, owner: Owner) -> None:
        """Once."""
        now = self._clock.monotonic()
        seen: dict[tuple[int, int, str], float] = {}
        for row in await owner.rows(_sql.lock_waits):
            if not row.granted and not row.step:
                self.waited_ms = max(self.waited_ms, 1000 * row.waited)
            elif row.granted and row.step:
                held = (row.pid, row.relation, row.mode)
                seen[held] = self._since.get(held, now)
                self.held_ms = max(self.held_ms, 1000 * (now - seen[held]))
        self._since = seen


@asynccontextmanager
async def watched_locks(admin_url: str, clock: Clock) -> AsyncIterator[Locks]:
    """The locks of the block."""
    locks = Locks(clock)

    async def look() -> None:
        async with as_owner(admin_url, "rehearsal locks") as owner:
            while True:
                await locks.look(owner)
                await asyncio.sleep(limits.REHEARSAL_LOCKS_SECONDS)

    task = asyncio.create_task(look())
    try:
        yield locks
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

"""Keeps one anchor up to the newest head, apart from the sealing: an anchor that hangs or fails delays nobody."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from tillkeeper.audit import rows
from tillkeeper.audit.anchors import Anchor, AnchorError
from tillkeeper.audit.events import append, of
from tillkeeper.audit.keys import Ring
from tillkeeper.audit.types import Head, Result
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Store

log = logging.getLogger(__name__)
ACTOR: Final = "system"
FAILED: Final = "anchor.failed"
RECOVERED: Final = "anchor.recovered"
CONTRADICTED: Final = "anchor.contradicted"


class Keeper:
    """One anchor. What befalls it is told to the log and to the trail itself."""

    def __init__(self, anchor: Anchor, store: Store, clock: Clock) -> None:
        self._anchor, self._store, self._clock = anchor, store, clock
        self._task: asyncio.Task[None] | None = None
        self._size: int | None = None  # anchored; None before the first look
        self._due = clock.monotonic()
        self._told_at: float | None = None
        self._failing = False

    def tend(self, head: Head, ring: Ring) -> None:
        """Begin to anchor a head, unless it is, or one is being anchored, or it is too soon."""
        busy = self._task is not None and not self._task.done()
        if not busy and head.size != self._size and self._clock.monotonic() >= self._due:
            self._task = asyncio.create_task(self._keep(head, ring))

    async def settled(self) -> None:
        """Wait until nothing is being written."""
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        """Give up what is under way: the next start anchors the newest head first of all."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._size = None
        with suppress(AnchorError):
            await self._anchor.close()

    async def _keep(self, head: Head, ring: Ring) -> None:
        try:
            if self._size is None:
                await self._compare(ring)
            await self._anchor.put(head)
        except Exception as error:  # noqa: BLE001 - an anchor's trouble is its own
            self._due = self._clock.monotonic() + limits.ANCHOR_RETRY_SECONDS
            await self._tell(str(error) if isinstance(error, AnchorError) else repr(error))
        else:
            self._due = self._clock.monotonic() + self._anchor.pause
            self._size = head.size
            await self._tell(None)

    async def _compare(self, ring: Ring) -> None:
        """At the start: does the database still hold what was anchored last? If not, the trail says so, once."""
        last = await self._anchor.last(ring.trail)
        if last is None or ring.lost(last.size, last.at):
            return
        async with self._store.tx("audit anchors") as tx:
            stored = (await rows.heads_of(tx, [last.size])).get(last.size)
            if stored is not None and stored.root == last.root:
                return
            log.error("audit: %s has a head of %d events that the database has not: till audit verify", self._anchor.name, last.size)  # fmt: skip
            found, told = f"head of {last.size} events", await of(tx, self._anchor.name, limit=1)
            if not told or (told[0].action, told[0].reason) != (CONTRADICTED, found):
                await append(tx, ACTOR, CONTRADICTED, self._anchor.name, found, result="failed")

    async def _tell(self, trouble: str | None) -> None:
        """Log and record a change for the worse or the better; one that comes and goes, not more often than bearable."""
        now = self._clock.monotonic()
        soon = self._told_at is not None and now - self._told_at < limits.ANCHOR_NEWS_SECONDS
        if (trouble is not None) == self._failing or (soon and trouble is not None):
            return
        self._failing, self._told_at = trouble is not None, now
        log.warning(
            "audit: %s %s", self._anchor.name, f"cannot be used: {trouble}" if trouble else "works again"
        )
        action = RECOVERED if trouble is None else FAILED
        result: Result = "done" if trouble is None else "failed"
        try:
            async with self._store.tx("audit anchors") as tx:
                await append(tx, ACTOR, action, self._anchor.name, result=result)
        except Exception as error:  # noqa: BLE001 - the database is away: the log has it
            log.warning("audit: that could not be recorded: %r", error)

"""Living through the stored history again, in order of arrival: payments, and what else customers did."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Container, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tillkeeper.base.clock import EPOCH
from tillkeeper.base.ids import first_id_at
from tillkeeper.risk import logins, rows, windows
from tillkeeper.risk.profiles import LATENESS_US, WATERMARK_BLOCK, Profiles
from tillkeeper.risk.types import Attempt, Event
from tillkeeper.store import Tx

REBUILD_BATCH: Final = 4096
REMEMBERED: Final = timedelta(microseconds=windows.MEMORY + LATENESS_US)
NOBODY: Final = frozenset[UUID]()


async def relive(
    tx: Tx,
    profiles: Profiles,
    *,
    now: datetime,
    batch: int | None = None,
    but: Container[UUID] = NOBODY,
) -> None:
    """Take what is still remembered into profiles that are empty: payments and events as they came, then labels.

    `batch`: rows at one time, and others may do something in between. `but`: ids that are left out.
    """
    size = batch or REBUILD_BATCH
    first = await rows.first_to_remember(tx, 2 * WATERMARK_BLOCK, REMEMBERED)
    since = first_id_at(max(now - REMEMBERED, EPOCH))
    events = _Events(tx, since if first is None else min(first, since), size)
    if first is not None:
        async for attempts in rows.attempts_from(tx, first, size):
            await _together(profiles, attempts, events, but)
            await asyncio.sleep(0)
    await _rest(profiles, events, but)
    if first is not None:
        async for labels in rows.labels_from(tx, first, size):
            for payment, fraud in labels:
                profiles.learn(payment, fraud=fraud)
            await asyncio.sleep(0)


async def _together(
    profiles: Profiles, attempts: Sequence[Attempt], events: "_Events", but: Container[UUID]
) -> None:
    """Payments, and the events that came between them."""
    wanted = [each for each in attempts if each.id not in but]
    before = [each for each in await events.until(attempts[-1].id) if each.id not in but]
    place = 0
    for event in before:
        end = place
        while end < len(wanted) and wanted[end].id < event.id:
            end += 1
        if end > place:
            profiles.observe(wanted[place:end])
            place = end
        profiles.observe_events([event])
    if place < len(wanted):
        profiles.observe(wanted[place:])


async def _rest(profiles: Profiles, events: "_Events", but: Container[UUID]) -> None:
    """What came after the last payment."""
    while found := await events.more():
        wanted = [each for each in found if each.id not in but]
        if wanted:
            profiles.observe_events(wanted)
        await asyncio.sleep(0)


class _Events:
    """Events in their order, read as they are wanted."""

    def __init__(self, tx: Tx, first: UUID, batch: int) -> None:
        self._source: AsyncIterator[list[Event]] = logins.events_after(tx, UUID(int=first.int - 1), batch)
        self._read: deque[Event] = deque()
        self._ended = False

    async def until(self, last: UUID) -> list[Event]:
        """Those up to an id that were not given out yet."""
        while not self._ended and (not self._read or self._read[-1].id <= last):
            await self._fill()
        found = []
        while self._read and self._read[0].id <= last:
            found.append(self._read.popleft())
        return found

    async def more(self) -> list[Event]:
        """The next ones; none at the end."""
        if not self._read and not self._ended:
            await self._fill()
        found, self._read = list(self._read), deque[Event]()
        return found

    async def _fill(self) -> None:
        found: Any = await anext(self._source, None)
        if found is None:
            self._ended = True
        else:
            self._read.extend(found)

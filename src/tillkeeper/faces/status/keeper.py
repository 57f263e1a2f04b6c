"""Looks at the platform every STATUS_SECONDS, and keeps what it saw. Visitors read that: none of them reaches the database."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.faces.status.seen import Kept, Seen, keep, read_kept
from tillkeeper.maintenance import notices
from tillkeeper.monitoring.alerting import RuleBook, browse
from tillkeeper.store import Store, StoreUnavailableError, Tx, is_transient
from tillkeeper.store.private import PrivateFileError

log = logging.getLogger(__name__)

_LOST_AFTER = 2  # looks in a row that found no database: one may be a restart


class Keeper:
    """`find`: the database's address now, None while it does not run. It may be away at any time, also at the start."""

    def __init__(self, home: Path, book: RuleBook, find: Callable[[], str | None], clock: Clock) -> None:
        self._home = home
        self._book = book
        self._find = find
        self._clock = clock
        self._kept = read_kept(home)
        self._written: datetime | None = None
        self._opened: AsyncExitStack | None = None
        self._store: Store | None = None
        self._misses: list[datetime] = []

    @property
    def seen(self) -> Seen | None:
        """The last look that saw anything."""
        return self._kept.seen

    @property
    def lost_since(self) -> datetime | None:
        """Since when the database does not answer; None while it does."""
        return self._kept.lost_since

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks for as long as the block lasts."""
        task = asyncio.create_task(self._run(), name="status keeper")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._close()

    async def look(self) -> None:
        """One look. Raises nothing: what cannot be seen is kept as it was seen last."""
        began = self._clock.now()
        try:
            async with asyncio.timeout(limits.STATUS_WAIT_SECONDS):
                seen = await self._read(began)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page goes on with what it saw last
            await self._close()
            self._miss(began, error)
        else:
            self._keep(Kept(seen, None))
            self._misses = []

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(limits.STATUS_SECONDS)

    async def _read(self, now: datetime) -> Seen:
        store = await self._open()
        async with store.tx("status") as tx:
            if self._kept.lost_since is not None:
                await browse.note_database(tx, self._kept.lost_since, self._kept.lost_at or now)
            return await _seen(tx, self._book, now)

    async def _open(self) -> Store:
        if self._store is None:
            url = self._find()
            if url is None:
                raise StoreUnavailableError("the embedded PostgreSQL does not run")
            stack = AsyncExitStack()
            self._store = await stack.enter_async_context(Store.opened(url, size=1))
            self._opened = stack
        return self._store

    async def _close(self) -> None:
        opened, self._opened, self._store = self._opened, None, None
        if opened is not None:
            await opened.aclose()

    def _miss(self, at: datetime, error: Exception) -> None:
        """A look that saw nothing. Only a database that does not answer is said to be lost; anything else is a fault of ours, and
        what was seen last grows old.
        """
        if not (is_transient(error) or isinstance(error, OSError | TimeoutError)):
            log.error("the status page cannot read what it needs", exc_info=error)
            return
        self._misses.append(at)
        now = self._clock.now()
        soon = (now - at).total_seconds() < _LOST_AFTER * limits.STATUS_SECONDS  # it may have hung for longer
        first = len(self._misses) < _LOST_AFTER and self._written is not None
        if self._kept.lost_since is None and first and soon:
            return
        if self._kept.lost_since is None:
            log.warning("the database does not answer: %r", error)
        since = self._kept.lost_since or self._misses[0]
        self._keep(msgspec.structs.replace(self._kept, lost_since=since, lost_at=now))
        self._misses = self._misses[:_LOST_AFTER]

    def _keep(self, kept: Kept) -> None:
        before, self._kept = self._kept, kept
        now = self._clock.now()
        aged = self._written is None or now - self._written >= timedelta(seconds=limits.STATUS_KEPT_SECONDS)
        if not (aged or _differs(before, kept)):
            return
        try:
            keep(self._home, kept)
        except PrivateFileError as error:
            log.warning("what was seen is not kept: %s", error)
        self._written = now


async def _seen(tx: Tx, book: RuleBook, now: datetime) -> Seen:
    public = await browse.public(tx, book, now)
    ahead = [*await notices.current(tx), *await notices.planned(tx)]
    past = await notices.history(tx, now - timedelta(days=limits.STATUS_DAYS))
    return Seen(
        now,
        public.looked_at,
        tuple(public.alerts),
        tuple(public.past),
        tuple(public.spans),
        tuple(ahead),
        tuple(past),
    )


def _differs(one: Kept, other: Kept) -> bool:
    """Whether there is news in it, and not only a later look at the same."""

    def bare(kept: Kept) -> object:
        seen = kept.seen
        known = seen and (
            seen.alerts,
            seen.maintenance,
            [(each.component, each.state) for each in seen.spans],
        )
        return kept.lost_since, known

    return bare(one) != bare(other)

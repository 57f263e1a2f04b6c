"""Refusals that anybody can cause, as often as they like: summed up, one event a minute for each who, what and where."""

import asyncio
import logging
from typing import NamedTuple

from tillkeeper.audit.events import append
from tillkeeper.base import limits
from tillkeeper.store import Store

log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """What is counted apart."""

    actor: str
    action: str
    subject: str
    origin: str


class Tally:
    """Counts in memory, writes once in TALLY_SECONDS. A crash loses at most what was counted since."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: dict[Refusal, int] = {}

    def note(self, actor: str, action: str, subject: str, origin: str) -> None:
        """Count one. Of too many different ones in a minute, the later are counted as one, with nobody's name."""
        key = Refusal(actor, action, subject, origin)
        if key not in self._counts and len(self._counts) >= limits.TALLY_KEYS:
            key = Refusal("anybody", action, "several", "several")
        self._counts[key] = self._counts.get(key, 0) + 1

    async def keep_writing(self) -> None:
        """Write until cancelled, and what is left at the end."""
        try:
            while True:
                await asyncio.sleep(limits.TALLY_SECONDS)
                await self._try_write()
        finally:
            await self._try_write()

    async def write(self) -> None:
        """Write what was counted. Raises what the store raises; then it is still counted."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            async with self._store.tx("audit tally") as tx:
                for each, count in counts.items():
                    reason = f"{count} in {limits.TALLY_SECONDS:.0f} s"
                    await append(tx, *each[:3], reason, each.origin, "refused")
        except BaseException:
            for each, count in counts.items():
                self._counts[each] = self._counts.get(each, 0) + count
            raise

    async def _try_write(self) -> None:
        try:
            await self.write()
        except Exception as error:  # noqa: BLE001 - the database is away: counted on, written later
            log.warning("audit: refusals could not be recorded: %r", error)

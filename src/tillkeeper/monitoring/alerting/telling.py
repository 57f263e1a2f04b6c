"""Notices on their way out: claimed, sent to every channel, tried again for those that did not take them."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.monitoring.alerting.channels import Channel, Tone, send_all
from tillkeeper.monitoring.alerting.rows import Line
from tillkeeper.monitoring.alerting.types import RuleBook
from tillkeeper.monitoring.alerting.words import body_of, title_of
from tillkeeper.store import Store, queries

log = logging.getLogger(__name__)

_sql = queries(__package__, "queries.sql")


class _Notice(NamedTuple):
    id: UUID
    lines: list[Line]
    tries: int
    taken: list[str]


class Teller:
    """Sends notices. One that was claimed by a process that died is sent again: at least once, then."""

    def __init__(
        self, store: Store, book: RuleBook, channels: Sequence[Channel], place: str, clock: Clock
    ) -> None:
        self._store = store
        self._book = book
        self._channels = channels
        self._place = place
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not await self.step():
                await asyncio.sleep(limits.CHANNEL_POLL_SECONDS)

    async def step(self) -> bool:
        """Send the next notice that is due; False: there is none."""
        notice = await self._claim()
        if notice is None:
            return False
        wanted = [each for each in self._channels if each.digest not in notice.taken]
        taken, left = await send_all(
            wanted,
            title_of(notice.lines),
            body_of(self._book, notice.lines, self._place),
            tone_of(notice.lines),
        )
        state = "sent" if not left else "failed" if notice.tries >= limits.CHANNEL_TRIES else "due"
        said = ", ".join(each.name for each in left)
        if left:
            log.warning("a notice was not taken by %s (try %d)", said, notice.tries)
        params = {"id": notice.id, "state": state, "said": said,
                  "taken": [*notice.taken, *(each.digest for each in taken)]}  # fmt: skip
        async with self._store.tx("notice settled") as tx:
            await tx.run(_sql.settle_notice, params)
        return True

    async def _claim(self) -> _Notice | None:
        now = self._clock.now()
        async with self._store.tx("notice claimed") as tx:
            found = await tx.row(_sql.due_notice, {"now": now})
            if found is None:
                return None
            pause = limits.CHANNEL_SECONDS + limits.CHANNEL_FIRST_RETRY_SECONDS * 2**found.tries
            await tx.run(_sql.claim_notice, {"id": found.id, "due_at": now + timedelta(seconds=pause)})
        lines = msgspec.json.decode(found.lines, type=list[Line])
        return _Notice(found.id, lines, found.tries + 1, list(found.taken))


def tone_of(lines: Sequence[Line]) -> Tone:
    """How loud a notice is."""
    firing = {line.alert.severity for line in lines if line.kind != "resolved"}
    if "page" in firing:
        return "failure"
    return "warning" if firing else "success"

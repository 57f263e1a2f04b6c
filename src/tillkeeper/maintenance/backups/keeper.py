"""The agent's part: orders what is due, and has what was ordered carried out by a child process."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups import rows
from tillkeeper.maintenance.backups.schedule import due
from tillkeeper.maintenance.backups.types import Order
from tillkeeper.maintenance.backups.wal import LogArchive
from tillkeeper.store import Store, children
from tillkeeper.store.opening import Urls

log = logging.getLogger(__name__)

CarryOut = Callable[[Order], Awaitable[str]]
"""Does what was ordered; what went wrong, or nothing."""


async def in_child(order: Order) -> str:
    """By the command that people use too, so that the agent's other work goes on, and nothing of it survives the agent."""
    deed = ["drill"] if order.kind == "drill" else ["now", *(["--full"] if order.kind == "full" else [])]
    command = [sys.executable, "-m", "tillkeeper", "backup", *deed, "--asked-by", order.asked_by]
    code, said = await children.carried_out(command, limits.BACKUP_TIMEOUT_SECONDS, limits.CHILD_STOP_SECONDS)
    if code is None:
        return f"not done after {limits.BACKUP_TIMEOUT_SECONDS / 3600:.0f} hours: it was ended"
    lines = [line for line in said.splitlines() if line.startswith("till: ")]
    return "" if code == 0 else (lines[-1:] or ["till: it failed; see the agent's log"])[0][6:]


class Keeper:
    """Looks what is due and what is asked for, one after the other."""

    def __init__(
        self, store: Store, clock: Clock, zone: str, carry_out: CarryOut = in_child, *, drilled: bool = True
    ) -> None:
        self._drilled = drilled
        self._store = store
        self._clock = clock
        self._zone = zone
        self._carry_out = carry_out
        self._since = clock.now()

    async def run(self) -> None:
        """Until cancelled."""
        async with self._store.tx("backup orders") as tx:
            await rows.end_orders_left(tx, self._clock.now())
        while True:
            await self.look()
            await asyncio.sleep(limits.BACKUP_LOOK_SECONDS)

    async def look(self) -> None:
        """Order what is due; carry out the oldest order."""
        now = self._clock.now()
        async with self._store.tx("backups due") as tx:
            backups = await rows.backups(tx, ["done"], limits.BACKUPS_LISTED)
            drills = await rows.drills(tx, limits.PAGE_DEFAULT)
            orders = await rows.orders(tx, limits.PAGE_DEFAULT)
            kind = due(now, self._since, self._zone, backups, drills, orders, drilled=self._drilled)
            if kind is not None:
                await rows.order(tx, kind, "schedule", now)
            order = await rows.claim(tx)
        if order is not None:
            await self._carry(order)

    async def _carry(self, order: Order) -> None:
        said = "the agent was stopped"
        try:
            said = await self._carry_out(order)
        except OSError as error:
            said = str(error)
        finally:
            if said:
                log.warning("%s as asked by %s: %s", order.kind, order.asked_by, said)
            async with self._store.tx("backup order ends") as tx:
                await rows.end_order(tx, order.id, self._clock.now(), said)


def loops(
    settings: Settings, store: Store, urls: Urls, clock: Clock
) -> dict[str, Callable[[], Awaitable[None]]]:
    """The agent's loops by name. The log of a database of one's own is archived by that database's own means."""
    found: dict[str, Callable[[], Awaitable[None]]] = {
        "backups": Keeper(store, clock, settings.timezone, drilled=settings.database_url is None).run
    }
    if settings.database_url is None:
        found["log archive"] = LogArchive(store, urls, settings, clock).run
    return found

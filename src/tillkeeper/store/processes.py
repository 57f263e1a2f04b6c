"""The register of our processes: each beats once a second, and hears what is wished of it.

A process that drains begins nothing new and ends what it has begun. A wish ends by itself after PROCESS_WISH_SECONDS at most,
so that nobody stays drained because whoever wished it died.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.store.database import Store, Tx
from tillkeeper.store.incarnation import incarnation, is_dead
from tillkeeper.store.sql import queries

log = logging.getLogger(__name__)

_sql = queries(__package__, "queries.sql")

State = Literal["serving", "draining", "stopped"]
Wish = Literal["none", "drain", "restart", "serve"]
"""drain: begin nothing new; restart: drain, then end, so that the supervisor starts it again; serve: as ever."""


class Process(msgspec.Struct, frozen=True):
    """One start of a process. `detail`: of a process that drains or serves calls, how many are `in_flight`."""

    id: UUID
    kind: str
    host: str
    pid: int
    incarnation: str
    started_at: datetime
    seen_at: datetime
    state: State
    wish: Wish
    detail: dict[str, Any]
    silent: float

    @property
    def alive(self) -> bool:
        """Whether it lives as far as is known: seen lately, not stopped, and not known to be dead."""
        return (
            self.state != "stopped"
            and self.silent < limits.PROCESS_SILENT_SECONDS
            and not is_dead(self.incarnation)
        )


async def listed(tx: Tx, kind: str | None = None) -> list[Process]:
    """The processes that are remembered, the newest start first."""
    rows = [row._asdict() for row in await tx.rows(_sql.processes)]
    found = [Process(**row | {"detail": msgspec.json.decode(row["detail"])}) for row in rows]
    return [each for each in found if kind in (None, each.kind)]


async def wish(tx: Tx, process: UUID, wished: Wish, seconds: float = limits.PROCESS_WISH_SECONDS) -> bool:
    """Wish something of a process for some time; False if it has stopped or is not known."""
    params = {"id": process, "wish": wished, "seconds": min(seconds, limits.PROCESS_WISH_SECONDS)}
    return await tx.value(_sql.wish_of_process, params) is not None


async def forget_old(tx: Tx) -> None:
    """Forget the processes of days past."""
    await tx.run(_sql.forget_processes, {"seconds": limits.PROCESS_KEEP_SECONDS})


class Presence:
    """This process in the register. `draining`: it begins nothing new. `in_flight`: calls that it has begun."""

    def __init__(self, store: Store, kind: str) -> None:
        self.id = new_id()
        self.draining = False
        self.in_flight = 0
        self._store = store
        self._params: dict[str, Any] = {
            "id": self.id,
            "kind": kind,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "incarnation": incarnation(),
        }

    async def keep(self) -> None:
        """Beat until cancelled, and do what is wished; then say that this process has stopped."""
        try:
            while True:
                await self._heed(await self._beat("draining" if self.draining else "serving"))
                await asyncio.sleep(
                    limits.PROCESS_DRAIN_BEAT_SECONDS if self.draining else limits.PROCESS_BEAT_SECONDS
                )
        finally:
            await self._beat("stopped")

    async def _heed(self, wished: Wish | None) -> None:
        if wished is None:
            return  # the database is away: whatever was wished goes on
        self.draining = wished in ("drain", "restart")
        if wished == "restart" and self.in_flight == 0:
            log.info("asked to restart: ending, nothing is in flight")
            os.kill(os.getpid(), signal.SIGTERM)

    async def _beat(self, state: State) -> Wish | None:
        detail = msgspec.json.encode({"in_flight": self.in_flight}).decode()
        try:
            async with (
                asyncio.timeout(limits.PROCESS_SILENT_SECONDS),
                self._store.tx("process beats") as tx,
            ):
                wished: Wish = await tx.value(_sql.beat, self._params | {"state": state, "detail": detail})
                return wished
        except Exception as error:  # noqa: BLE001 - the database is away: beat again later
            log.warning("this process could not say that it is %s: %r", state, error)
            return None


@asynccontextmanager
async def present(store: Store, kind: str) -> AsyncIterator[None]:
    """This process is in the register for the block."""
    keeping = asyncio.create_task(Presence(store, kind).keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

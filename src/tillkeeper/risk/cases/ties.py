"""Who shares what with whom: kept behind decisions and logins, in the agent, so that nothing is added to the turn.

A tie is a customer with a device, an address, a payee or a bank account. Whoever reads by the order of ids misses what commits
more than TIE_LAG_SECONDS after its id was made; a picture bears that, a rule would not.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import first_id_at
from tillkeeper.store import Statement, Store, queries

_sql = queries(__package__, "ties.sql")
_READERS: Final[dict[str, Statement]] = {"decisions": _sql.tie_decisions, "logins": _sql.tie_logins}


class Binder:
    """The agent's loop that keeps ties."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if await self.beat() < limits.TIE_BATCH:
                await asyncio.sleep(limits.TIE_SECONDS)

    async def beat(self) -> int:
        """Read a batch of each kind, forget what is old; the size of the largest batch."""
        read = [await self._read(reader, statement) for reader, statement in _READERS.items()]
        async with self._store.tx("ties forgotten") as tx:
            await tx.run(_sql.forget_ties, {"since": self._since(), "limit": limits.TIE_BATCH})
        return max(read)

    async def _read(self, reader: str, statement: Statement) -> int:
        since = self._since()
        until = first_id_at(self._clock.now() - timedelta(seconds=limits.TIE_LAG_SECONDS))
        async with self._store.tx(f"ties of {reader}") as tx:
            await tx.run(_sql.start_reader, {"reader": reader, "first": first_id_at(since)})
            last: UUID = await tx.value(_sql.read_from, {"reader": reader})
            params = {"last": last, "until": until, "since": since, "limit": limits.TIE_BATCH}
            ((count, newest),) = await tx.tuples(statement, params)
            if newest is not None:
                await tx.run(_sql.advance_reader, {"reader": reader, "last": newest})
        return int(count)

    def _since(self) -> datetime:
        return self._clock.now() - timedelta(days=limits.TIE_DAYS)

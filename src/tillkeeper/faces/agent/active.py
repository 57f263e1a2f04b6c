"""One agent is active: the one that holds the lease. The others wait, and take over when it dies or stops.

One that starts anew on the machine of one that was killed sees that it is dead, and takes over at once.
"""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from typing import Final

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.faces.agent.loops import Loop
from tillkeeper.store import Store, leases
from tillkeeper.store.incarnation import incarnation

log = logging.getLogger(__name__)

LEASE: Final = "agent"


class Agent:
    """Runs loops while it holds the lease.

    A loop that fails is started again after a pause and troubles no other. For a moment after a lost lease two agents
    may be at work; every loop claims what it does, so that costs nothing but a repetition that the other side knows
    by its id.
    """

    def __init__(self, store: Store, loops: Mapping[str, Loop], clock: Clock) -> None:
        self.holder = f"{incarnation()}:{secrets.token_hex(4)}"
        self._store = store
        self._loops = loops
        self._clock = clock

    async def run(self) -> None:
        """Wait for the lease, work while it lasts, until cancelled; then give it back."""
        try:
            while True:
                sure_until = await self._try_take()
                if sure_until is not None:
                    log.info("agent %s is active", self.holder)
                    await self._work(sure_until)
                    log.warning("agent %s has lost its lease", self.holder)
                await asyncio.sleep(limits.LEASE_RENEW_SECONDS)
        finally:
            await self._give_back()

    async def _work(self, sure_until: float) -> None:
        async with asyncio.TaskGroup() as group:
            working = [group.create_task(self._keep_going(name, loop)) for name, loop in self._loops.items()]
            await self._hold(sure_until)
            for task in working:
                task.cancel()

    async def _hold(self, sure_until: float) -> None:
        """Renew the lease until it is lost. `sure_until`, monotonic: before that nobody else can have it."""
        while self._clock.monotonic() < sure_until:
            await asyncio.sleep(limits.LEASE_RENEW_SECONDS)
            try:
                async with asyncio.timeout(sure_until - self._clock.monotonic()):
                    renewed = await self._take()
            except Exception as error:  # noqa: BLE001 - the database is away: the lease runs out by itself
                log.warning("the agent's lease was not renewed: %r", error)
                continue
            if renewed is None:
                return
            sure_until = renewed

    async def _take(self) -> float | None:
        """Until when the lease is ours for sure; None when somebody else has it. Raises what the store raises."""
        asked_at = self._clock.monotonic()
        async with self._store.tx("agent_lease") as tx:
            taken = await leases.try_take(tx, LEASE, self.holder, limits.LEASE_SECONDS)
        return asked_at + limits.LEASE_SECONDS if taken else None

    async def _try_take(self) -> float | None:
        try:
            return await self._take()
        except Exception as error:  # noqa: BLE001 - the database is away: ask again later
            log.warning("the agent's lease cannot be asked for: %r", error)
            return None

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(limits.LEASE_RENEW_SECONDS), self._store.tx("agent_lease") as tx:
                await leases.give(tx, LEASE, self.holder)
        except Exception as error:  # noqa: BLE001 - the database is away: the lease runs out by itself
            log.warning("the agent's lease was not given back: %r", error)

    async def _keep_going(self, name: str, loop: Loop) -> None:
        """Run a loop for ever, starting it again after each failure; the pause grows while it fails soon."""
        pause = limits.LOOP_FIRST_PAUSE_SECONDS
        while True:
            started = self._clock.monotonic()
            try:
                await loop()
            except Exception:
                log.exception("the agent's loop %r failed and is started again in %g s", name, pause)
            await asyncio.sleep(pause)
            lasted = self._clock.monotonic() - started
            pause = (
                limits.LOOP_FIRST_PAUSE_SECONDS
                if lasted > limits.LOOP_MAX_PAUSE_SECONDS + pause
                else pause * 2
            )
            pause = min(pause, limits.LOOP_MAX_PAUSE_SECONDS)

"""Rehearsals that people ask for in the console: the agent has each done by `till plan rehearse`, a process of its own."""

import asyncio
import logging
import sys
from typing import Final
from uuid import UUID

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance.plans import filing, rows
from tillkeeper.maintenance.plans.types import PREFIX, RehearsalOrder
from tillkeeper.store import Store, Tx, children

log = logging.getLogger(__name__)

_COMMAND: Final = (sys.executable, "-m", "tillkeeper", "plan", "rehearse")
_FOUND: Final = 1  # exit code: it was done, and did not pass


async def order(
    tx: Tx, id_: UUID, person: str, clock: Clock, *, origin: str = ""
) -> RehearsalOrder | Refusal:
    """Have a plan rehearsed; what is under way is not begun twice. Refuses unknown_plan, plan_state."""
    found = await filing.get(tx, id_)
    if found is None:
        return Refusal("unknown_plan", "check the id")
    if found.state not in {"submitted", "rehearsed"}:
        return Refusal("plan_state", f"it is {found.state}")
    asked = {"id": new_id(), "plan": id_, "by": person, "at": clock.now()}
    if await tx.value(rows.sql.order_rehearsal, asked) is not None:
        await audit.append(tx, person, "plan.rehearsal_asked", found.public_id, origin=origin)
    made = await last_order(tx, id_)
    assert made is not None
    return made


async def last_order(tx: Tx, plan: UUID) -> RehearsalOrder | None:
    """What was asked last about a plan."""
    row = await tx.row(rows.sql.last_order, {"plan": plan})
    return RehearsalOrder(*row) if row else None


class Rehearser:
    """The agent's part, one at a time. `command`: what rehearses the plan whose id is put behind it."""

    def __init__(self, store: Store, clock: Clock, command: tuple[str, ...] = _COMMAND) -> None:
        self._store = store
        self._clock = clock
        self._command = command

    async def run(self) -> None:
        """Until cancelled."""
        async with self._store.tx("rehearsals again") as tx:
            await tx.run(rows.sql.rehearse_again)
        while True:
            if not await self.beat():
                await asyncio.sleep(limits.REHEARSAL_POLL_SECONDS)

    async def beat(self) -> bool:
        """Rehearse what has waited the longest; whether there was any."""
        async with self._store.tx("claim rehearsal") as tx:
            claimed = await tx.tuples(rows.sql.claim_rehearsal)
        if not claimed:
            return False
        ((id_, plan),) = claimed
        public = to_typeid(PREFIX, plan)
        # When we end it is told to, so that it takes its copy of production away.
        code, said = await children.carried_out(
            (*self._command, public), limits.REHEARSAL_SECONDS, limits.REHEARSAL_STOP_SECONDS
        )
        state = "done" if code in {0, _FOUND} else "failed"
        if state == "failed":
            log.warning("rehearsal of %s: %s", public, said)
        said = "" if state == "done" else said[-limits.REHEARSAL_SAID :]
        ended = {"id": id_, "state": state, "at": self._clock.now(), "said": said}
        async with self._store.tx("end rehearsal") as tx:
            await tx.run(rows.sql.end_rehearsal, ended)
        return True

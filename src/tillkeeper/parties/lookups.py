"""Searches for people by what they are called or numbered: whoever may ask without end learns whose number is whose."""

from typing import Final

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.quota import Quota
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store

REFUSED: Final = "customer.searched"


class Lookups:
    """Counts the searches of each caller, in memory: each process has a count of its own."""

    def __init__(self) -> None:
        self._searches = Quota(limits.LOOKUPS, limits.LOOKUPS_SECONDS)
        self._notes = Quota(1, limits.LOOKUPS_SECONDS)

    async def refuse(
        self, store: Store, clock: Clock, caller: str, subject: str, origin: str = ""
    ) -> Refusal | None:
        """Count one search of a caller; the refusal (`too_many_lookups`) when there were too many, put on record once a while.

        `subject`: the caller's public id, or name.
        """
        now = clock.monotonic()
        if self._searches.take(subject, now):
            return None
        if self._notes.take(subject, now):
            async with store.tx("too many searches") as tx:
                said = f"more than {limits.LOOKUPS} in {limits.LOOKUPS_SECONDS:g} s"
                await audit.append(tx, caller, REFUSED, subject, said, origin, "refused")
        return Refusal("too_many_lookups", f"{limits.LOOKUPS} a minute; go on a little later")

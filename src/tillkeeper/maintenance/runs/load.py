"""Load for a rehearsal: what production paid lately is paid again on the copy, as fast as it was paid there."""

import asyncio
import statistics
from collections.abc import Sequence
from itertools import cycle
from typing import Any, Final

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.payments import Payment, Till, browse
from tillkeeper.payments.commands import Pay, SendMoney
from tillkeeper.store import Store

_KINDS: Final = ("payment", "send")


class Load:
    """`sent`, and how many of them `failed`, by a fault of ours; a refusal is an answer."""

    def __init__(self, till: Till, lately: Sequence[Payment], clock: Clock) -> None:
        self.sent = 0
        self.failed = 0
        self._took_ms: list[float] = []
        self.rate = rate_of(lately)
        self._till = till
        self._lately = lately
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled. What is under way then is waited for by `settle`."""
        for payment in cycle(self._lately):
            if len(self._under_way) < limits.REHEARSAL_IN_FLIGHT:
                task = asyncio.create_task(self._pay(payment))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            else:
                self.failed += 1  # production would have turned this caller away
                self.sent += 1
            await asyncio.sleep(1 / self.rate)

    async def pace(self) -> float | None:
        """What an answer takes now, ms: the median of some seconds; None where too few are paid to know."""
        self._took_ms.clear()
        if not self._lately:
            return None
        await asyncio.sleep(limits.REHEARSAL_PACE_SECONDS)
        if len(self._took_ms) < limits.REHEARSAL_PACE_SECONDS * limits.REHEARSAL_LEAST_RATE / 2:
            return None
        return statistics.median(self._took_ms)

    async def settle(self) -> None:
        """Wait for the answers that are still to come."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=limits.POOL_WAIT_SECONDS)

    async def _pay(self, payment: Payment) -> None:
        began = self._clock.monotonic()
        self.sent += 1
        answer = await self._till.submit(again(payment))
        self._took_ms.append(1000 * (self._clock.monotonic() - began))
        if answer.status >= 500:
            self.failed += 1


async def lately(store: Store) -> list[Payment]:
    """The newest payments of the copy that can be made again, the oldest first."""
    found: list[Payment] = []
    for kind in _KINDS:
        async with store.tx("rehearsal load") as tx:
            page = await browse.search(tx, browse.Filter(kind=kind), None, limits.REHEARSAL_PAYMENTS)
        found += page.rows
    return sorted(found, key=lambda payment: payment.id)


def again(payment: Payment) -> Any:
    """The same payment once more."""
    if payment.kind == "payment":
        return Pay(payment.payer, payment.payee, payment.amount, payment.currency, manual=payment.manual)
    return SendMoney(payment.payer, payment.payee, payment.amount, payment.currency)


def rate_of(found: Sequence[Payment]) -> float:
    """Payments a second while they were made, within bounds."""
    if len(found) < 2:
        return limits.REHEARSAL_LEAST_RATE
    seconds = (found[-1].created_at - found[0].created_at).total_seconds()
    rate = len(found) / max(seconds, 1.0)
    return min(max(rate, limits.REHEARSAL_LEAST_RATE), limits.REHEARSAL_MOST_RATE)

"""What the passing of time does: waiting payments expire, samples are forgotten."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.payments.commands import Expire
from tillkeeper.store import Answer, Store, Tx, queries

_sql = queries("tillkeeper.payments", "upkeep.sql")


async def expire_due(store: Store, submit: Callable[[Expire], Awaitable[Answer]], clock: Clock) -> int:
    """End up to EXPIRY_BATCH payments whose time to wait is over, through the turn; how many it did end.

    The turn judges again: a payment that was captured or answered just now is left as it is.
    """
    async with store.tx("expired_payments") as tx:
        due = await tx.tuples(_sql.expired_payments, {"now": clock.now(), "limit": limits.EXPIRY_BATCH})
    answers = await asyncio.gather(*(submit(Expire(payment)) for (payment,) in due))
    return sum(answer.status < 300 for answer in answers)


async def forget_samples(tx: Tx, clock: Clock) -> None:
    """Delete the samples older than SAMPLES_KEEP_SECONDS."""
    await tx.run(
        _sql.forget_samples, {"before": clock.now() - timedelta(seconds=limits.SAMPLES_KEEP_SECONDS)}
    )

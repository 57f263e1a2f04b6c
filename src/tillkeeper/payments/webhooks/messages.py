"""Messages as people see them: listed, sent once more, forgotten when old."""

from datetime import datetime, timedelta
from uuid import UUID

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import first_id_at, to_typeid
from tillkeeper.base.results import refuse
from tillkeeper.payments.webhooks.types import Delivery
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


async def deliveries_of(
    tx: Tx, endpoint: UUID, cursor: UUID | None = None, limit: int = limits.PAGE_DEFAULT
) -> list[Delivery]:
    """An endpoint's messages, newest first; `cursor` is the id of the last one already seen."""
    rows = await tx.tuples(_sql.deliveries_of, {"endpoint": endpoint, "cursor": cursor, "limit": limit})
    return [Delivery(*row) for row in rows]


async def deliveries_about(tx: Tx, subject: UUID, limit: int = limits.PAGE_MAX) -> list[Delivery]:
    """The messages about a payment, to all endpoints, oldest first."""
    rows = await tx.tuples(_sql.deliveries_about, {"subject": subject, "limit": limit})
    return [Delivery(*row) for row in rows]


async def replay(tx: Tx, delivery: UUID, clock: Clock, *, actor: str, origin: str = "") -> None:
    """Send a message once more, with the same webhook-id. Raises Refused: unknown_delivery."""
    public_id = to_typeid("whd", delivery)
    if await tx.value(_sql.replay, {"id": delivery, "now": clock.now()}) is None:
        raise refuse("unknown_delivery", f"{public_id} is not there, or no longer")
    await audit.append(tx, actor, "webhook_delivery.replayed", public_id, "", origin)


async def replay_since(
    tx: Tx, endpoint: UUID, since: datetime, clock: Clock, *, actor: str, origin: str = ""
) -> int:
    """Send once more everything that an endpoint got, or missed, since a time (UTC); how many messages that are."""
    count, after = 0, 0
    params = {"endpoint": endpoint, "since": since, "now": clock.now(), "limit": limits.HOUSEKEEPING_BATCH}
    while found := await tx.tuples(_sql.replay_since, params | {"after": after}):
        count += len(found)
        after = max(row[0] for row in found)
    await audit.append(
        tx,
        actor,
        "webhook_endpoint.replayed",
        to_typeid("whe", endpoint),
        f"{count} since {since.isoformat()}",
        origin,
    )
    return count


async def forget_old(tx: Tx, clock: Clock) -> int:
    """Delete some messages that are too old to be replayed; how many."""
    before = first_id_at(clock.now() - timedelta(seconds=limits.WEBHOOK_KEEP_SECONDS))
    return len(await tx.tuples(_sql.forget_old, {"before": before, "limit": limits.HOUSEKEEPING_BATCH}))

"""From news to messages: one row per endpoint that wants it, in the transaction that moves the reader's place on."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.store import Store, outbox, queries

_sql = queries(__package__, "queries.sql")

READER: Final = "webhooks"
DISABLED: Final = "the endpoint is disabled"


def wants(topics: Sequence[str], topic: str) -> bool:
    """Whether an endpoint with these topics gets news of a topic."""
    return "*" in topics or topic in topics or f"{topic.partition('.')[0]}.*" in topics


def body_of(news: outbox.Delivered) -> str:
    """The message's text, made once: every repetition must carry the same bytes."""
    head = msgspec.json.encode({"type": news.topic, "timestamp": news.at}).decode()
    return f'{head[:-1]},"data":{news.payload}}}'


async def fan_out(store: Store, clock: Clock, limit: int = limits.OUTBOX_BATCH) -> int:
    """Write the messages of the next news; how much news was read.

    An endpoint that is disabled gets its messages as failed ones, so that a replay can bring them back.
    """
    async with store.tx("fan_out") as tx:
        news = await outbox.read(tx, READER, limit)
        if not news:
            return 0
        endpoints = await tx.tuples(_sql.subscriptions)
        wanted = [
            (each, endpoint, enabled)
            for each in news
            for endpoint, topics, enabled in endpoints
            if wants(topics, each.topic)
        ]
        if wanted:
            await tx.run(_sql.create_deliveries, _columns(wanted) | {"now": clock.now()})
        await outbox.advance(tx, READER, news[-1])
        return len(news)


def _columns(wanted: Sequence[tuple[outbox.Delivered, UUID, bool]]) -> dict[str, Any]:
    bodies = {each.id: body_of(each) for each, _, _ in wanted}
    return {
        "ids": [new_id() for _ in wanted],
        "endpoints": [endpoint for _, endpoint, _ in wanted],
        "outbox_ids": [each.id for each, _, _ in wanted],
        "topics": [each.topic for each, _, _ in wanted],
        "subjects": [each.subject for each, _, _ in wanted],
        "payloads": [bodies[each.id] for each, _, _ in wanted],
        "states": ["due" if enabled else "failed" for _, _, enabled in wanted],
        "answers": ["" if enabled else DISABLED for _, _, enabled in wanted],
    }

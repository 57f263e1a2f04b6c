"""The values of webhooks."""

from datetime import datetime
from uuid import UUID

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """Where messages go. `topics` as in "payment.succeeded", "payment.*" or "*". `failures`: tries in a row that
    failed; until `paused_until` none is made; a disabled endpoint gets nothing until it is enabled.
    """

    id: UUID
    url: str
    topics: tuple[str, ...]
    failures: int
    paused_until: datetime | None
    disabled_at: datetime | None
    created_at: datetime


class Delivery(msgspec.Struct, frozen=True):
    """One message to one endpoint. state: due (waits, or is being sent again from `due_at`), delivered, failed."""

    id: UUID
    endpoint: UUID
    topic: str
    subject: UUID
    state: str
    tries: int
    due_at: datetime
    last_answer: str
    created_at: datetime

"""Who may do what: the values that the doors of access give out."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

SCOPES: Final = frozenset(
    f"{noun}:{verb}" for noun in ("parties", "payments", "risk", "webhooks") for verb in ("read", "write")
)
"""Everything an API key can be allowed; writing does not include reading."""


class Principal(msgspec.Struct, frozen=True):
    """Who speaks through an API key. `id` outlives the key: idempotency keys belong to it."""

    id: UUID
    key: UUID
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the key carries the scope."""
        return scope in self.scopes


class KeyInfo(msgspec.Struct, frozen=True):
    """An API key without its secret. `short_id` is the readable part of the key's text: till_<short_id>_…"""

    id: UUID
    principal: UUID
    short_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class Session(msgspec.Struct, frozen=True):
    """A person's signed-in browser. `id` names the session and opens nothing; `csrf` must come with every form."""

    id: str
    person: str
    csrf: str
    created_at: datetime
    seen_at: datetime


class OpenedSession(msgspec.Struct, frozen=True):
    """A session just opened, with the cookie's value, which is shown this once and kept only as a hash."""

    session: Session
    cookie: str

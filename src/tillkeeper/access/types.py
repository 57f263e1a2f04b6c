"""Who may do what: the values that the doors of access give out."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

SCOPES: Final = frozenset(
    f"{noun}:{verb}" for noun in ("parties", "payments", "risk", "webhooks") for verb in ("read", "write")
) | {"metrics:read"}
"""Everything an API key can be allowed; writing does not include reading."""


ROLES: Final = (
    "operator",
    "risk_analyst",
    "support",
    "security",
    "auditor",
    "developer",
    "system_admin",
    "security_admin",
    "audit_admin",
)
"""Everything a person can be; what a role may do stands in the policies."""

ADMIN_ROLES: Final = frozenset({"system_admin", "security_admin", "audit_admin"})
"""One person has at most one of them."""

WORKING_ROLES: Final = tuple(role for role in ROLES if role not in ADMIN_ROLES)
"""Those of daily work; one person may have several."""


class Principal(msgspec.Struct, frozen=True):
    """Who speaks through an API key. `id` outlives the key: idempotency keys belong to it.

    `actions`: everything that the policies allow its scopes, worked out when the key is looked up.
    """

    id: UUID
    key: UUID
    name: str
    scopes: frozenset[str]
    actions: frozenset[str]

    @property
    def actor(self) -> str:
        """Who the audit trail says it was. No person's handle has a colon: a key named like a person is not taken for one."""
        return f"key:{self.name}"

    def may(self, action: str) -> bool:
        """Whether the key may do something: a look into a set, as it stands on the way of every payment."""
        return action in self.actions


class KeyInfo(msgspec.Struct, frozen=True):
    """An API key without its secret. `short_id` is the readable part of the key's text: till_<short_id>_…

    `networks`: the address ranges it may be used from; none: from anywhere. `used_at` is exact to the minute. `renews`:
    the key in whose place it was made.
    """

    id: UUID
    principal: UUID
    short_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    networks: tuple[str, ...] = ()
    used_at: datetime | None = None
    renews: UUID | None = None


class Person(msgspec.Struct, frozen=True):
    """Somebody of the team. `person` is the handle by which the audit trail names them, for ever."""

    person: str
    name: str
    roles: frozenset[str]
    state: str
    created_at: datetime

    @property
    def active(self) -> bool:
        """Whether they may come in."""
        return self.state == "active"


class Session(msgspec.Struct, frozen=True):
    """A person's signed-in browser. `id` names the session and opens nothing; `csrf` must come with every form.

    `roles` are the person's of this moment. `confirmed_at`: when the person last gave a second factor (or came in by a
    link); None after a way in that is none.
    """

    id: str
    person: str
    csrf: str
    created_at: datetime
    seen_at: datetime
    roles: frozenset[str]
    confirmed_at: datetime | None
    opened_by: str
    origin: str
    browser: str


class OpenedSession(msgspec.Struct, frozen=True):
    """A session just opened, with the cookie's value, which is shown this once and kept only as a hash."""

    session: Session
    cookie: str


class Visitor(msgspec.Struct, frozen=True):
    """Where somebody comes from: the address, and the browser in a few words."""

    origin: str = ""
    browser: str = ""


class Asker(msgspec.Struct, frozen=True):
    """Who asks for a second pair of eyes: a person's handle or a service key's name, and where they are.

    `principal` is the service key's; None for a person.
    """

    name: str
    principal: UUID | None = None
    origin: str = ""


class Approval(msgspec.Struct, frozen=True):
    """A deed that takes four eyes. `terms`: what will happen, as JSON; `subject`: the first of them, what it is about;
    `digest`: SHA-256 over them and what they stand on.

    `state`: waiting, given, refused, withdrawn, used, failed, stale, expired. `used_for`: the idempotency key that it was
    used up for. `outcome`: why a deed that was agreed to came to nothing.
    """

    id: UUID
    deed: str
    subject: str
    terms: str
    digest: bytes
    asked_by: str
    principal: UUID | None
    reason: str
    origin: str
    asked_at: datetime
    expires_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None
    comment: str
    used_at: datetime | None
    used_for: str | None
    outcome: str | None


class Grant(msgspec.Struct, frozen=True):
    """Leave of a person to look at personal data: for a purpose, until a time, at so many people.

    `purpose`: ticket, case or run; `reference` is its id there.
    """

    id: UUID
    person: str
    purpose: str
    reference: str
    reason: str
    rows: int
    rows_left: int
    opened_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    approval: UUID | None

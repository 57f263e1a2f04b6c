"""API keys: made, listed, revoked."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.access import tokens
from tillkeeper.access.types import SCOPES, KeyInfo
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.limits import MAX_TEXT
from tillkeeper.base.results import refuse
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


async def create_key(
    tx: Tx,
    principal: UUID | None,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    clock: Clock,
    *,
    actor: str = "system",
) -> tuple[KeyInfo, str]:
    """A new key and its text, which is shown this once. Without a principal the key gets a new one of its own.

    Raises Refused: invalid_value for an unknown scope, no scope, an empty or too long name, an expiry in the past.
    """
    now = clock.now()
    wanted = tuple(sorted(set(scopes)))
    _check(wanted, name, expires_at, now)
    short_id, text = tokens.new_key()
    key = KeyInfo(
        id=new_id(),
        principal=principal or new_id(),
        short_id=short_id,
        name=name,
        scopes=wanted,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    await tx.run(
        _sql.create_key,
        {
            "id": key.id,
            "principal": key.principal,
            "short_id": short_id,
            "name": name,
            "secret_hash": tokens.digest(text),
            "scopes": list(wanted),
            "created_at": now,
            "expires_at": expires_at,
        },
    )
    await audit.append(tx, actor, "key.created", to_typeid("key", key.id), f"{name}: {' '.join(wanted)}")
    return key, text


def _check(scopes: tuple[str, ...], name: str, expires_at: datetime | None, now: datetime) -> None:
    if not scopes or not SCOPES.issuperset(scopes):
        raise refuse("invalid_value", f"one or more of: {', '.join(sorted(SCOPES))}", "scopes")
    if not name.strip() or len(name) > MAX_TEXT:
        raise refuse("invalid_value", f"a name of 1 to {MAX_TEXT} characters", "name")
    if expires_at is not None and expires_at <= now:
        raise refuse("invalid_value", "a time to come", "expires_at")


async def list_keys(tx: Tx) -> list[KeyInfo]:
    """Every key ever made, newest first."""
    rows = await tx.tuples(_sql.list_keys)
    return [msgspec.structs.replace(KeyInfo(*row), scopes=tuple(row[4])) for row in rows]


async def revoke_key(tx: Tx, key: UUID, clock: Clock, *, actor: str = "system", reason: str = "") -> None:
    """End a key: it is refused everywhere within KEY_TRUST_SECONDS.

    Raises Refused: not_found for a key that is unknown or already revoked.
    """
    subject = to_typeid("key", key)
    if await tx.value(_sql.revoke_key, {"id": key, "at": clock.now()}) is None:
        raise refuse("not_found", f"{subject} is no key in use")
    await audit.append(tx, actor, "key.revoked", subject, reason)

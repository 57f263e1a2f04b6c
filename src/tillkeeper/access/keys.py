"""API keys: made, renewed, listed, revoked."""

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import asdict

from tillkeeper import audit
from tillkeeper.access import tokens
from tillkeeper.access.types import SCOPES, KeyInfo
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.limits import KEY_NETWORKS, KEY_OVERLAP_SECONDS, MAX_TEXT
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
    networks: Iterable[str] = (),
    actor: str = "system",
    origin: str = "",
) -> tuple[KeyInfo, str]:
    """A new key and its text, which is shown this once. Without a principal the key gets a new one of its own.

    Raises Refused: invalid_value for an unknown scope, no scope, an empty or too long name, an expiry in the past, a
    network that is none (a range like 10.1.0.0/16, or one address).
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
        networks=_networks(networks),
    )
    await _add(tx, key, text)
    await audit.append(
        tx, actor, "key.created", to_typeid("key", key.id), f"{name}: {' '.join(wanted)}", origin
    )
    return key, text


async def renew_key(
    tx: Tx, key: UUID, overlap: timedelta, clock: Clock, *, actor: str = "system", origin: str = ""
) -> tuple[KeyInfo, str, datetime]:
    """A new text for the same principal, shown this once, and until when the old one still works.

    The new key may do the same, from the same networks, and lives as long from now as the old one was given.
    Raises Refused: not_found for a key that is unknown, revoked or expired; invalid_value for an overlap out of bounds.
    """
    now = clock.now()
    if not timedelta() <= overlap <= timedelta(seconds=KEY_OVERLAP_SECONDS):
        raise refuse("invalid_value", f"up to {KEY_OVERLAP_SECONDS // 86400} days", "overlap")
    row = await tx.row(_sql.lock_key, {"id": key, "at": now})
    if row is None:
        raise refuse("not_found", f"{to_typeid('key', key)} is no key in use")
    old = _key(row)
    short_id, text = tokens.new_key()
    lifetime = old.expires_at - old.created_at if old.expires_at else None
    new = KeyInfo(
        id=new_id(),
        principal=old.principal,
        short_id=short_id,
        name=old.name,
        scopes=old.scopes,
        created_at=now,
        expires_at=now + lifetime if lifetime else None,
        revoked_at=None,
        networks=old.networks,
        renews=old.id,
    )
    until = min(now + overlap, old.expires_at or now + overlap)
    await _add(tx, new, text)
    await tx.run(_sql.end_key, {"id": old.id, "expires_at": until})
    subject, reason = to_typeid("key", new.id), f"in place of {to_typeid('key', old.id)}, which ends {until}"
    await audit.append(tx, actor, "key.renewed", subject, reason, origin)
    return new, text, until


async def list_keys(tx: Tx) -> list[KeyInfo]:
    """Every key ever made, newest first."""
    return [_key(row) for row in await tx.rows(_sql.list_keys)]


async def revoke_key(
    tx: Tx, key: UUID, clock: Clock, *, actor: str = "system", reason: str = "", origin: str = ""
) -> None:
    """End a key: it is refused everywhere within KEY_TRUST_SECONDS.

    Raises Refused: not_found for a key that is unknown or already revoked.
    """
    subject = to_typeid("key", key)
    if await tx.value(_sql.revoke_key, {"id": key, "at": clock.now()}) is None:
        raise refuse("not_found", f"{subject} is no key in use")
    await audit.append(tx, actor, "key.revoked", subject, reason, origin)


async def _add(tx: Tx, key: KeyInfo, text: str) -> None:
    row = {**asdict(key), "secret_hash": tokens.digest(text)}
    await tx.run(_sql.create_key, row | {"scopes": list(key.scopes), "networks": list(key.networks)})


def _key(row: Any) -> KeyInfo:
    return KeyInfo(**{**row._asdict(), "scopes": tuple(row.scopes), "networks": tuple(row.networks)})


def _check(scopes: tuple[str, ...], name: str, expires_at: datetime | None, now: datetime) -> None:
    if not scopes or not SCOPES.issuperset(scopes):
        raise refuse("invalid_value", f"one or more of: {', '.join(sorted(SCOPES))}", "scopes")
    if not name.strip() or len(name) > MAX_TEXT:
        raise refuse("invalid_value", f"a name of 1 to {MAX_TEXT} characters", "name")
    if expires_at is not None and expires_at <= now:
        raise refuse("invalid_value", "a time to come", "expires_at")


def _networks(texts: Iterable[str]) -> tuple[str, ...]:
    try:
        found = {str(ipaddress.ip_network(text.strip())) for text in texts}
    except ValueError as error:
        raise refuse(
            "invalid_value", f"a range like 10.1.0.0/16, or an address: {error}", "networks"
        ) from None
    if len(found) > KEY_NETWORKS:
        raise refuse("invalid_value", f"at most {KEY_NETWORKS}", "networks")
    return tuple(sorted(found))

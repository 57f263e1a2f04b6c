"""Endpoints: made, listed, enabled again, deleted."""

import base64
import re
import secrets
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import refuse
from tillkeeper.payments.webhooks.targets import check_url
from tillkeeper.payments.webhooks.types import Endpoint
from tillkeeper.store import Tx, queries
from tillkeeper.vault import Field, Vault

_sql = queries(__package__, "queries.sql")

_TOPIC: Final = re.compile(r"\*|[a-z_]{1,40}\.(\*|[a-z_]{1,40})")
_SECRET_BYTES: Final = 32


async def create_endpoint(
    tx: Tx,
    vault: Vault,
    url: str,
    topics: Sequence[str],
    clock: Clock,
    *,
    private_targets: bool,
    actor: str,
    origin: str = "",
) -> tuple[Endpoint, str]:
    """A new endpoint, and its signing secret (`whsec_…`), which is shown this once.

    Raises Refused: webhook_url_refused, invalid_value (topics), too_many_endpoints.
    """
    if refusal := check_url(url, private=private_targets):
        raise refuse(refusal.code, refusal.detail, refusal.field)
    wanted = tuple(dict.fromkeys(topics))
    if not 1 <= len(wanted) <= limits.MAX_WEBHOOK_TOPICS or not all(map(_TOPIC.fullmatch, wanted)):
        raise refuse("invalid_value", 'topics as in "payment.succeeded", "payment.*" or "*"', "topics")
    # Two at one time may both be the last: the bound is there for the cost, and one more costs little.
    if await tx.value(_sql.count_endpoints) >= limits.MAX_WEBHOOK_ENDPOINTS:
        raise refuse("too_many_endpoints", f"delete one of the {limits.MAX_WEBHOOK_ENDPOINTS} first")
    made = Endpoint(new_id(), url, wanted, 0, None, None, clock.now())
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    params = {
        "id": made.id,
        "url": url,
        "topics": list(wanted),
        "signing_secret": secret_of(vault).seal(None, made.id, secret),
        "created_at": made.created_at,
    }
    await tx.run(_sql.create_endpoint, params)
    await audit.append(tx, actor, "webhook_endpoint.created", to_typeid("whe", made.id), _host(url), origin)
    return made, secret


def secret_of(vault: Vault) -> Field:
    """The sealed column of endpoints' signing secrets."""
    return vault.field("payments.webhook_endpoints", "signing_secret")


async def any_in_the_clear(tx: Tx) -> bool:
    """Whether there are endpoints older than the vault, whose secrets are not sealed yet."""
    return bool(await tx.value(_sql.any_in_the_clear))


async def seal_in_the_clear(tx: Tx, vault: Vault, limit: int) -> int:
    """Seal the secrets of up to `limit` endpoints older than the vault; how many there were."""
    rows = await tx.tuples(_sql.in_the_clear, {"limit": limit})
    for id_, secret in rows:
        await tx.run(
            _sql.seal_secret, {"id": id_, "signing_secret": secret_of(vault).seal(None, id_, secret)}
        )
    return len(rows)


async def list_endpoints(tx: Tx) -> list[Endpoint]:
    """All endpoints, newest first."""
    return [_endpoint(row) for row in await tx.tuples(_sql.list_endpoints)]


async def find_endpoint(tx: Tx, endpoint: UUID) -> Endpoint:
    """One endpoint. Raises Refused: unknown_endpoint."""
    found = await tx.tuples(_sql.find_endpoint, {"id": endpoint})
    if not found:
        raise _unknown(endpoint)
    return _endpoint(found[0])


async def delete_endpoint(tx: Tx, endpoint: UUID, *, actor: str, origin: str = "") -> None:
    """Delete an endpoint with its messages. Raises Refused: unknown_endpoint."""
    url = await tx.value(_sql.delete_endpoint, {"id": endpoint})
    if url is None:
        raise _unknown(endpoint)
    await audit.append(tx, actor, "webhook_endpoint.deleted", to_typeid("whe", endpoint), _host(url), origin)


async def enable_endpoint(tx: Tx, endpoint: UUID, *, actor: str, origin: str = "") -> Endpoint:
    """Send to an endpoint again, from now on; what it missed comes with replay_since. Raises Refused: unknown_endpoint."""
    if await tx.value(_sql.enable_endpoint, {"id": endpoint}) is None:
        raise _unknown(endpoint)
    await audit.append(tx, actor, "webhook_endpoint.enabled", to_typeid("whe", endpoint), "", origin)
    return await find_endpoint(tx, endpoint)


def _host(url: str) -> str:
    """All that the audit trail needs of an address: what follows the host may be a secret of its owner's."""
    return urlsplit(url).hostname or ""


def _unknown(endpoint: UUID) -> Exception:
    return refuse("unknown_endpoint", f"{to_typeid('whe', endpoint)} is not there, or no longer")


def _endpoint(row: Sequence[Any]) -> Endpoint:
    return Endpoint(row[0], row[1], tuple(row[2]), *row[3:])

"""The hot path of the door: from an Authorization header to a principal, almost always without the database."""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tillkeeper.access import policy, tokens
from tillkeeper.access.types import Principal
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store, queries

log = logging.getLogger(__name__)
_sql = queries(__package__, "queries.sql")

_NO_KEY = Refusal("unauthenticated", "send the header: Authorization: Bearer till_…")
_UNKNOWN = Refusal("unauthenticated", "the API key is not known or was revoked")
_EXPIRED = Refusal("key_expired", "make a new key: till keys create")
_ELSEWHERE = Refusal("address_refused", "use it from the networks it was made for: till keys list shows them")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class _Found(msgspec.Struct, frozen=True):
    """What a look-up gave; monotonic seconds: from `stale_at` it is renewed, from `dead_at` it is not trusted.

    `networks`: where the key may be used from; none: from anywhere.
    """

    answer: Principal | Refusal
    stale_at: float
    dead_at: float
    networks: tuple[_Network, ...] = ()


class KeyRing:
    """API keys lately used, by the SHA-256 of the header, so that no secret stays in memory.

    A key is looked up again behind the requests once its answer is KEY_REFRESH_SECONDS old, and is not trusted
    beyond KEY_TRUST_SECONDS: that long at most a revoked key still works, in every process. Unknown keys are
    remembered as long, in a bounded table, and share few look-ups, so that a flood of them starves nobody.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._friends: dict[bytes, _Found] = {}
        self._strangers: dict[bytes, _Found] = {}
        self._lookups: dict[bytes, asyncio.Task[_Found]] = {}
        self._gate = asyncio.Semaphore(limits.KEY_LOOKUPS)

    async def authenticate(self, header: str, address: str) -> Principal | Refusal:
        """The principal of an Authorization header that came from an address.

        Gives unauthenticated, key_expired, or address_refused.

        Raises what the store raises when a key must be looked up and the database cannot be reached.
        """
        fingerprint = hashlib.sha256(header.encode()).digest()
        found = self._friends.get(fingerprint) or self._strangers.get(fingerprint)
        now = self._clock.monotonic()
        if found is None or now >= found.dead_at:
            if (key := tokens.key_in(header)) is None:
                return _NO_KEY
            self._begin(fingerprint, key)
            found = await asyncio.shield(self._lookups[fingerprint])
        elif now >= found.stale_at and (key := tokens.key_in(header)) is not None:
            self._begin(fingerprint, key)
        if found.networks and not _within(address, found.networks):
            return _ELSEWHERE
        return found.answer

    def _begin(self, fingerprint: bytes, key: tuple[str, str]) -> None:
        """Look a key up, unless that is under way: a crowd with one key costs one query."""
        if fingerprint not in self._lookups:
            task = asyncio.create_task(self._look_up(fingerprint, key))
            task.add_done_callback(lambda done: self._ended(fingerprint, done))
            self._lookups[fingerprint] = task

    def _ended(self, fingerprint: bytes, done: asyncio.Task[_Found]) -> None:
        del self._lookups[fingerprint]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.warning("an API key could not be looked up: %s", error)

    async def _look_up(self, fingerprint: bytes, key: tuple[str, str]) -> _Found:
        if fingerprint in self._friends:
            return await self._ask(fingerprint, key)
        async with self._gate:
            return await self._ask(fingerprint, key)

    async def _ask(self, fingerprint: bytes, key: tuple[str, str]) -> _Found:
        asked_at = self._clock.monotonic()  # before the query: the answer is as old as the question
        short_id, text = key
        async with self._store.tx("authenticate") as tx:
            row, now = await tx.row(_sql.find_key, {"short_id": short_id}), self._clock.now()
            answer, trust = _judge(row, text, now)
            if row is not None and isinstance(answer, Principal) and _long_ago(row.used_at, now):
                await tx.run(_sql.touch_key, {"id": answer.key, "at": now})
        networks = _networks(row) if isinstance(answer, Principal) else ()
        found = _Found(answer, asked_at + min(trust, limits.KEY_REFRESH_SECONDS), asked_at + trust, networks)
        self._remember(fingerprint, found)
        return found

    def _remember(self, fingerprint: bytes, found: _Found) -> None:
        """Keep an answer; the table's oldest entry makes room. Re-inserting keeps a used key young."""
        friend = isinstance(found.answer, Principal)
        table, size = (
            (self._friends, limits.KEY_CACHE_SIZE) if friend else (self._strangers, limits.KEY_STRANGERS_SIZE)
        )
        (self._strangers if friend else self._friends).pop(fingerprint, None)
        table.pop(fingerprint, None)
        if len(table) >= size:
            del table[next(iter(table))]
        table[fingerprint] = found


def _judge(row: Any | None, text: str, now: datetime) -> tuple[Principal | Refusal, float]:
    """What a key's row says of the key, and for how many seconds at most that may be believed."""
    trust = limits.KEY_TRUST_SECONDS
    if row is None or row.revoked_at is not None:
        return _UNKNOWN, trust
    if not hmac.compare_digest(bytes(row.secret_hash), tokens.digest(text)):
        return _UNKNOWN, trust
    left = trust if row.expires_at is None else (row.expires_at - now).total_seconds()
    if left <= 0:
        return _EXPIRED, trust
    return policy.service(row.principal, row.id, row.name, frozenset(row.scopes)), min(trust, left)


def _long_ago(used_at: datetime | None, now: datetime) -> bool:
    return used_at is None or now - used_at >= timedelta(seconds=limits.KEY_USED_SECONDS)


def _networks(row: Any) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in row.networks)


def _within(address: str, networks: tuple[_Network, ...]) -> bool:
    """Whether an address is in one of the networks; what is no address is in none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)

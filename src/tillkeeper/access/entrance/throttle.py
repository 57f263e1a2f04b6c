"""Tries that count: whoever guesses is stopped, by person and by address; who is unknown is counted like who is known."""

import hashlib
import ipaddress
from datetime import timedelta
from typing import Final

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")

_IPV6_HOME: Final = 64  # bits that one customer of a network has for itself


class Count(msgspec.Struct, frozen=True):
    """So many tries without a pause of so many seconds; then no more until that pause was kept."""

    kind: str
    most: int
    seconds: int


OF_PERSON: Final = Count("person", limits.TRIES_OF_PERSON, limits.TRIES_SECONDS)
OF_SIGNED_IN: Final = Count("signed in", limits.TRIES_OF_PERSON, limits.TRIES_SECONDS)
"""Of who is signed in and confirms: strangers who guess at the door must not keep them from it."""
OF_ADDRESS: Final = Count("address", limits.TRIES_OF_ADDRESS, limits.TRIES_SECONDS)
UNANSWERED: Final = Count("unanswered", limits.CEREMONIES_OF_ADDRESS, limits.CEREMONY_SECONDS)


async def count(tx: Tx, of: Count, whose: str, clock: Clock) -> int | None:
    """Count one try before it is made, so that a crowd of them cannot pass together; how many that were.

    None: there were too many, and this one must not be made.
    """
    now = clock.now()
    params = {
        "key": _key(of, whose),
        "at": now,
        "since": now - timedelta(seconds=of.seconds),
        "most": of.most,
    }
    found: int | None = await tx.value(_sql.count_try, params)
    return found


async def uncount(tx: Tx, of: Count, whose: str) -> None:
    """A try was right: it does not count."""
    await tx.run(_sql.uncount_try, {"key": _key(of, whose)})


async def forgive(tx: Tx, of: Count, whose: str) -> None:
    """None of the tries so far counts any more."""
    await tx.run(_sql.forget_tries_of, {"key": _key(of, whose)})


def neighbourhood(origin: str) -> str:
    """An address as it is counted: of IPv6 the network, for whoever has one address there has 2^64 of them."""
    try:
        address = ipaddress.ip_address(origin)
    except ValueError:
        return origin
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _IPV6_HOME), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _key(of: Count, whose: str) -> bytes:
    return hashlib.sha256(f"{of.kind}|{whose}".encode()).digest()

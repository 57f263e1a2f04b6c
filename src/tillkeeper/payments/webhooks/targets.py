"""Where a webhook may go: a public address, unless private ones are allowed. Guards against being sent inwards (SSRF)."""

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.limits import MAX_WEBHOOK_URL
from tillkeeper.base.results import Refusal

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Addresses that carry another address inside, by which a private one could be reached.
_TUNNELS: Final = [
    ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]


def may_receive(address: Address, *, private: bool) -> bool:
    """Whether messages may be sent to an address; `private` allows loopback and private networks.

    Link-local addresses (cloud machines answer with their secrets there), multicast and the like never may.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return may_receive(address.ipv4_mapped, private=private)
        if any(address in tunnel for tunnel in _TUNNELS):
            return False
    if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return private and address.is_loopback  # ::1 counts as reserved
    if address.is_global:
        return True
    return private and (address.is_loopback or address.is_private)


def all_may_receive(addresses: Sequence[str], *, private: bool) -> bool:
    """Whether a name's addresses are fit: one unfit among them spoils the name, for it could be chosen next time."""
    return bool(addresses) and all(
        may_receive(ipaddress.ip_address(each.partition("%")[0]), private=private) for each in addresses
    )


def check_url(url: str, *, private: bool) -> Refusal | None:
    """What is wrong with an endpoint's URL, as far as it shows without asking the name servers.

    Plain http is for private targets only: payments are nobody else's business.
    """
    if refusal := forbidden(unquote(url)):
        return Refusal(refusal.code, refusal.detail, "url")
    fault = _fault(url, private=private)
    return Refusal("webhook_url_refused", fault, "url") if fault else None


def _fault(url: str, *, private: bool) -> str | None:
    if len(url) > MAX_WEBHOOK_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"up to {MAX_WEBHOOK_URL} plain ASCII characters without spaces"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "this is no URL"
    if parts.scheme not in ({"https", "http"} if private else {"https"}):
        return "the URL must begin with https://"
    if not host or port == 0:
        return "the URL has no host, or no port that can be used"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "no user name, password or #fragment"
    return _host_fault(host, private=private)


def _host_fault(host: str, *, private: bool) -> str | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.rstrip(".").lower()
        inward = (
            name == "localhost" or name.endswith((".localhost", ".local", ".internal")) or "." not in name
        )
        return "the name is not a public one" if inward and not private else None
    return None if may_receive(address, private=private) else "the address is not a public one"

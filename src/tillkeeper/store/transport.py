"""How the way to the database is protected: a remote server must prove who it is, or is not spoken to."""

import ipaddress
from typing import Final, Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Transport = Literal["local", "verified", "open"]

_VERIFIED: Final = "verify-full"


def transport_of(url: str) -> Transport:
    """`local`: a socket file or this machine. `verified`: encrypted, and the server's certificate and name are checked.

    `open`: somebody in between can read or answer. Raises psycopg.ProgrammingError for a text that is no URL.
    """
    parts = conninfo_to_dict(url)
    hosts = [str(parts.get(name)) for name in ("host", "hostaddr") if parts.get(name)]
    if all(_is_here(host) for each in hosts for host in each.split(",")):
        return "local"
    return "verified" if parts.get("sslmode") == _VERIFIED else "open"


def guarded(url: str) -> str:
    """The URL; for a remote server without an sslmode with sslmode=verify-full (libpq's own default takes anything).

    The certificate authorities are the system's unless sslrootcert names a file. A mode that somebody chose stays, and
    till doctor says what is wrong with it.
    """
    parts = conninfo_to_dict(url)
    if transport_of(url) != "open" or "sslmode" in parts:
        return url
    return make_conninfo(url, sslmode=_VERIFIED, sslrootcert=str(parts.get("sslrootcert") or "system"))


def _is_here(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Under which addresses the console is itself: no other name in a request's head is believed, shown or linked to."""

from typing import Final
from urllib.parse import urlsplit

from tillkeeper.access.entrance import Site

_YEAR: Final = 365 * 24 * 3600
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Sites:
    """The address that the settings name; without one, this machine's own names and the address it listens on."""

    def __init__(self, url: str | None = None, host: str = "127.0.0.1") -> None:
        self._only = _site(*urlsplit(url)[:2]) if url else None
        self._hosts = _LOOPBACK | {host}

    def find(self, scheme: str, host: str) -> Site | None:
        """The console as somebody addressed it (by the Host header); None for any other name."""
        found = _site(scheme, host)
        if self._only is not None:
            # What is before us may have ended TLS: the address is what people see, not what reaches us.
            return self._only if found and _bare(found) == _bare(self._only) else None
        return found if found and found.host in self._hosts else None

    @property
    def headers(self) -> dict[str, str]:
        """What every answer says of the address: that it is reached by TLS only, where the settings promise so."""
        promised = self._only and self._only.origin.startswith("https:") and self._only.host not in _LOOPBACK
        return {"strict-transport-security": f"max-age={_YEAR}"} if promised else {}


def _site(scheme: str, host: str) -> Site | None:
    """None for what is no host and port."""
    try:
        parts = urlsplit(f"{scheme}://{host}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.netloc != host or parts.username is not None or not host.isprintable():
        return None
    if port == {"http": 80, "https": 443}.get(scheme):
        host = host.rpartition(":")[0] if port is not None and host.endswith(f":{port}") else host
    return Site(f"{scheme}://{host.lower()}", parts.hostname)


def _bare(site: Site) -> str:
    return site.origin.partition("://")[2].removesuffix(":443").removesuffix(":80")

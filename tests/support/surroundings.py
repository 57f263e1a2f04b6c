"""What a machine may lack: `@needs_shared_data`, `@needs_chromium` skip with the reason, `no_outside` keeps tests home."""

import ipaddress
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import pytest

SHARED_DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason=f"no payment histories at {SHARED_DATA}"
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install Debian's package chromium, or run .ci/run as root"
)


def no_outside() -> None:
    """From now on this process can open sockets to itself and its machine only."""
    sys.addaudithook(_stay_home)


def _stay_home(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = args[1]
        host = address[0] if isinstance(address, tuple) else ""
    elif event == "socket.getaddrinfo":
        host = args[0] or ""
    else:
        return
    name = host.decode() if isinstance(host, bytes) else str(host)
    if not _is_home(name):
        raise RuntimeError(f"a test reached for {name}: only this machine may be reached")


def _is_home(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

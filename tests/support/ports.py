"""Ports for processes that bind them only later: until then nobody else on this machine is given one of them."""

import fcntl
import os
import socket
import tempfile
from itertools import count
from pathlib import Path
from typing import Final

# Below those that the kernel gives to any connection going out (net.ipv4.ip_local_port_range).
_FIRST: Final = 20_000
_LAST: Final = 32_000
_tried = count(os.getpid() * 31)
_held: list[int] = []
"""Locks, kept until this process ends."""


def free_port() -> int:
    """A free port, which no other process of tests is given as long as this one lives."""
    folder = Path(tempfile.gettempdir()) / f"till-ports-{os.geteuid()}"
    folder.mkdir(exist_ok=True)
    for _ in range(_FIRST, _LAST):
        port = _FIRST + next(_tried) % (_LAST - _FIRST)
        lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
        if _is_ours(lock) and _is_free(port):
            _held.append(lock)
            return port
        os.close(lock)
    raise OSError(f"no port from {_FIRST} to {_LAST} is free")


def _is_ours(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

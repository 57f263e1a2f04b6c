"""Which start of which process this is, in a form by which others on the same machine can see that it is dead.

A process id alone does not tell: it is given again, to others in other containers too. So it goes with the machine's boot,
the namespace that the id belongs to, and the moment the process began: counted from the boot, since a clock that is set
right would make the living look dead.
"""

import os
import socket
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")
_DEAD: Final = ("Z", "X")


def incarnation() -> str:
    """This process."""
    return incarnation_of(os.getpid())


def incarnation_of(pid: int) -> str:
    """A process of this machine: host, boot, namespace of process ids, process id, start."""
    return f"{socket.gethostname()}:{_machine()}:{pid}:{_began(pid)}"


def is_dead(other: str) -> bool:
    """Whether an incarnation is known to have ended. False also where that cannot be seen from here."""
    host, boot, namespace, pid, began = (other.split(":") + [""] * 5)[:5]
    if f"{boot}:{namespace}" != _machine() or not boot or host != socket.gethostname() or not pid.isdigit():
        return False
    return _began(int(pid)) != began


def _machine() -> str:
    """Boot and namespace; empty where the system does not tell."""
    try:
        return f"{_BOOT.read_text().strip()}:{_NAMESPACE.readlink().name.strip('pid:[]')}"
    except OSError:
        return ":"


def _began(pid: int) -> str:
    """When a process began, in ticks since the boot; empty if there is none. One that waits for its parent to look is dead."""
    try:
        # After the name, which may hold anything, come the state as the first word and the start as the twentieth.
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if words[0] in _DEAD else words[19]

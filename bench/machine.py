"""Who used the processors: seconds on CPU from Linux's /proc, so that a figure can name its costs and its neighbours."""

from pathlib import Path
from typing import Final

import msgspec

_PROC: Final = Path("/proc")
_TICKS_PER_SECOND: Final = 100  # USER_HZ, part of the kernel's interface
BUSY_SHARE: Final = 0.1  # of one processor: beyond this, others were working here too


class Usage(msgspec.Struct, frozen=True):
    """Seconds on CPU: of each group of processes, and of everything on the machine."""

    groups: dict[str, float]
    machine: float

    def since(self, before: "Usage") -> "Usage":
        """What was used between two readings."""
        used = {name: seconds - before.groups[name] for name, seconds in self.groups.items()}
        return Usage(used, self.machine - before.machine)

    def others(self, own: float = 0.0) -> float:
        """Seconds used by processes in no group; `own` are seconds of ours that no group has."""
        return max(0.0, self.machine - sum(self.groups.values()) - own)


def usage(groups: dict[str, int]) -> Usage:
    """Read the seconds of each group: a process and its children, those that ended included."""
    return Usage({name: _seconds(pid) for name, pid in groups.items()}, _machine())


def family(pid: int) -> list[int]:
    """A process and its children."""
    children: list[int] = []
    for status in _PROC.glob("[0-9]*/stat"):
        fields = _read(status).rpartition(")")[2].split()
        if len(fields) > 1 and int(fields[1]) == pid:
            children.append(int(status.parent.name))
    return [pid, *children]


def load_average() -> float:
    """Of the last minute."""
    return float(_read(_PROC / "loadavg").split()[0])


def _seconds(group: int) -> float:
    nanoseconds = 0
    for pid in family(group):
        for task in (_PROC / str(pid) / "task").glob("*/schedstat"):
            nanoseconds += int((_read(task).split() or ["0"])[0])
    ended = sum(map(int, _read(_PROC / str(group) / "stat").rpartition(")")[2].split()[13:15]))
    return nanoseconds / 1e9 + ended / _TICKS_PER_SECOND


def _machine() -> float:
    return busy_ticks(_read(_PROC / "stat")) / _TICKS_PER_SECOND


def busy_ticks(stat: str) -> int:
    """The ticks in the first line of /proc/stat that were not idle: user, nice, system, irq, softirq, steal."""
    ticks = [int(field) for field in stat.split("\n", 1)[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""

"""Names of segments of the write-ahead log, and which of them a restore needs. Pure."""

import re
from collections.abc import Iterable
from typing import Final

SEGMENT_BYTES: Final = 16 << 20
PARTIAL: Final = ".partial"
HISTORY: Final = ".history"
_SEGMENT: Final = re.compile(r"[0-9A-F]{24}")


def lsn_number(lsn: str) -> int:
    """A place in the log, as in `0/2000028`, in bytes."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def segment_of(lsn: str) -> int:
    """The number of the segment that holds a place."""
    return lsn_number(lsn) // SEGMENT_BYTES


def number_of(name: str) -> int | None:
    """The number of a segment by its file's name, whatever the timeline; None for another file."""
    plain = name.removesuffix(PARTIAL)
    if not _SEGMENT.fullmatch(plain):
        return None
    return int(plain[8:16], 16) * ((1 << 32) // SEGMENT_BYTES) + int(plain[16:24], 16)


def needed(names: Iterable[str], end_lsn: str) -> list[str]:
    """Of the files in the archive those that follow a backup without a gap, in order, and all histories; a whole segment
    stands for its partial one.
    """
    there = set(names)
    histories = sorted(name for name in there if name.endswith(HISTORY))
    by_number: dict[int, list[str]] = {}
    for name in sorted(there):
        number = number_of(name)
        if number is not None and name.removesuffix(PARTIAL) not in there - {name}:
            by_number.setdefault(number, []).append(name)
    found: list[str] = []
    number = segment_of(end_lsn)
    while number in by_number:
        found += by_number[number]
        number += 1
    return histories + found


def newest(names: Iterable[str]) -> list[str]:
    """The last segment of each timeline: after a restore an abandoned one may reach a higher number than the one in use."""
    return list({name[:8]: name for name in sorted(names) if number_of(name) is not None}.values())


def outlived(names: Iterable[str], oldest_start_lsn: str) -> list[str]:
    """Of the files in the archive those that no kept backup needs; histories are kept, they are tiny."""
    first = segment_of(oldest_start_lsn)
    return [name for name in names if (number := number_of(name)) is not None and number < first]

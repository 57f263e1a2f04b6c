"""PostgreSQL's own list of a backup's files (`backup_manifest`): found in the stream, read, and compared with a folder.

The wheel brings pg_verifybackup too, but its build ends with a segmentation fault whatever it is asked; what it would look at
is little enough to look at here. See docs/decisions/0015-backups.md.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tillkeeper.maintenance.backups.types import BackupError

LIST: Final = "backup_manifest"
_BLOCK: Final = 512
# Not in the list, or written by whoever restores.
_UNLISTED: Final = {LIST, "recovery.signal", "standby.signal"}
_OURS: Final = {"postgresql.auto.conf"}


class _Range(msgspec.Struct, rename="kebab"):
    timeline: int
    start_lsn: str
    end_lsn: str


class _File(msgspec.Struct, rename="kebab"):
    size: int
    path: str = ""
    encoded_path: str = ""
    checksum: str = ""

    @property
    def name(self) -> str:
        return self.path or bytes.fromhex(self.encoded_path).decode("utf-8", "surrogateescape")


class _List(msgspec.Struct):
    files: list[_File]
    ranges: list[_Range]


class FileList(msgspec.Struct, frozen=True):
    """A backup's files with size and SHA-256, and the stretch of log that it needs."""

    timeline: int
    start_lsn: str
    end_lsn: str
    files: dict[str, tuple[int, str]]

    @classmethod
    def read(cls, content: bytes) -> "FileList":
        """Raises BackupError when it is not as PostgreSQL wrote it: it ends with a checksum of itself."""
        body, mark, tail = content.rpartition(b'"Manifest-Checksum"')
        said = tail.split(b'"')[1].decode(errors="replace") if mark and tail.count(b'"') >= 2 else ""
        if not mark or hashlib.sha256(body).hexdigest() != said:
            raise BackupError("PostgreSQL's list of the backup's files is damaged: take a new backup")
        found = msgspec.json.decode(content)
        files = msgspec.convert(_keyed(found["Files"]), list[_File])
        last = msgspec.convert(_keyed(found["WAL-Ranges"]), list[_Range])[-1]
        return cls(
            last.timeline,
            last.start_lsn,
            last.end_lsn,
            {each.name: (each.size, each.checksum) for each in files},
        )

    def faults(self, folder: Path) -> Iterator[str]:
        """What differs in a folder that should hold exactly these files."""
        there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for name in sorted(self.files.keys() - there):
            yield f"{name} is missing"
        for name in sorted(there - self.files.keys() - _UNLISTED):
            if not name.startswith("pg_wal/"):
                yield f"{name} should not be there"
        for name in sorted((self.files.keys() & there) - _OURS):
            size, checksum = self.files[name]
            path = folder / name
            if path.stat().st_size != size:
                yield f"{name} has {path.stat().st_size} bytes instead of {size}"
            elif checksum and _digest(path) != checksum:
                yield f"{name} has other bytes than were backed up"


class ListSeeker:
    """Follows a tar archive as it streams by, and keeps the member `backup_manifest`."""

    def __init__(self) -> None:
        self.found = b""
        self._head = b""
        self._left = 0
        self._padding = 0
        self._wanted = False

    def feed(self, piece: bytes) -> None:
        """The next bytes of the archive."""
        view = memoryview(piece)
        while view:
            view = view[self._take(view) :]

    def _take(self, view: memoryview) -> int:
        """Use some of the bytes; how many."""
        if self._left:
            taken = min(self._left, len(view))
            if self._wanted:
                self.found += bytes(view[:taken])
            self._left -= taken
            return taken
        if self._padding:
            taken = min(self._padding, len(view))
            self._padding -= taken
            return taken
        taken = min(_BLOCK - len(self._head), len(view))
        self._head += bytes(view[:taken])
        if len(self._head) == _BLOCK:
            self._begin(self._head)
            self._head = b""
        return taken

    def _begin(self, head: bytes) -> None:
        """A member begins; two empty blocks end the archive."""
        self._wanted = head[:100].rstrip(b"\0") == LIST.encode()
        self._left = _number(head[124:136])
        self._padding = -self._left % _BLOCK


def _number(field: bytes) -> int:
    """Octal digits; of more than 8 GiB base 256, as the first bit says."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << 88) - 1)
    return int(field.strip(b"\0 ") or b"0", 8)


def _keyed(entries: Any) -> Any:
    """PostgreSQL writes `Start-LSN`, `Encoded-Path`."""
    return [{key.lower(): value for key, value in each.items()} for each in entries]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

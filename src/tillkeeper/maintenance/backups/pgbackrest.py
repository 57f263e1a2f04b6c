"""Backups of a database of one's own by pgBackRest, where it is installed and configured: it is called, and asked what it has."""

import asyncio
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from typing import Final
from uuid import UUID, uuid5

import msgspec

from tillkeeper.base.clock import from_us
from tillkeeper.base.ids import NIL
from tillkeeper.maintenance.backups.chest import Manifest
from tillkeeper.maintenance.backups.types import BackupError, BackupKind

PROGRAM: Final = "pgbackrest"
_LABELS: Final = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562's for names; its labels become ids
_KINDS: Final[dict[str, BackupKind]] = {"full": "full", "incr": "incremental", "diff": "incremental"}


class _Times(msgspec.Struct):
    start: int
    stop: int


class _Lsn(msgspec.Struct):
    start: str
    stop: str


class _Stored(msgspec.Struct):
    size: int = 0
    delta: int = 0


class _Info(msgspec.Struct):
    size: int
    repository: _Stored


class _Archive(msgspec.Struct):
    start: str | None = None


class _Backup(msgspec.Struct):
    label: str
    type: str
    timestamp: _Times
    info: _Info
    lsn: _Lsn
    archive: _Archive
    prior: str | None = None
    error: bool | None = None


class _Stanza(msgspec.Struct):
    name: str
    backup: list[_Backup] = []


async def take(*, full: bool) -> Manifest:
    """Have it take a backup; the newest that it then has. Raises BackupError."""
    await _call("backup", f"--type={'full' if full else 'incr'}")
    found = await there()
    if not found:
        raise BackupError("pgBackRest says that it took a backup, and that it has none: see its log")
    return found[-1]


async def there() -> list[Manifest]:
    """What it has, the oldest first. Raises BackupError."""
    said = await _call("info", "--output=json")
    try:
        stanzas = msgspec.json.decode(said, type=list[_Stanza])
    except msgspec.MsgspecError as error:
        raise BackupError(f"pgBackRest says what is not understood: {error}") from error
    if len(stanzas) != 1:
        raise BackupError(f"pgBackRest knows {len(stanzas)} stanzas: name one by PGBACKREST_STANZA")
    whole = [_manifest(each) for each in stanzas[0].backup if not each.error and each.type in _KINDS]
    return sorted(whole, key=lambda each: each.ended_at)


def _manifest(each: _Backup) -> Manifest:
    timeline = int(each.archive.start[:8], 16) if each.archive.start else 1
    return Manifest(
        id=_id(each.label),
        kind=_KINDS[each.type],
        parent=_id(each.prior) if each.prior else None,
        begun_at=from_us(each.timestamp.start * 1_000_000),
        ended_at=from_us(each.timestamp.stop * 1_000_000),
        system="",
        timeline=timeline,
        start_lsn=each.lsn.start,
        end_lsn=each.lsn.stop,
        size=each.info.repository.delta,
        database_bytes=each.info.size,
        key=NIL,
    )


def _id(label: str) -> UUID:
    return uuid5(_LABELS, f"pgbackrest {label}")


async def _call(*arguments: str) -> bytes:
    program = shutil.which(PROGRAM)
    if program is None:
        raise BackupError(
            "this database is one of your own and pgbackrest is not on the path: "
            "install and configure it here, or back up by the database's own means"
        )
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        said, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode != 0:
        words = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise BackupError(f"pgBackRest: {words or f'exit code {process.returncode}'}")
    return said

"""A base backup: PostgreSQL's own pg_basebackup, streamed through the chest into the repository."""

import asyncio
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

from tillkeeper.base.clock import Clock
from tillkeeper.maintenance.backups.chest import Chest, Manifest, data_name, files_name
from tillkeeper.maintenance.backups.files import FileList, ListSeeker
from tillkeeper.maintenance.backups.types import BackupError, Tell
from tillkeeper.store.owner import as_owner
from tillkeeper.store.programs import give, server_account, start

_PIECE: Final = 256 * 1024


async def take(
    admin_url: str, chest: Chest, id_: UUID, parent: Manifest | None, clock: Clock, tell: Tell
) -> Manifest:
    """Take a base backup; `parent`: only what has changed since that one. With its manifest it exists. Raises BackupError."""
    system, database_bytes = await about(admin_url)
    await chest.belong_to(system)
    begun_at = clock.now()
    key = await chest.new_key()
    seeker = ListSeeker()
    async with _wal_kept(admin_url, id_), _old_list(chest, parent) as old_list:
        stream = _taking(admin_url, old_list)
        told = _telling(_followed(stream, seeker), database_bytes, tell)
        size = await chest.write(data_name(id_), key, told)
    files = FileList.read(seeker.found)
    size += await chest.write_small(files_name(id_), key, seeker.found)
    manifest = Manifest(
        id=id_,
        kind="incremental" if parent else "full",
        parent=parent.id if parent else None,
        begun_at=begun_at,
        ended_at=clock.now(),
        system=system,
        timeline=files.timeline,
        start_lsn=files.start_lsn,
        end_lsn=files.end_lsn,
        size=size,
        database_bytes=database_bytes,
        key=key.id,
    )
    await chest.add_manifest(manifest)
    return manifest


async def about(admin_url: str) -> tuple[str, int]:
    """The cluster's name for itself, and how large it is."""
    async with as_owner(admin_url, "backup") as owner:
        found = await owner.row(
            "SELECT system_identifier::text AS system, (SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint AS size"
            " FROM pg_control_system()"
        )
    assert found is not None
    return found.system, found.size


@asynccontextmanager
async def _wal_kept(admin_url: str, id_: UUID) -> AsyncIterator[None]:
    """The log written during the block stays until it is fetched at the end; a temporary slot dies with its connection."""
    async with as_owner(admin_url, "backup") as owner:
        await owner.rows(
            "SELECT pg_create_physical_replication_slot(%(name)s, true, true)", {"name": f"till_{id_.hex}"}
        )
        yield


@asynccontextmanager
async def _old_list(chest: Chest, parent: Manifest | None) -> AsyncIterator[Path | None]:
    """PostgreSQL's list of the parent's files, where pg_basebackup can read it."""
    if parent is None:
        yield None
        return
    content = await chest.read_small(files_name(parent.id))
    with tempfile.TemporaryDirectory(prefix="till-backup-") as folder:
        path = Path(folder) / "backup_manifest"
        await asyncio.to_thread(path.write_bytes, content)
        path.chmod(0o600)
        for each in (path, path.parent):
            give(each, server_account())
        yield path


async def _taking(admin_url: str, old_list: Path | None) -> AsyncIterator[bytes]:
    """The backup as a tar archive. Raises BackupError when pg_basebackup does not come to its good end."""
    command = ["pg_basebackup", f"--dbname={admin_url}", "--no-password", "--format=tar", "--pgdata=-"]
    command += ["--wal-method=fetch", "--checkpoint=fast", "--manifest-checksums=SHA256", "--label=till"]
    if old_list is not None:
        command.append(f"--incremental={old_list}")
    process = await start(command, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    said = asyncio.ensure_future(process.stderr.read())
    try:
        while piece := await process.stdout.read(_PIECE):
            yield piece
        words = (await said).decode(errors="replace").strip()
        if await process.wait() != 0:
            raise BackupError(f"{_last(words)} (pg_basebackup)")
    finally:
        said.cancel()
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _last(words: str) -> str:
    lines = [line.removeprefix("pg_basebackup: ") for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


async def _followed(content: AsyncIterator[bytes], seeker: ListSeeker) -> AsyncIterator[bytes]:
    async for piece in content:
        seeker.feed(piece)
        yield piece


async def _telling(content: AsyncIterator[bytes], whole: int, tell: Tell) -> AsyncIterator[bytes]:
    seen = 0
    async for piece in content:
        seen += len(piece)
        tell(min(0.99, seen / max(1, whole)), f"{seen >> 20} MiB read")
        yield piece

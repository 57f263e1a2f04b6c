"""Restore: from a repository and the root key alone to a home that `till up` starts from. No database is asked."""

import asyncio
import os
import re
import shutil
import signal
import tarfile
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, from_us
from tillkeeper.maintenance.backups.chest import Chest, Manifest, data_name
from tillkeeper.maintenance.backups.files import LIST, FileList
from tillkeeper.maintenance.backups.repository import AbsentError
from tillkeeper.maintenance.backups.types import BackupError, Check, Restored, Tell
from tillkeeper.maintenance.backups.walnames import PARTIAL, needed, newest
from tillkeeper.store.embedded import folder_of_server
from tillkeeper.store.programs import call, give, server_account, start

TIME_BYTES: Final = 8
"""Every object of the log begins with the moment before which every commit is in it or before it."""
_SIGNAL: Final = "recovery.signal"
_END: Final = "recovery ended before configured recovery target was reached"


class Plan:
    """What will be restored: the backups from a full one on, and the files of the log after them. `reached`: every commit
    before that is in them.
    """

    def __init__(self, chain: Sequence[Manifest], wal: Sequence[str], reached: datetime) -> None:
        self.chain = chain
        self.wal = wal
        self.reached = reached

    @property
    def backup(self) -> Manifest:
        return self.chain[-1]

    @property
    def need(self) -> int:
        """Bytes of disk: each backup unpacked, and what joins them; and the log."""
        unpacked = sum(each.database_bytes if each.kind == "full" else each.size * 4 for each in self.chain)
        joined = self.backup.database_bytes if len(self.chain) > 1 else 0
        return unpacked + joined + (len(self.wal) << 24) + limits.EMBEDDED_FREE_BYTES


async def plan(chest: Chest, to: datetime | None) -> Plan:
    """The newest backup that had ended by then, and what it builds on. Raises BackupError."""
    there = await chest.manifests()
    known = {each.id: each for each in there}
    fit = [each for each in there if to is None or each.ended_at <= to]
    if not fit:
        when = f" that ended before {to.isoformat()}" if to and there else ""
        raise BackupError(f"{chest.repository.name} holds no backup{when}: is TILL_BACKUPS right?")
    chain = [fit[-1]]
    while (parent := chain[0].parent) is not None:
        if parent not in known:
            raise BackupError(f"backup {chain[0].id} builds on {parent}, which is gone from the repository")
        chain.insert(0, known[parent])
    for each in chain:
        await chest.check(each)
    wal = needed(await chest.log_names(), chain[-1].end_lsn)
    reached = max([chain[-1].begun_at, *[await _stamp(chest, name) for name in newest(wal)]])
    if to is not None and to > reached:
        raise BackupError(f"the archive reaches {reached.isoformat()} only: choose a moment before that")
    return Plan(chain, wal, reached)


async def _stamp(chest: Chest, name: str) -> datetime:
    """The moment that an object of the log begins with."""
    async with aclosing(chest.read(f"wal/{name}")) as content:
        first = await anext(content)
    return _moment(first)


def _moment(content: bytes) -> datetime:
    return from_us(int.from_bytes(content[:TIME_BYTES], "big"))


async def restore(chest: Chest, home: Path, to: datetime | None, clock: Clock, tell: Tell) -> Restored:
    """Restore into an empty folder and replay to a moment, or as far as the archive goes. The server is stopped afterwards.

    Raises BackupError; what was half restored is removed.
    """
    begun_at, begun = clock.now(), time.monotonic()
    chosen = await plan(chest, to)
    await asyncio.to_thread(_make_room, home, chosen.need)
    try:
        checks = await _unpack(chest, chosen, home, tell)
        reached = await _bring_log(chest, chosen, home, tell)
        tell(0.8, "replaying the log")
        await _replay(home, to)
    except BaseException:
        await asyncio.to_thread(_take_away, home)
        raise
    lost = max(0.0, (begun_at - chosen.reached).total_seconds())
    taken = time.monotonic() - begun
    return Restored(str(home), chosen.backup.id, to or reached, begun_at, lost, taken, tuple(checks))


def _make_room(home: Path, need: int) -> None:
    if home.exists() and any(home.iterdir()):
        raise BackupError(f"{home} is not empty: restore into a folder that is, or does not exist yet")
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupError(f"{home} cannot be made: {error.strerror}") from error
    free = shutil.disk_usage(home).free
    if free < need:
        raise BackupError(
            f"{home} has {free >> 20} MiB free and the restore needs {need >> 20} MiB: make room"
        )


def _take_away(home: Path) -> None:
    for half in (home / "postgres", *home.glob("restore.*")):
        shutil.rmtree(half, ignore_errors=True)


async def _unpack(chest: Chest, chosen: Plan, home: Path, tell: Tell) -> list[Check]:
    """Every backup of the chain in a folder of its own, compared with its list; then joined."""
    folders, files = [], 0
    for place, each in enumerate(chosen.chain):
        tell(0.6 * place / len(chosen.chain), f"fetching backup {place + 1} of {len(chosen.chain)}")
        folder = home / "postgres" if len(chosen.chain) == 1 else home / f"restore.{place}"
        await asyncio.to_thread(folder_of_server, folder)
        await _extract(chest.read(data_name(each.id)), folder)
        files += await asyncio.to_thread(_compare, folder)
        folders.append(folder)
    if len(folders) > 1:
        tell(0.6, "joining full and incremental backups")
        await asyncio.to_thread(_join, folders, home / "postgres")
    said = f"{files} files are as they were backed up"
    return [Check("files", "holds", said)]


async def _extract(content: AsyncIterator[bytes], folder: Path) -> None:
    """Unpack a tar archive as it arrives."""
    reading, writing = os.pipe()
    unpacking = asyncio.ensure_future(asyncio.to_thread(_untar, reading, folder))
    try:
        with (
            suppress(BrokenPipeError),
            os.fdopen(writing, "wb") as pipe,
        ):  # unpacking failed, and says why below
            async for piece in content:
                await asyncio.to_thread(pipe.write, piece)
    finally:
        await asyncio.wait([unpacking])
    unpacking.result()


def _untar(reading: int, folder: Path) -> None:
    account = server_account()
    try:
        with os.fdopen(reading, "rb") as pipe, tarfile.open(fileobj=pipe, mode="r|") as archive:
            for member in archive:
                archive.extract(member, folder, set_attrs=False, filter="tar")
                path = folder / member.name
                path.chmod(0o700 if member.isdir() else 0o600)
                give(path, account)
            while pipe.read(1 << 16):  # to the end, which says whether the object was whole
                pass
    except (tarfile.TarError, OSError) as error:
        raise BackupError(f"the backup cannot be unpacked in {folder}: {error}") from error


def _compare(folder: Path) -> int:
    files = FileList.read((folder / LIST).read_bytes())
    if faults := [fault for fault, _ in zip(files.faults(folder), range(3), strict=False)]:
        raise BackupError(f"the backup is not what was backed up: {'; '.join(faults)}")
    return len(files.files)


def _join(folders: Sequence[Path], whole: Path) -> None:
    folder_of_server(whole)
    command = ["pg_combinebackup", "--link", "--no-sync", *map(str, folders), f"--output={whole}"]
    code, said = call(command, server_account())
    if code != 0:
        raise BackupError(f"full and incremental backup cannot be joined: {said.splitlines()[-1]}")
    for folder in folders:
        shutil.rmtree(folder)


async def _bring_log(chest: Chest, chosen: Plan, home: Path, tell: Tell) -> datetime:
    """The log's files where PostgreSQL looks for them; the moment that they reach, as the last may have grown meanwhile."""
    folder, reached = home / "postgres" / "pg_wal", chosen.reached
    for place, name in enumerate(chosen.wal):
        tell(0.6 + 0.2 * place / len(chosen.wal), f"fetching the log, {place + 1} of {len(chosen.wal)}")
        content = await _log_file(chest, name)
        reached = max(reached, _moment(content))
        await asyncio.to_thread(_put, folder / name.removesuffix(PARTIAL), content[TIME_BYTES:])
    return reached


async def _log_file(chest: Chest, name: str) -> bytes:
    """A file of the log; of one that was not full when it was listed, and is by now, the whole."""
    try:
        return await chest.read_small(f"wal/{name}")
    except AbsentError:
        if not name.endswith(PARTIAL):
            raise
        return await chest.read_small(f"wal/{name.removesuffix(PARTIAL)}")


def _put(path: Path, content: bytes) -> None:
    if path.exists():
        return  # the backup brought it along, and whole: the archive may have less of it
    path.write_bytes(content)
    path.chmod(0o600)
    give(path, server_account())


async def _replay(home: Path, to: datetime | None) -> None:
    """Let PostgreSQL replay the log up to a moment, or to its end."""
    data = home / "postgres"
    await asyncio.to_thread(_put, data / _SIGNAL, b"")
    said = await _recovered(data, to)
    if (
        _END in said
    ):  # the archive reaches that moment, but nothing was committed after it: then its end is that moment
        said = await _recovered(data, None)
    if said:
        raise BackupError(f"the log cannot be replayed: {said}")


async def _recovered(data: Path, to: datetime | None) -> str:
    """Run the server, out of everybody's reach, until it has replayed; what it said if it gave up."""
    with tempfile.TemporaryDirectory(prefix="till-") as folder:
        give(Path(folder), server_account())
        return await _recovered_at(folder, data, to)


async def _recovered_at(folder: str, data: Path, to: datetime | None) -> str:
    command = ["postgres", "-D", str(data), "-c", f"unix_socket_directories={folder}"]
    command += ["-c", "logging_collector=off", "-c", "hot_standby=off", "-c", "restore_command=false"]
    command += ["-c", "recovery_target_action=promote"]
    if to is not None:
        command += ["-c", f"recovery_target_time={to.isoformat()}"]
    process = await start(command, stdout=DEVNULL, stderr=PIPE)
    assert process.stderr is not None
    words = asyncio.ensure_future(process.stderr.read())
    try:
        while process.returncode is None and not await asyncio.to_thread(_is_up, data):
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), limits.RESTORE_POLL_SECONDS)
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        code = await process.wait()
        return "" if code == 0 else last_words((await words).decode(errors="replace"))
    finally:
        words.cancel()
        if process.returncode is None:
            process.send_signal(signal.SIGQUIT)  # not SIGKILL: that would leave its children behind
            await process.wait()


def _is_up(data: Path) -> bool:
    """Whether it has replayed and goes on by itself. The state alone does not tell: the backup brings one along."""
    if (data / _SIGNAL).exists():
        return False
    said = call(["pg_controldata", f"--pgdata={data}"], server_account())[1]
    return re.search(r"^Database cluster state: +in production$", said, re.MULTILINE) is not None


def last_words(said: str) -> str:
    """Why PostgreSQL gave up, of all that it said."""
    return "; ".join(re.findall(r"(?:FATAL|PANIC|ERROR): +(.*)", said)) or "it ended without a word"

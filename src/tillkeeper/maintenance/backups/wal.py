"""The archive of the write-ahead log: pg_receivewal brings it to `<home>/wal`, and from there it goes sealed to the repository.

A replication slot keeps the log on the server until pg_receivewal has it, and pg_receivewal's files stay until the repository
has them: a repository that cannot be reached fills the disk, which `wal_state` tells long before, and loses nothing.
"""

import asyncio
import logging
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, to_us
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups import rows
from tillkeeper.maintenance.backups.chest import Chest
from tillkeeper.maintenance.backups.restore import TIME_BYTES
from tillkeeper.maintenance.backups.sealing import DataKey
from tillkeeper.maintenance.backups.types import BackupError, WalState
from tillkeeper.maintenance.backups.walnames import PARTIAL
from tillkeeper.maintenance.backups.work import alone, chest_of
from tillkeeper.store import Owner, Store, Tx, as_owner
from tillkeeper.store.embedded import folder_of_server
from tillkeeper.store.opening import Urls
from tillkeeper.store.programs import start
from tillkeeper.vault import RootKeyError

log = logging.getLogger(__name__)

JOB: Final = "archive of the log"
SLOT: Final = "till_archive"
_SYSTEM: Final = "SELECT system_identifier::text FROM pg_control_system()"
_HAS_SLOT: Final = "SELECT true FROM pg_replication_slots WHERE slot_name = %(slot)s"
_MAKE_SLOT: Final = "SELECT pg_create_physical_replication_slot(%(slot)s, true)"
# The receiver of an agent that was killed lives on, and the slot is its own as long as it is connected.
_FREE_SLOT: Final = "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %(slot)s AND active"
_WRITTEN: Final = "SELECT pg_current_wal_lsn()::text"
_RECEIVED: Final = (
    "SELECT r.write_lsn >= %(lsn)s::text::pg_lsn FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid"
    " WHERE s.slot_name = %(slot)s"
)


async def wal_state(tx: Tx, home: Path | None = None) -> WalState:
    """How the archive of the write-ahead log stands. `home`: where the disk is that it waits on, for whoever is there."""
    there = home is not None and await asyncio.to_thread(home.exists)
    free = shutil.disk_usage(home).free if there and home is not None else None
    found = await rows.archive(tx)
    if found is None:
        return WalState(None, None, 0.0, free, None, None, "nothing was archived yet")
    hours = free / found.rate / 3600 if free is not None and found.rate >= 1 else None
    return WalState(found.reached, found.waiting, found.rate, free, hours, found.failing_since, found.said)


class LogArchive:
    """Archives the log of the embedded server for as long as it runs. One process at a time: see JOB."""

    def __init__(self, store: Store, urls: Urls, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._urls = urls
        self._settings = settings
        self._folder = settings.home.absolute() / "wal"
        self._clock = clock
        self._chest: Chest
        self._there: set[str] = set()
        self._shipped = ""

    async def run(self) -> None:
        """Until cancelled. Raises BackupError when PostgreSQL or its receiver ends; then it is begun again."""
        async with alone(self._urls.app, JOB), as_owner(self._urls.admin, JOB) as owner:
            try:
                await self._archive(owner)
            except (BackupError, RootKeyError) as error:
                await self._note_failing(await owner.value(_WRITTEN), self._clock.now(), error)
                raise

    async def _archive(self, owner: Owner) -> None:
        self._chest = chest_of(self._settings)
        await self._chest.belong_to(await owner.value(_SYSTEM))
        await self._chest.sweep("wal")
        key = await self._chest.log_key()
        self._there, self._shipped = set(await self._chest.log_names()), ""
        await asyncio.to_thread(folder_of_server, self._folder)
        await self._take_slot(owner, key)
        async with self._receiving() as receiver:
            while receiver.returncode is None:
                await self._look(owner, key)
                await asyncio.sleep(limits.WAL_SHIP_SECONDS)

    async def _take_slot(self, owner: Owner, key: DataKey) -> None:
        """The slot is ours. If it is new, whatever was archived before does not reach up to here: a backup joins on anew."""
        if await owner.value(_HAS_SLOT, {"slot": SLOT}):
            await owner.rows(_FREE_SLOT, {"slot": SLOT})
            return
        await self._ship(key, self._clock.now())
        for path in await asyncio.to_thread(lambda: [*self._folder.iterdir()]):
            path.unlink()
        await owner.rows(_MAKE_SLOT, {"slot": SLOT})
        if self._there:
            async with self._store.tx("backup ordered") as tx:
                await rows.order(tx, "incremental", "schedule", self._clock.now())

    @asynccontextmanager
    async def _receiving(self) -> AsyncIterator[Process]:
        command = ["pg_receivewal", f"--dbname={self._urls.admin}", "--no-password", "--no-loop"]
        command += [f"--directory={self._folder}", f"--slot={SLOT}", "--status-interval=1"]
        process = await start(command, stdout=DEVNULL, stderr=PIPE)
        assert process.stderr is not None
        words = asyncio.ensure_future(process.stderr.read())
        try:
            yield process
            said = (await words).decode(errors="replace").strip().rpartition("\n")[2]
            raise BackupError(f"{said or 'pg_receivewal ended'}; it is started again")
        finally:
            words.cancel()
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def _look(self, owner: Owner, key: DataKey) -> None:
        """Bring over what is new. A repository that fails does not stop the receiver: what it brings waits on the disk."""
        at = self._clock.now()
        lsn = await owner.value(_WRITTEN)
        try:
            if lsn != self._shipped:
                await self._await_received(owner, lsn)
                await self._ship(key, at)
                self._shipped = lsn
        except (BackupError, OSError) as error:
            await self._note_failing(lsn, at, error)
            return
        async with self._store.tx("log archived") as tx:
            await rows.note_archived(tx, lsn, at)

    async def _note_failing(self, lsn: str, at: datetime, error: Exception) -> None:
        log.warning("the log is not archived: %s", error)
        async with self._store.tx("log archive fails") as tx:
            await rows.note_archive_fails(tx, lsn, at, str(error))

    async def _await_received(self, owner: Owner, lsn: str) -> None:
        for _ in range(limits.WAL_RECEIVE_TRIES):
            if await owner.value(_RECEIVED, {"slot": SLOT, "lsn": lsn}):
                return
            await asyncio.sleep(limits.WAL_RECEIVE_SECONDS)
        raise BackupError("pg_receivewal does not keep up with what PostgreSQL writes")

    async def _ship(self, key: DataKey, at: datetime) -> None:
        """All that lies in the folder. Whole segments are removed when the repository has them."""
        for path in await asyncio.to_thread(lambda: sorted(self._folder.iterdir())):
            await self._ship_one(path, key, at)

    async def _ship_one(self, path: Path, key: DataKey, at: datetime) -> None:
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:  # a partial segment has become whole and has another name
            if not path.name.endswith(PARTIAL):
                raise
            await self._ship_one(path.with_name(path.name.removesuffix(PARTIAL)), key, at)
            return
        if path.name.endswith(PARTIAL):
            await self._put(path.name, key, at, content)
            return
        if path.name in self._there:
            await self._refuse_other(path.name, content)
        else:
            await self._put(path.name, key, at, content)
            await self._chest.repository.delete(f"wal/{path.name}{PARTIAL}")
        self._there.add(path.name)
        await asyncio.to_thread(path.unlink)

    async def _put(self, name: str, key: DataKey, at: datetime, content: bytes) -> None:
        stamped = to_us(at).to_bytes(TIME_BYTES, "big") + content
        await self._chest.write_small(f"wal/{name}", key, stamped)

    async def _refuse_other(self, name: str, content: bytes) -> None:
        """A segment that is there already was archived just before we were killed, or by another server."""
        if (await self._chest.read_small(f"wal/{name}"))[TIME_BYTES:] != content:
            raise BackupError(
                f"another server archives its log to {self._chest.repository.name}: "
                "set TILL_BACKUPS of one of them to another place"
            )

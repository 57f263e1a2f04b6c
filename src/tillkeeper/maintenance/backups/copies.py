"""A restored copy that runs beside production, in a scratch home that is removed however its block ends."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups.restore import restore
from tillkeeper.maintenance.backups.types import BackupError, Copy, Restored, Tell
from tillkeeper.maintenance.backups.work import chest_of, silent
from tillkeeper.store.embedded import EmbeddedError, EmbeddedServer, discard


@asynccontextmanager
async def restored_copy(
    settings: Settings, clock: Clock, *, to: datetime | None = None, tell: Tell = silent
) -> AsyncIterator[Copy]:
    """A running copy of production from the newest backup, as of `to` or as far as the archive goes.

    Raises BackupError.
    """
    async with scratch(settings) as home, running(settings, home, clock, to, tell) as copy:
        yield copy


async def restore_into(
    settings: Settings, home: Path, clock: Clock, *, to: datetime | None = None, tell: Tell = silent
) -> Restored:
    """Restore into an empty folder; its database is stopped. Needs the repository and the root key only.

    Raises BackupError.
    """
    _refuse_foreign(settings)
    return await restore(chest_of(settings), home, to, clock, tell)


def _refuse_foreign(settings: Settings) -> None:
    if settings.database_url is not None:
        raise BackupError(
            "the backups of a database of your own are pgBackRest's: pgbackrest restore brings them back, on its host"
        )


@asynccontextmanager
async def running(
    settings: Settings, home: Path, clock: Clock, to: datetime | None, tell: Tell
) -> AsyncIterator[Copy]:
    """Restore into a home and run it for the block; its files stay."""
    _refuse_foreign(settings)
    begun = time.monotonic()
    restored = await restore(chest_of(settings), home, to, clock, tell)
    tell(0.95, "starting the restored database")
    try:
        async with EmbeddedServer(home).running() as server:
            own = msgspec.structs.replace(
                settings,
                home=home,
                keys=settings.key_folder,
                database_url=None,
                admin_database_url=None,
                backups=str(home / "backups"),
            )
            restored = msgspec.structs.replace(restored, seconds=time.monotonic() - begun)
            yield Copy(own, server.app_url, server.admin_url, restored)
    except EmbeddedError as error:
        raise BackupError(f"the restored database: {error}") from error


@asynccontextmanager
async def scratch(settings: Settings) -> AsyncIterator[Path]:
    """A new folder beside the home, removed after the block together with the server in it. What killed processes left
    behind is removed first.
    """
    place = settings.home.absolute().with_name(f"{settings.home.name}-scratch")
    await asyncio.to_thread(_make, place)
    home = place / new_id().hex[-12:]  # short: a socket's path is
    lock = os.open(f"{home}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home
    finally:
        await asyncio.shield(asyncio.to_thread(_remove, home))
        os.close(lock)


def _make(place: Path) -> None:
    try:
        place.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupError(f"{place} cannot be made: {error.strerror}") from error
    for path in place.glob("*.lock"):
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path.with_suffix(""))
        except BlockingIOError:
            pass  # somebody works in it
        finally:
            os.close(lock)


def _remove(home: Path) -> None:
    discard(home)
    Path(f"{home}.lock").unlink(missing_ok=True)

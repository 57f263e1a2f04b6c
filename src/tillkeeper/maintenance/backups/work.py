"""Taking a backup: what `till backup now`, the schedule and the steps call."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import first_id_at, new_id
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups import base, pgbackrest, retention, rows
from tillkeeper.maintenance.backups.chest import Chest, Manifest
from tillkeeper.maintenance.backups.repository import repository_of
from tillkeeper.maintenance.backups.types import Backup, BackupError, Tell
from tillkeeper.store import Store, sole
from tillkeeper.store.opening import opened
from tillkeeper.vault import root_of

log = logging.getLogger(__name__)

JOB: Final = "backup"
"""The job that one process does at a time (store.sole): it changes what lies in the repository."""

_UNFINISHED: Final = timedelta(seconds=limits.BACKUP_TIMEOUT_SECONDS)  # after that nobody writes it any more


def silent(_share: float, _said: str) -> None:
    """Nobody listens."""


async def backup_now(
    settings: Settings, clock: Clock, *, full: bool = False, by: str = "cli", tell: Tell = silent
) -> Backup:
    """Take a base backup: incremental to the last one, or full if asked or if there is none to build on. Then prune.

    A database of one's own is backed up by pgBackRest. Raises BackupError.
    """
    if settings.database_url is not None:
        return await _by_pgbackrest(settings, clock, full=full, by=by)
    chest = chest_of(settings)
    async with opened(settings, size=2) as (store, urls), alone(urls.app, JOB):
        there = await _tidied(store, urls.admin, chest, clock)
        parent = None if full else retention.parent(there)
        try:
            manifest = await _take(store, urls.admin, chest, parent, clock, by, tell)
        except BackupError as error:
            if parent is None:
                raise
            log.warning("an incremental backup could not be taken (%s): taking a full one", error)
            manifest = await _take(store, urls.admin, chest, None, clock, by, tell)
        await _prune(store, chest, [*there, manifest], clock)
        async with store.tx("backup taken") as tx:
            taken = await rows.find(tx, manifest.id)
    assert taken is not None
    return taken


async def prune(settings: Settings, clock: Clock) -> list[Manifest]:
    """Remove what need not be kept any longer; what that was. pgBackRest does so by itself. Raises BackupError."""
    if settings.database_url is not None:
        return []
    chest = chest_of(settings)
    async with opened(settings, size=2) as (store, urls), alone(urls.app, JOB):
        return await _prune(store, chest, await _tidied(store, urls.admin, chest, clock), clock)


async def in_repository(settings: Settings) -> list[Backup]:
    """What lies in the repository, newest first, asked without the database. Raises BackupError."""
    if settings.database_url is not None:
        there = await pgbackrest.there()
    else:
        there = await chest_of(settings).manifests()
    return [
        Backup(
            id=each.id,
            kind=each.kind,
            parent=each.parent,
            state="done",
            asked_by="",
            begun_at=each.begun_at,
            ended_at=each.ended_at,
            bytes=each.size,
            database_bytes=each.database_bytes,
            timeline=each.timeline,
            start_lsn=each.start_lsn,
            end_lsn=each.end_lsn,
            said="",
            drill=None,
        )
        for each in reversed(there)
    ]


async def _by_pgbackrest(settings: Settings, clock: Clock, *, full: bool, by: str) -> Backup:
    async with opened(settings, size=2) as (store, urls), alone(urls.app, JOB):
        try:
            newest = await pgbackrest.take(full=full)
            there = await pgbackrest.there()
        except BackupError:
            async with store.tx("backup failed") as tx:
                await audit.append(tx, by, "backup.failed", "backup:pgbackrest", "", "", "failed")
            raise
        async with store.tx("backup done") as tx:
            await rows.adopt(tx, there, clock.now())
            await audit.append(tx, by, "backup.taken", f"backup:{newest.id}", f"{newest.kind}, by pgBackRest")
            taken = await rows.find(tx, newest.id)
    assert taken is not None
    return taken


def chest_of(settings: Settings) -> Chest:
    """The repository that the settings name, opened with the root key. Raises BackupError, RootKeyError."""
    return Chest(repository_of(settings), root_of(settings))


@asynccontextmanager
async def alone(url: str, job: str) -> AsyncIterator[None]:
    """The one process that does it. Raises BackupError; cancelled when it is lost to another one."""
    task = asyncio.current_task()
    assert task is not None

    async def lost() -> None:
        task.cancel()

    try:
        async with sole.sole(url, job, lost):
            yield
    except sole.TakenError as error:
        raise BackupError(f"another process is at it now: {job}; wait for it to end") from error


async def _tidied(store: Store, admin_url: str, chest: Chest, clock: Clock) -> list[Manifest]:
    """What lies in the repository, the oldest first; the database is brought in line with that, and what killed backups left
    is swept. Raises BackupError, before anything is touched, where the repository is another database's.
    """
    system, _ = await base.about(admin_url)
    await chest.belong_to(system)
    await chest.sweep("backups")
    await chest.remove_unfinished(first_id_at(clock.now() - _UNFINISHED))
    there = await chest.manifests()
    async with store.tx("backups there") as tx:
        await rows.adopt(tx, there, clock.now())
    return there


async def _take(
    store: Store, admin_url: str, chest: Chest, parent: Manifest | None, clock: Clock, by: str, tell: Tell
) -> Manifest:
    id_ = new_id()
    async with store.tx("backup begins") as tx:
        await rows.begin(tx, id_, parent.id if parent else None, by, clock.now())
    try:
        manifest = await base.take(admin_url, chest, id_, parent, clock, tell)
    except Exception as error:
        async with store.tx("backup failed") as tx:
            await rows.fail(tx, id_, clock.now(), str(error))
            await audit.append(tx, by, "backup.failed", f"backup:{id_}", "", "", "failed")
        if isinstance(error, BackupError):
            raise
        raise BackupError(f"the backup failed: {error}") from error
    async with store.tx("backup done") as tx:
        await rows.finish(tx, manifest)
        await audit.append(tx, by, "backup.taken", f"backup:{id_}", f"{manifest.kind}, {manifest.size} bytes")
    return manifest


async def _prune(store: Store, chest: Chest, there: list[Manifest], clock: Clock) -> list[Manifest]:
    """The database learns of it afterwards: killed in between, the next look at the repository tells it."""
    async with store.tx("backups proven") as tx:
        good = {each.id for each in await rows.backups(tx, ["done"], limits.BACKUPS_LISTED) if each.good}
    late = retention.late(there, good, clock.now())
    for each in reversed(late):  # an incremental before what it builds on
        await chest.remove(each)
    kept = [each for each in there if each not in late]
    await chest.forget_log(kept)
    if late:
        async with store.tx("backups pruned") as tx:
            await rows.forget(tx, [each.id for each in late])
            for each in late:
                await audit.append(tx, "system", "backup.pruned", f"backup:{each.id}")
    return late

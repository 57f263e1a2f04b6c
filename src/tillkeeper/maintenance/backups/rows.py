"""What the database knows of backups and drills. The repository is what counts; this is for pages, measures and schedules."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.backups.chest import Manifest
from tillkeeper.maintenance.backups.types import Backup, Check, Drill, Order, OrderKind
from tillkeeper.store import Store, Tx, columns, queries

_sql = queries(__package__, "queries.sql")
_SHOWN: Final = ("running", "done", "failed")


class Backups:
    """The list of backups and of drills, as a page or a check wants it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, limit: int = limits.PAGE_DEFAULT) -> list[Backup]:
        """Newest first, without those that were pruned."""
        async with self._store.tx("backups") as tx:
            return await backups(tx, _SHOWN, limit)

    async def latest(self) -> Backup | None:
        """The newest one that lies in the repository, drilled or not."""
        async with self._store.tx("backups") as tx:
            return await latest(tx)

    async def latest_good(self) -> Backup | None:
        """The newest one that a drill restored, if its last drill passed."""
        async with self._store.tx("backups") as tx:
            return await latest_good(tx)

    async def drills(self, limit: int = limits.PAGE_DEFAULT) -> Sequence[Drill]:
        """Newest first, failed ones too."""
        async with self._store.tx("drills") as tx:
            return await drills(tx, limit)

    async def orders(self, limit: int = limits.PAGE_DEFAULT) -> Sequence[Order]:
        """What was asked of the agent, newest first."""
        async with self._store.tx("backup orders") as tx:
            return await orders(tx, limit)


async def backups(tx: Tx, states: Collection[str], limit: int) -> list[Backup]:
    """Backups in these states, newest first, each with its last drill."""
    rows = await tx.tuples(_sql.backups, {"states": columns.texts(states), "limit": limit})
    return [_backup(row) for row in rows]


async def find(tx: Tx, id_: UUID) -> Backup | None:
    """One backup."""
    found = await tx.tuples(_sql.backup, {"id": id_})
    return _backup(found[0]) if found else None


def _backup(row: Sequence[Any]) -> Backup:
    return Backup(*[*row[:13], _drill(row[13:]) if row[13] else None])


async def begin(tx: Tx, id_: UUID, parent: UUID | None, by: str, at: datetime) -> None:
    """A backup is about to be taken."""
    kind = "incremental" if parent else "full"
    await tx.run(_sql.begin_backup, {"id": id_, "kind": kind, "parent": parent, "by": by, "at": at})


async def finish(tx: Tx, manifest: Manifest) -> None:
    """It lies in the repository."""
    await tx.run(_sql.finish_backup, _params(manifest) | {"at": manifest.ended_at})


async def fail(tx: Tx, id_: UUID, at: datetime, said: str) -> None:
    """It does not."""
    await tx.run(_sql.fail_backup, {"id": id_, "at": at, "said": said[: limits.BACKUP_SAID]})


async def adopt(tx: Tx, there: Sequence[Manifest], at: datetime) -> None:
    """Bring the list in line with the repository."""
    ids = [each.id for each in there]
    for each in there:  # the oldest first, so that each one's parent is known
        if each.parent is None or each.parent in ids:
            await tx.run(_sql.adopt_backup, _params(each))
    await tx.run(_sql.backups_not_there, {"there": columns.uuids(ids), "at": at})


async def forget(tx: Tx, ids: Sequence[UUID]) -> None:
    """They were pruned."""
    await tx.run(_sql.forget_backups, {"ids": columns.uuids(ids)})


def _params(manifest: Manifest) -> dict[str, Any]:
    taken = msgspec.structs.asdict(manifest)
    return {key: value for key, value in taken.items() if key not in {"seal", "key", "system"}} | {
        "bytes": manifest.size
    }


async def latest(tx: Tx) -> Backup | None:
    """The newest backup that lies in the repository."""
    found = await backups(tx, ["done"], 1)
    return found[0] if found else None


async def latest_good(tx: Tx) -> Backup | None:
    """The newest backup that is good."""
    return next((each for each in await backups(tx, ["done"], limits.BACKUPS_LISTED) if each.good), None)


async def drills(tx: Tx, limit: int) -> list[Drill]:
    """Drills, newest first."""
    return [_drill(row) for row in await tx.tuples(_sql.drills, {"limit": limit})]


def _drill(row: Sequence[Any]) -> Drill:
    id_, backup, target, passed, rpo, rto, checks, *rest = row
    return Drill(id_, backup, target, passed, rpo, rto, tuple(msgspec.convert(checks, list[Check])), *rest)


async def add_drill(tx: Tx, drill: Drill) -> None:
    """Write down what a drill found."""
    params = msgspec.structs.asdict(drill) | {"checks": msgspec.json.encode(drill.checks).decode()}
    await tx.run(_sql.add_drill, params)


async def order(tx: Tx, kind: OrderKind, by: str, at: datetime) -> UUID | None:
    """Ask the agent for a backup or a drill; None when one of them is asked for already."""
    id_: UUID | None = await tx.value(_sql.order_work, {"id": new_id(), "kind": kind, "by": by, "at": at})
    return id_


async def claim(tx: Tx) -> Order | None:
    """The oldest order that waits; it runs now."""
    found = await tx.tuples(_sql.claim_order)
    return Order(*found[0]) if found else None


async def end_order(tx: Tx, id_: UUID, at: datetime, said: str) -> None:
    """What came of it: done, unless something is said against it."""
    state = "failed" if said else "done"
    await tx.run(_sql.end_order, {"id": id_, "state": state, "at": at, "said": said[: limits.BACKUP_SAID]})


async def end_orders_left(tx: Tx, at: datetime) -> None:
    """Orders of an agent that died."""
    await tx.run(_sql.orders_left_running, {"at": at})


async def orders(tx: Tx, limit: int) -> list[Order]:
    """What was asked of the agent, newest first."""
    return [Order(*row) for row in await tx.tuples(_sql.orders, {"limit": limit})]


async def note_archived(tx: Tx, lsn: str, at: datetime) -> None:
    """Every commit before `at` is in the repository, and all of the log up to a place in it."""
    await tx.run(_sql.note_archived, {"lsn": lsn, "reached": at, "at": at})
    await tx.run(_sql.note_rate, {"at": at})


async def note_archive_fails(tx: Tx, lsn: str, at: datetime, said: str) -> None:
    """The repository has no more than before, and why."""
    params = {"lsn": lsn, "at": at, "said": said[: limits.BACKUP_SAID]}
    await tx.run(_sql.note_archive_fails, params)
    await tx.run(_sql.note_rate, {"at": at})


async def archive(tx: Tx) -> Any | None:
    """How far the log is archived: reached, waiting, rate, failing_since, said; None before the first time."""
    return await tx.row(_sql.wal_state)

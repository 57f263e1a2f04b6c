"""Backups: base backups, the archive of the write-ahead log, restores, and the drills that prove them.

taken = await backup_now(settings, clock, by="anna")                # full at first, later incremental
proof = await drill(settings, clock, by="anna")                     # restores it beside, and looks at everything
async with restored_copy(settings, clock) as copy: ...              # a running copy of production, gone afterwards
async with store.tx("…") as tx: state = await wal_state(tx, settings.home)
"""

from tillkeeper.maintenance.backups.copies import restore_into, restored_copy
from tillkeeper.maintenance.backups.drill import drill
from tillkeeper.maintenance.backups.keeper import Keeper, loops
from tillkeeper.maintenance.backups.rows import Backups, order
from tillkeeper.maintenance.backups.types import (
    Backup,
    BackupError,
    Check,
    Copy,
    Drill,
    Order,
    OrderKind,
    Restored,
    Tell,
    WalState,
)
from tillkeeper.maintenance.backups.wal import LogArchive, wal_state
from tillkeeper.maintenance.backups.work import backup_now, chest_of, in_repository, prune

__all__ = [
    "Backup",
    "BackupError",
    "Backups",
    "Check",
    "Copy",
    "Drill",
    "Keeper",
    "LogArchive",
    "Order",
    "OrderKind",
    "Restored",
    "Tell",
    "WalState",
    "backup_now",
    "chest_of",
    "drill",
    "in_repository",
    "loops",
    "order",
    "prune",
    "restore_into",
    "restored_copy",
    "wal_state",
]

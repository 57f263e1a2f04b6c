"""The archive of the write-ahead log."""

import shutil
from pathlib import Path

from tillkeeper.maintenance.backups import rows
from tillkeeper.maintenance.backups.types import WalState
from tillkeeper.store import Tx


async def wal_state(tx: Tx, home: Path) -> WalState:
    """How the archive of the write-ahead log stands. `home`: where the disk is that it waits on."""
    free = shutil.disk_usage(home).free if home.exists() else None
    found = await rows.archive(tx)
    if found is None:
        return WalState(None, None, 0.0, free, None, None, "nothing was archived yet")
    hours = free / found.rate / 3600 if free is not None and found.rate >= 1 else None
    return WalState(found.reached, found.waiting, found.rate, free, hours, found.failing_since, found.said)

"""What the commands, the agent and the steps call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from tillkeeper.base.clock import Clock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups.types import Backup, BackupError, Copy, Drill, Tell, WalState
from tillkeeper.store import Tx


def _silent(_share: float, _said: str) -> None:
    """Nobody listens."""


async def backup_now(
    settings: Settings, clock: Clock, *, full: bool = False, by: str = "cli", tell: Tell = _silent
) -> Backup:
    """Take a base backup: incremental to the last one, or full if asked or if there is none to build on.

    Raises BackupError.
    """
    raise BackupError("being built")


async def drill(
    settings: Settings, clock: Clock, *, to: datetime | None = None, by: str = "cli", tell: Tell = _silent
) -> Drill:
    """Restore the newest backup beside, replay to `to` (unset: as far as the archive goes), look at everything, and write
    down what was found. Raises BackupError when it could not even be tried.
    """
    raise BackupError("being built")


@asynccontextmanager
async def restored_copy(
    settings: Settings, clock: Clock, *, to: datetime | None = None, tell: Tell = _silent
) -> AsyncIterator[Copy]:
    """A running copy of production from the newest backup, in a scratch home that is removed with the block.

    Raises BackupError.
    """
    raise BackupError("being built")
    yield


async def wal_state(tx: Tx, home: Path) -> WalState:
    """How the archive of the write-ahead log stands. `home`: where the disk is that it waits on."""
    raise BackupError("being built")

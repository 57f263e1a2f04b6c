"""What a backup is, what a drill proved, how far the write-ahead log is archived."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from tillkeeper.base.settings import Settings

BackupKind = Literal["full", "incremental"]
BackupState = Literal["running", "done", "failed", "gone"]
OrderKind = Literal["full", "incremental", "drill"]

Tell = Callable[[float, str], None]
"""Hears how far a work is, 0 to 1, and what it does."""


class BackupError(Exception):
    """A backup, restore or drill cannot go on. The message says why and what to do."""


class Check(msgspec.Struct, frozen=True):
    """One thing that a drill looked at. "not assessed" is never fine, but it does not fail a drill."""

    name: str
    state: Literal["holds", "broken", "not assessed"]
    said: str


class Drill(msgspec.Struct, frozen=True):
    """A restore that was tried. `target`: the moment restored; every commit before it was there.

    `rpo_seconds`: what would have been lost had the machine burnt when the drill began. `rto_seconds`: from then until the
    restored database took connections.
    """

    id: UUID
    backup: UUID
    target: datetime
    passed: bool
    rpo_seconds: float
    rto_seconds: float
    checks: tuple[Check, ...]
    asked_by: str
    begun_at: datetime
    ended_at: datetime


class Backup(msgspec.Struct, frozen=True):
    """A base backup. Only one that a drill restored is good: see `drill`, the last one of this backup."""

    id: UUID
    kind: BackupKind
    parent: UUID | None
    state: BackupState
    asked_by: str
    begun_at: datetime
    ended_at: datetime | None
    bytes: int | None
    database_bytes: int | None
    timeline: int | None
    start_lsn: str | None
    end_lsn: str | None
    said: str
    drill: Drill | None

    @property
    def good(self) -> bool:
        """Whether it was restored and everything held."""
        return self.state == "done" and self.drill is not None and self.drill.passed


class Order(msgspec.Struct, frozen=True):
    """What was asked of the agent."""

    id: UUID
    kind: OrderKind
    asked_by: str
    asked_at: datetime
    state: Literal["waiting", "running", "done", "failed"]
    ended_at: datetime | None
    said: str


class WalState(msgspec.Struct, frozen=True):
    """How the archive of the write-ahead log stands.

    `reached`: every commit before that is in the repository. `waiting_bytes`: written and not yet there; they are kept until
    they are. `hours_left`: how long the disk lasts at the present rate if nothing more is archived; None: no end in sight.
    `failing_since`: unset while the archive keeps up.
    """

    reached: datetime | None
    waiting_bytes: int | None
    bytes_a_second: float
    disk_free_bytes: int | None
    hours_left: float | None
    failing_since: datetime | None
    said: str


class Restored(msgspec.Struct, frozen=True):
    """A restored home. `target`: every commit before it is there. `seconds`: until its database took connections."""

    home: str
    backup: UUID
    target: datetime
    begun_at: datetime
    rpo_seconds: float
    seconds: float
    checks: tuple[Check, ...]


class Copy(msgspec.Struct, frozen=True):
    """A restored database that runs, for the length of a block. Its settings name its own home and its own backups, and the
    keys of production, without which nothing in it opens.
    """

    settings: Settings
    app_url: str
    admin_url: str
    restored: Restored

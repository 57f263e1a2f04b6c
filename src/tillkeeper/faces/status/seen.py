"""What the status page saw last: kept in memory and in a file, so that it can be said while the database is away."""

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from tillkeeper.maintenance.notices import Notice
from tillkeeper.monitoring.alerting import Alert, Span
from tillkeeper.store.private import read_private, replace_private

FILE: Final = "status-last-seen.json"


class Seen(msgspec.Struct, frozen=True):
    """A look at the platform. `looked_at`: when the agent judged it last."""

    at: datetime
    looked_at: datetime | None = None
    alerts: tuple[Alert, ...] = ()
    past: tuple[Alert, ...] = ()
    spans: tuple[Span, ...] = ()
    maintenance: tuple[Notice, ...] = ()
    maintained: tuple[Notice, ...] = ()


class Kept(msgspec.Struct, frozen=True):
    """The file: the last look; and since when the database does not answer, and when that was seen last (None: it did answer)."""

    seen: Seen | None = None
    lost_since: datetime | None = None
    lost_at: datetime | None = None


def read_kept(home: Path) -> Kept:
    """What the file says; nothing if there is none, or if it is no longer readable as what it was."""
    try:
        content = read_private(home / FILE)
        return msgspec.json.decode(content, type=Kept) if content is not None else Kept()
    except Exception:  # noqa: BLE001 - a file that cannot be read must not keep the page from starting
        return Kept()


def keep(home: Path, kept: Kept) -> None:
    """Write the file. Raises PrivateFileError."""
    home.mkdir(parents=True, exist_ok=True)
    replace_private(home / FILE, msgspec.json.encode(kept))

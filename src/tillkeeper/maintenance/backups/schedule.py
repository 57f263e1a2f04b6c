"""When a backup or a drill is due. Pure.

Every night at a quiet hour a backup: full once a week, incremental otherwise; once a week a drill. The very first ones do not
wait for the night.
"""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tillkeeper.base import limits
from tillkeeper.maintenance.backups.types import Backup, Drill, Order, OrderKind

_WEEK: Final = timedelta(days=6.5)  # so that a night that began late does not move the day of the week
_RETRY: Final = timedelta(seconds=limits.BACKUP_RETRY_SECONDS)
_FIRST: Final = timedelta(seconds=limits.BACKUP_FIRST_SECONDS)


def due(
    now: datetime,
    since: datetime,
    zone: str,
    backups: Sequence[Backup],
    drills: Sequence[Drill],
    orders: Sequence[Order],
    *,
    drilled: bool = True,
) -> OrderKind | None:
    """What to order now. Lists are newest first; `since`: when the agent began to look; `drilled`: whether drills can be done
    here.
    """
    if any(each.state in {"waiting", "running"} for each in orders):
        return None
    # A clock that was ahead for a while dates some into the future: they would keep everything from being due until then.
    backups = [each for each in backups if each.begun_at <= now]
    drills = [each for each in drills if each.begun_at <= now]
    orders = [each for each in orders if each.asked_at <= now]
    wanted = _wanted(now, since, zone, [each for each in backups if each.state == "done"], drills)
    if wanted == "drill" and not drilled:
        wanted = _backup_of_the_night(now, zone, backups)
    return None if wanted is None or _failed_lately(wanted, now, orders) else wanted


def _wanted(
    now: datetime, since: datetime, zone: str, backups: Sequence[Backup], drills: Sequence[Drill]
) -> OrderKind | None:
    if not backups:
        return "full" if now - since >= _FIRST else None
    if not any(each.passed for each in drills):
        return "drill" if now - since >= _FIRST else None
    late = _last_night(now, zone) - drills[0].begun_at >= _WEEK
    return _backup_of_the_night(now, zone, backups) or ("drill" if late else None)


def _backup_of_the_night(now: datetime, zone: str, backups: Sequence[Backup]) -> OrderKind | None:
    night = _last_night(now, zone)
    if not backups or backups[0].begun_at >= night:
        return None
    full = next((each for each in backups if each.kind == "full"), None)
    return "incremental" if full and night - full.begun_at < _WEEK else "full"


def _failed_lately(kind: OrderKind, now: datetime, orders: Sequence[Order]) -> bool:
    """Whether the same was tried in vain a short while ago."""
    same = (each for each in orders if (each.kind == "drill") == (kind == "drill"))
    last = next(same, None)
    return last is not None and last.state == "failed" and now - (last.ended_at or now) < _RETRY


def _last_night(now: datetime, zone: str) -> datetime:
    """The quiet hour that was last."""
    local = now.astimezone(ZoneInfo(zone))
    tonight = datetime.combine(local.date(), time(limits.BACKUP_HOUR), local.tzinfo)
    return tonight if tonight <= local else tonight - timedelta(days=1)

"""The api second by second, and how long payments were interrupted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH
from tillkeeper.base.ids import first_id_at
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "seconds.sql")

_ARRIVAL_MARGIN: Final = timedelta(seconds=10)  # an id is made on arrival, created_at when the turn starts
_BEAT: Final = timedelta(seconds=1)
_SILENCE: Final = timedelta(seconds=limits.SAMPLES_SILENCE_SECONDS)


class Second(msgspec.Struct, frozen=True):
    """One second of one api process, up to `at`: orders answered, of them by a failure of ours; commands of the turn, and
    their time to the durable answer. Processes write a row also when nothing happened.
    """

    at: datetime
    asked: int
    failed: int
    payments: int
    p50_us: int
    p99_us: int


async def seconds(tx: Tx, since: datetime, until: datetime) -> list[Second]:
    """The seconds after one moment and up to another, in order; of several processes each."""
    params = {"since": since, "until": until, "limit": limits.SAMPLES_READ}
    return [Second(*row) for row in await tx.tuples(_sql.seconds, params)]


async def arrivals(tx: Tx, since: datetime, until: datetime) -> dict[str, int]:
    """How many payments arrived between two moments, by the state they are in now."""
    params = {
        "since": since,
        "until": until,
        "first": first_id_at(max(since - _ARRIVAL_MARGIN, EPOCH)),
        "last": first_id_at(until),
    }
    return dict(await tx.tuples(_sql.arrivals, params))


def interrupted(found: Sequence[Second], since: datetime, until: datetime) -> timedelta | None:
    """How long nobody could pay between two moments; None where that was not measured.

    It is the seconds with orders of which all failed, and the silences in which no process measured: none was there to
    answer. A silence is longer than a beat that came late. `found`: from some time before `since`, in order.
    """
    if not any(each.at <= since for each in found):
        return None
    down = sum(
        (_BEAT for each in _merged(found) if since < each.at <= until and _all_failed(each)), timedelta()
    )
    beats = [since, *(each.at for each in found if since < each.at <= until), until]
    # A row tells of the second before it: the silence between two is shorter than their distance by that.
    return down + sum((b - a - _BEAT for a, b in pairwise(beats) if b - a > _SILENCE), timedelta())


def _all_failed(second: Second) -> bool:
    return 0 < second.asked == second.failed


def _merged(found: Sequence[Second]) -> list[Second]:
    """The seconds of all processes together: another one may have answered."""
    whole: dict[datetime, Second] = {}
    for each in found:
        at = each.at.replace(microsecond=0)
        before = whole.get(at, Second(at, 0, 0, 0, 0, 0))
        whole[at] = Second(at, before.asked + each.asked, before.failed + each.failed, 0, 0, 0)
    return list(whole.values())

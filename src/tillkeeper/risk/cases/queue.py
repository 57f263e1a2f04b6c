"""The queue as people see it: what may be lost most comes first; and where a list goes on."""

from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.base.clock import from_us, to_us
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.risk.cases import rows
from tillkeeper.risk.cases.types import PREFIX, Case, Counts, QueuePage
from tillkeeper.store import Tx

Show = rows.Queued | Literal["closed"]
"""Which cases a list shows: open ones (see Queued), or decided ones."""

SHOWS: Final[tuple[Show, ...]] = (*get_args(rows.Queued), "closed")
_FIRST: Final = (2**63 - 1, UUID(int=2**128 - 1))


async def listed(
    tx: Tx, show: Show, person: str, now: datetime, after: str = "", limit: int = limits.PAGE_DEFAULT
) -> QueuePage:
    """A page of cases. `after`: the place that the page before ended with; one that is not ours begins anew."""
    place = _place(after)
    if show == "closed":
        moment = from_us(min(place[0], to_us(now) + 1))
        found = await rows.past(tx, (moment, place[1]), limit + 1)
    else:
        found = await rows.queue(tx, show, person, now, place, limit + 1)
    return QueuePage(found[:limit], _after(found[limit - 1]) if len(found) > limit else "")


async def counts(tx: Tx, person: str, now: datetime) -> Counts:
    """The queue in figures."""
    return Counts(*await rows.counts(tx, now, person), await rows.losses(tx))


def _after(case: Case) -> str:
    first = to_us(case.closed_at) if case.closed_at else case.expected_loss
    return f"{first}.{case.public_id}"


def _place(text: str) -> tuple[int, UUID]:
    first, _, case = text.partition(".")
    if not first.isascii() or not first.isdecimal() or len(first) > 18:
        return _FIRST
    try:
        return int(first), from_typeid(PREFIX, case)
    except BadIdError:
        return _FIRST

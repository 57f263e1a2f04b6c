"""Read models for people: what lasts, what is over, what was proposed and done. Bounded, by index."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tillkeeper.risk.warning import rows
from tillkeeper.risk.warning.types import Act, Alert, Remedy, Signal
from tillkeeper.risk.warning.watchman import READER
from tillkeeper.store import Tx

_DAY = timedelta(days=1)


class Shown(msgspec.Struct, frozen=True):
    """A signal with the rule that is proposed against it, and what people did about it."""

    signal: Signal
    remedy: Remedy | None
    acts: tuple[Act, ...]
    alerts: tuple[Alert, ...] = ()


class Board(msgspec.Struct, frozen=True):
    """Signals that last and that are over, the newest first; the alerts of 24 hours within the budget and below it.

    `looked_at`: when somebody looked last; None: nobody ever did.
    """

    open: tuple[Shown, ...]
    past: tuple[Shown, ...]
    queued: int
    below: int
    looked_at: datetime | None


async def board(tx: Tx, now: datetime) -> Board:
    """Everything at a glance."""
    lasting, over = await rows.open_signals(tx), await rows.past_signals(tx)
    ids = [each.id for each in (*lasting, *over)]
    remedies, acts = await rows.remedies(tx, ids), await rows.acts(tx, ids)
    queued, below = await rows.alerts_counted(tx, now - _DAY)
    seen = await rows.cursor(tx, READER)

    def shown(each: Signal) -> Shown:
        return Shown(each, remedies.get(each.id), tuple(acts.get(each.id, ())))

    return Board(
        tuple(map(shown, lasting)), tuple(map(shown, over)), queued, below, seen.at if seen else None
    )


async def show(tx: Tx, signal_id: UUID) -> Shown | None:
    """One signal with all that belongs to it."""
    found = await rows.signal(tx, signal_id)
    if found is None:
        return None
    remedies, acts = await rows.remedies(tx, [signal_id]), await rows.acts(tx, [signal_id])
    alerts = await rows.alerts_of(tx, signal_id)
    return Shown(found, remedies.get(signal_id), tuple(acts.get(signal_id, ())), tuple(alerts))


async def standing(tx: Tx) -> list[Signal] | None:
    """What lasts, for monitoring; None: nobody has ever looked."""
    if await rows.cursor(tx, READER) is None:
        return None
    return await rows.open_signals(tx)


async def lag_seconds(tx: Tx, now: datetime) -> float | None:
    """How long ago the watch was at the present; None: never."""
    seen = await rows.cursor(tx, READER)
    return None if seen is None else max((now - seen.at).total_seconds(), 0.0)

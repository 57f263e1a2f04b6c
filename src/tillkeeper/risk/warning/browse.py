"""Read models for people: what lasts, what is over, what was proposed and done. Bounded, by index."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from tillkeeper.risk import inforce
from tillkeeper.risk.rulefile import with_rule
from tillkeeper.risk.warning import rows
from tillkeeper.risk.warning.types import Act, Alert, Remedy, Signal
from tillkeeper.risk.warning.watchman import READER
from tillkeeper.store import Tx

if TYPE_CHECKING:  # it reads files of history, which only few processes do
    from tillkeeper.risk.backtest import Asked

_DAY = timedelta(days=1)


class Shown(msgspec.Struct, frozen=True):
    """A signal with the rule that is proposed against it, and what people did about it."""

    signal: Signal
    remedy: Remedy | None
    acts: tuple[Act, ...]
    alerts: tuple[Alert, ...] = ()
    backtest: "Asked | None" = None
    """Of the remedy among the rules that are in force now; it was asked for by itself for the first signal of a kind."""


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
    remedy = remedies.get(signal_id)
    tried = await backtest_of(tx, remedy) if remedy is not None else None
    return Shown(found, remedy, tuple(acts.get(signal_id, ())), tuple(alerts), tried)


async def backtest_of(tx: Tx, remedy: Remedy) -> "Asked | None":
    """What a remedy would have done, if that was asked: the newest backtest of the rules in force with it among them."""
    from tillkeeper.risk import backtest

    in_force = await inforce.activations(tx, 1)
    return await backtest.of_rules(tx, with_rule(in_force[0].source, remedy.rule)) if in_force else None


async def standing(tx: Tx) -> list[Signal] | None:
    """What lasts, for monitoring; None: nobody has ever looked."""
    if await rows.cursor(tx, READER) is None:
        return None
    return await rows.open_signals(tx)


async def lag_seconds(tx: Tx, now: datetime) -> float | None:
    """How long ago the watch was at the present; None: never."""
    seen = await rows.cursor(tx, READER)
    return None if seen is None else max((now - seen.at).total_seconds(), 0.0)

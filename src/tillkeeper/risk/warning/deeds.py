"""What people do about signals: they close one, have its rule proposed, draw alerts up. All of it is on record."""

from collections.abc import Sequence
from uuid import UUID

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.risk import inforce
from tillkeeper.risk.rulefile import with_rule
from tillkeeper.risk.types import Listing, Proposal
from tillkeeper.risk.warning import remedies, rows
from tillkeeper.risk.warning.types import PREFIX, Act, Signal
from tillkeeper.store import Tx


async def close(tx: Tx, signal_id: UUID, person: str, reason: str, clock: Clock) -> Signal | Refusal:
    """Say that a signal is dealt with, or is none. What goes on is found again, as a new signal."""
    found = await rows.signal(tx, signal_id)
    refusal = _refusal(found, reason)
    if found is None or refusal is not None:
        return refusal or Refusal("unknown_signal")
    if found.over_at is not None:
        return Refusal("wrong_signal_state", "it is over")
    await rows.end_signals(tx, [signal_id], clock.now())
    await rows.add_act(tx, new_id(), Act(signal_id, clock.now(), person, "closed", reason, ""))
    await audit.append(tx, person, "signal.closed", to_typeid(PREFIX, signal_id), f"{found.kind}: {reason}")
    return found


async def propose(tx: Tx, signal_id: UUID, person: str, reason: str, clock: Clock) -> Proposal | Refusal:
    """Propose the rules in force with a signal's short-lived rule among them. It takes a second person to activate them.

    A merchant whose payouts the rule holds goes on the watch list until the rule ends: nothing waits before it is activated.

    Raises BadRulesError where the rules in force have changed so that it cannot join them, and Refused as propose does.
    """
    found = await rows.signal(tx, signal_id)
    refusal = _refusal(found, reason)
    if found is None or refusal is not None:
        return refusal or Refusal("unknown_signal")
    remedy = (await rows.remedies(tx, [signal_id])).get(signal_id)
    if remedy is None:
        return Refusal("wrong_signal_state", "no rule fits this kind of trouble")
    if remedy.until <= clock.now():
        return Refusal("wrong_signal_state", f"the rule would have ended {remedy.until:%Y-%m-%d %H:%M} UTC")
    in_force = await inforce.activations(tx, 1)
    if not in_force:
        return Refusal("wrong_signal_state", "no rules are in force yet")
    name = to_typeid(PREFIX, signal_id)
    made = await inforce.propose(
        tx, with_rule(in_force[0].source, remedy.rule), person, f"{name} {found.kind}: {reason}"[: limits.MAX_TEXT], clock
    )  # fmt: skip
    if (merchant := remedies.to_watch(found)) is not None:
        await _watch(
            tx, Listing("watch", "customer", merchant, remedy.until, made.reason, person, clock.now()), clock
        )
    act = Act(signal_id, clock.now(), person, "proposed", reason, inforce.proposal_id(made.id))
    await rows.add_act(tx, new_id(), act)
    await audit.append(tx, person, "signal.proposed", name, f"{remedy.name} {act.proposal}")
    return made


async def _watch(tx: Tx, entry: Listing, clock: Clock) -> None:
    """Put somebody on the watch list, unless they are on it for as long already."""
    said = await inforce.listings_of(tx, entry.entity, entry.key)
    last = next((each for each in said if each.list == entry.list), None)
    assert entry.until is not None
    if last is None or last.ended or (last.until is not None and last.until < entry.until):
        await inforce.put_on_list(tx, entry, clock)


async def draw_up(tx: Tx, alerts: Sequence[UUID], person: str) -> int:
    """Take alerts from below the budget: somebody has time. How many were."""
    count = await rows.draw_up(tx, alerts)
    if count:
        await audit.append(tx, person, "alerts.drawn_up", "risk alerts", f"{count} alerts")
    return count


def _refusal(found: Signal | None, reason: str) -> Refusal | None:
    if found is None:
        return Refusal("unknown_signal", "till risk warnings list shows them")
    if not reason or len(reason) > limits.MAX_TEXT:
        return Refusal("reason_missing", "say why", "reason")
    return gossip(reason, "reason")

"""What people do about alerts: they look after one, and silence one for a time."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.monitoring.alerting import course, rows
from tillkeeper.monitoring.alerting.types import Alert, Labels, RuleBook, Silence
from tillkeeper.monitoring.alerting.words import public_id
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")
SILENCE_PREFIX: Final = "sil"


async def acknowledge(tx: Tx, alert: UUID, person: str, clock: Clock, origin: str = "") -> Alert | Refusal:
    """Somebody looks after an alert: nobody is reminded of it any more."""
    found = await rows.lock_alert(tx, alert)
    if found is None:
        return Refusal("unknown_alert", "till alerts list shows those that last")
    if found.state != "firing":
        return Refusal("wrong_alert_state", f"it is {found.state}")
    step = course.acknowledge(found, person)
    assert step.alert is not None
    await rows.keep_alerts(tx, [step.alert])
    await rows.note_events(tx, [(alert, "acknowledged")], clock.now(), person)
    await audit.append(tx, person, "alert.acknowledged", public_id(found), found.rule, origin)
    return step.alert


async def silence(
    tx: Tx,
    book: RuleBook,
    rule: str,
    labels: Labels | None,
    seconds: float,
    reason: str,
    person: str,
    clock: Clock,
    origin: str = "",
) -> Silence | Refusal:
    """Tell nobody of a rule (`labels`: of one instance) for some time."""
    if (refusal := _mistake(book, rule, seconds, reason)) is not None:
        return refusal
    now = clock.now()
    made = Silence(new_id(), rule, labels, person, reason, now, now + timedelta(seconds=seconds))
    await tx.run(_sql.add_silence, {name: getattr(made, name) for name in made.__struct_fields__})
    quiet = [
        msgspec.structs.replace(each, state="silenced", silenced_until=made.until)
        for each in await rows.open_alerts(tx)
        if each.state != "silenced" and made.covers(each.rule, each.labels, now)
    ]
    await rows.keep_alerts(tx, quiet)
    await rows.note_events(tx, [(each.id, "silenced") for each in quiet], now, person, reason)
    await audit.append(
        tx, person, "alert.silenced", rule, f"{seconds:.0f} s: {reason}"[: limits.MAX_TEXT], origin
    )
    return made


def _mistake(book: RuleBook, rule: str, seconds: float, reason: str) -> Refusal | None:
    if book.find(rule) is None:
        return Refusal("unknown_alert", f"no rule has the name {rule}", "rule")
    if not 0 < seconds <= limits.SILENCE_SECONDS:
        days = round(limits.SILENCE_SECONDS / 86400)
        return Refusal("invalid_value", f"a silence ends within {days} days", "seconds")
    if not reason or len(reason) > limits.MAX_TEXT:
        return Refusal("reason_missing", "say why nobody need be told", "reason")
    return gossip(reason, "reason")


async def end_silence(tx: Tx, silence: UUID, person: str, clock: Clock, origin: str = "") -> Refusal | None:
    """End a silence before its time; what still fires is told again with the next look."""
    now = clock.now()
    ended = await tx.row(_sql.end_silence, {"id": silence, "now": now})
    if ended is None:
        return Refusal("unknown_silence", "it is over, or never was")
    about = [
        each.id
        for each in await rows.open_alerts(tx)
        if each.state == "silenced" and each.rule == ended.rule and ended.labels in (None, each.labels)
    ]
    await rows.note_events(tx, [(each, "unsilenced") for each in about], now, person)
    await audit.append(tx, person, "alert.unsilenced", ended.rule, to_typeid(SILENCE_PREFIX, silence), origin)
    return None

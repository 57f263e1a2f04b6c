"""The course of an alert: it fires, is acknowledged or silenced, and is resolved. No input or output."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.monitoring.alerting.types import (
    Alert,
    Cause,
    EventKind,
    Judged,
    Objective,
    Rule,
    Silence,
    Standing,
)

replace = msgspec.structs.replace


class Step(msgspec.Struct, frozen=True):
    """An alert after a look, and what became of it; no `kind`: nothing to speak of."""

    alert: Alert | None
    kind: EventKind | None = None


def stand(before: Standing | None, judged: Judged, now: datetime) -> Standing:
    """How an instance stands after a look: a verdict that stays keeps the moment it began."""
    since = before.since if before is not None and before.verdict == judged.verdict else now
    return Standing(judged.rule, judged.labels, judged.verdict, since, now, judged.value, judged.bound)


def trouble(rule: Rule | Objective, standing: Standing) -> Cause | None:
    """Why an instance fires now, if it does: bad for long enough, or unknown for long enough where that is an alarm."""
    lasted = (standing.at - standing.since).total_seconds()
    if standing.verdict == "bad" and lasted >= rule.for_seconds:
        return "bad"
    if standing.verdict == "unknown" and rule.absent == "alarm" and lasted >= rule.absent_seconds:
        return "unknown"
    return None


def clear(rule: Rule | Objective, standing: Standing) -> bool:
    """Whether an instance is fine for long enough to end its alert."""
    lasted = (standing.at - standing.since).total_seconds()
    return standing.verdict == "fine" and lasted >= rule.clear_seconds


def silenced_until(silences: Iterable[Silence], rule: str, labels: str, now: datetime) -> datetime | None:
    """Until when nobody is told of an instance."""
    return max((each.until for each in silences if each.covers(rule, labels, now)), default=None)


def follow(
    alert: Alert | None,
    standing: Standing,
    judged: Judged,
    rule: Rule | Objective,
    until: datetime | None,
    id_: UUID,
) -> Step:
    """An instance's alert after a look. `until`: what silences say of it; `id_`: of an alert that begins now."""
    now = standing.at
    cause = trouble(rule, standing)
    if alert is None:
        if cause is None:
            return Step(None)
        begun = Alert(
            id_, judged.rule, judged.labels, judged.severity, "firing", cause, judged.value, judged.bound, now
        )
        if until is None:
            return Step(replace(begun, told_at=now), "fired")
        return Step(replace(begun, state="silenced", silenced_until=until), "fired_silenced")
    if clear(rule, standing):
        return resolve(alert, now)
    seen = replace(alert, value=judged.value, bound=judged.bound, cause=cause or alert.cause)
    changed: EventKind | None = "changed" if seen.cause != alert.cause else None
    return _awake(seen, until, judged.newest, now) or Step(seen, changed)


def _awake(alert: Alert, until: datetime | None, newest: datetime | None, now: datetime) -> Step | None:
    """What a silence that begins or ends, another attack, or the time that went by makes of an open alert."""
    if alert.state == "silenced":
        if until is not None:
            return Step(replace(alert, silenced_until=until))
        return Step(replace(alert, state="firing", silenced_until=None, told_at=now), "refired")
    if until is not None:
        return Step(replace(alert, state="silenced", silenced_until=until), "silenced")
    if is_another(alert.told_at, newest, now):
        # Whoever acknowledged it did so before there was this one.
        return Step(replace(alert, state="firing", acknowledged_by=None, told_at=now), "refired")
    late = alert.told_at is not None and now - alert.told_at >= timedelta(seconds=limits.ALERT_REMIND_SECONDS)
    if alert.state == "firing" and late:
        return Step(replace(alert, told_at=now), "reminded")
    return None


def is_another(told_at: datetime | None, newest: datetime | None, now: datetime) -> bool:
    """Whether to tell people again, since the newest attack of a kind was found after they were told of it.

    At most once in ALERT_AGAIN_SECONDS. What was found about when they were told is what they were told of: a look may read
    it a moment before it is written, or after its own time.
    """
    if told_at is None or newest is None:
        return False
    since = timedelta(seconds=limits.ALERT_AGAIN_SECONDS)
    return newest - told_at > timedelta(seconds=limits.ALERT_TOGETHER_SECONDS) and now - told_at >= since


def resolve(alert: Alert, now: datetime) -> Step:
    """The end of an alert."""
    return Step(replace(alert, state="resolved", silenced_until=None, resolved_at=now), "resolved")


def acknowledge(alert: Alert, person: str) -> Step:
    """Somebody looks after it: no more reminders. One that is silenced or over stays so."""
    if alert.state != "firing":
        return Step(alert)
    return Step(replace(alert, state="acknowledged", acknowledged_by=person), "acknowledged")

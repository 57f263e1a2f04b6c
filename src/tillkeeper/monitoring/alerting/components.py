"""The parts of the platform as customers know them: how each stands, and how it stood on each day. No input or output."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.base import limits
from tillkeeper.monitoring.alerting.types import (
    COMPONENTS,
    Alert,
    Component,
    ComponentState,
    RuleBook,
    Span,
    Standing,
)

DATABASE: Final = "database"
_WORSE: Final[tuple[ComponentState, ...]] = ("down", "degraded", "unknown", "works")
_GAP: Final = timedelta(seconds=limits.COMPONENT_GAP_SECONDS)


class Day(msgspec.Struct, frozen=True):
    """A component on a day: seconds in each state; the rest of the day nobody has seen it."""

    day: date
    down: float
    degraded: float
    works: float

    @property
    def seen(self) -> float:
        """Seconds in which it is known how it stood."""
        return self.down + self.degraded + self.works


def states(
    book: RuleBook, alerts: Iterable[Alert], standings: Iterable[Standing]
) -> dict[Component, tuple[ComponentState, str]]:
    """Every component's state and the rule it comes from ("": none).

    An alert makes it what the alert's rule says, and unknown if the alert is that nothing is known. Without alerts it works if at
    least one of its rules says fine.
    """
    found: dict[Component, list[tuple[ComponentState, str]]] = {each: [] for each in COMPONENTS}
    for alert in alerts:
        rule = book.find(alert.rule)
        if alert.open and rule is not None and rule.component is not None and alert.severity == "page":
            said = rule.effect if alert.cause == "bad" else "unknown"
            found[rule.component].append((said, rule.name))
        elif alert.open and rule is not None and rule.component is not None and rule.effect == "down":
            found[rule.component].append(("down" if alert.cause == "bad" else "unknown", rule.name))
    for standing in standings:
        rule = book.find(standing.rule)
        if rule is not None and rule.component is not None and standing.verdict == "fine":
            found[rule.component].append(("works", ""))
    return {name: _worst(said) for name, said in found.items()}


def _worst(said: Sequence[tuple[ComponentState, str]]) -> tuple[ComponentState, str]:
    return min(said, key=lambda each: _WORSE.index(each[0]), default=("unknown", ""))


def prolong(
    name: Component, last: Span | None, state: ComponentState, cause: str, now: datetime
) -> tuple[Span, bool]:
    """The span after a look, and whether it is a new one: when the state changed, or nobody looked for too long."""
    if last is not None and last.state == state and last.cause == cause and now - last.seen_at <= _GAP:
        return msgspec.structs.replace(last, seen_at=now), False
    return Span(name, state, now, now, "agent", cause), True


def closed(spans: Iterable[Span]) -> list[Span]:
    """Spans that reach to the beginning of the next one of their component, where nobody paused in between."""
    ordered = sorted(spans, key=lambda each: (each.component, each.seen_by, each.begun_at))
    joined = [
        msgspec.structs.replace(each, seen_at=after.begun_at) if _goes_on(each, after) else each
        for each, after in itertools.pairwise(ordered)
    ]
    return [*joined, *ordered[-1:]]


def _goes_on(span: Span, after: Span) -> bool:
    same = (after.component, after.seen_by) == (span.component, span.seen_by)
    return same and timedelta() <= after.begun_at - span.seen_at <= _GAP


def days(
    spans: Iterable[Span], until: datetime, zone: ZoneInfo, count: int = limits.STATUS_DAYS
) -> Mapping[str, list[Day]]:
    """Every component's last days, the oldest first, in a time zone.

    Where spans overlap the worse counts. While the database did not answer, everybody who needs it was down too.
    """
    whole = closed(spans)
    database = [each for each in whole if each.component == DATABASE and each.state == "down"]
    today = until.astimezone(zone).date()
    dates = [today - timedelta(days=back) for back in range(count - 1, -1, -1)]
    found: dict[str, list[Day]] = {}
    for name in COMPONENTS:
        own = [each for each in whole if each.component == name]
        lost = database if name != DATABASE else []
        found[name] = [_day([*own, *lost], each, zone, until) for each in dates]
    return found


def _day(spans: Sequence[Span], day: date, zone: ZoneInfo, until: datetime) -> Day:
    begin, end = _midnight(day, zone), min(_midnight(day + timedelta(days=1), zone), until)
    seconds = _by_state(spans, begin, end)
    return Day(day, seconds["down"], seconds["degraded"], seconds["works"])


def _by_state(spans: Sequence[Span], begin: datetime, end: datetime) -> dict[ComponentState, float]:
    """How many seconds of a stretch each state held; each moment counts once, as the worst that was seen of it."""
    inside = [each for each in spans if each.begun_at < end and each.seen_at > begin]
    edges = sorted(
        {begin, end, *(min(max(at, begin), end) for each in inside for at in (each.begun_at, each.seen_at))}
    )
    seconds: dict[ComponentState, float] = dict.fromkeys(_WORSE, 0.0)
    for left, right in itertools.pairwise(edges):
        there = [each.state for each in inside if each.begun_at <= left and each.seen_at >= right]
        if there:
            seconds[min(there, key=_WORSE.index)] += (right - left).total_seconds()
    return seconds


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """In UTC: of two times in one zone Python subtracts what the clocks show, and a day when they change has 23 hours."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

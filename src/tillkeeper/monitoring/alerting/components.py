"""The parts of the platform as customers know them: how each stands, and how it stood on each day. No input or output."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
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
    return [
        msgspec.structs.replace(each, seen_at=after.begun_at)
        if after is not None
        and (after.component, after.seen_by) == (each.component, each.seen_by)
        and timedelta() <= after.begun_at - each.seen_at <= _GAP
        else each
        for each, after in zip(ordered, [*ordered[1:], None], strict=True)
    ]


def days(
    spans: Iterable[Span], until: datetime, zone: ZoneInfo, count: int = limits.STATUS_DAYS
) -> Mapping[str, list[Day]]:
    """Every component's last days, the oldest first, in a time zone.

    Where spans overlap the worse counts. While the database did not answer, whoever needs it and was not seen was down too.
    """
    whole = closed(spans)
    database = [each for each in whole if each.component == DATABASE and each.state == "down"]
    today = until.astimezone(zone).date()
    edges = [_midnight(today - timedelta(days=back), zone) for back in range(count - 1, -2, -1)]
    return {name: _days_of(name, whole, database, edges, until) for name in COMPONENTS}


def _days_of(
    name: Component,
    spans: Sequence[Span],
    database: Sequence[Span],
    edges: Sequence[datetime],
    until: datetime,
) -> list[Day]:
    own = [each for each in spans if each.component == name]
    lost = [msgspec.structs.replace(each, component=name) for each in database] if name != DATABASE else []
    found = []
    for begin, end in itertools.pairwise(edges):
        last = min(end, until)
        seconds = _by_state([*own, *lost], begin, last)
        day = (begin + (end - begin) / 2).astimezone(edges[0].tzinfo).date()
        found.append(Day(day, seconds["down"], seconds["degraded"], seconds["works"]))
    return found


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
    return datetime(day.year, day.month, day.day, tzinfo=zone)

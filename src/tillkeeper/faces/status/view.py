"""What the page says, made of what was seen. No input or output."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.base import limits
from tillkeeper.faces.status.seen import Seen
from tillkeeper.maintenance.notices import Notice
from tillkeeper.monitoring.alerting import COMPONENTS, Alert, Component, Day, RuleBook, Span, Words, days

Shown = Literal["works", "degraded", "down", "maintenance", "unknown"]
_ORDER: Final[tuple[Shown, ...]] = ("down", "maintenance", "degraded", "unknown", "works")
_SILENT: Final = Words("The database did not answer.", "数据库无应答。")
_JOINED: Final = timedelta(minutes=10)  # troubles of one part that are nearer than that are one incident


class Part(msgspec.Struct, frozen=True):
    """A component as the page shows it. `known`: how it stood when it was seen last, where that is not now."""

    name: Component
    state: Shown
    known: Shown | None
    since: datetime | None
    days: tuple[Day, ...]

    @property
    def down_seconds(self) -> float:
        """How long it was down, of what was seen."""
        return sum(each.down for each in self.days)

    @property
    def degraded_seconds(self) -> float:
        """How long it was not quite well."""
        return sum(each.degraded for each in self.days)

    @property
    def seen_seconds(self) -> float:
        """How long it was seen at all."""
        return sum(each.seen for each in self.days)


class Incident(msgspec.Struct, frozen=True):
    """A trouble of one component: what customers read of it, from when to when; no end: it lasts."""

    component: Component
    words: tuple[Words, ...]
    begun_at: datetime
    ended_at: datetime | None


class View(msgspec.Struct, frozen=True):
    """The page. `seen_at`: when anything was seen last; `lost_since`: the database does not answer; `blind`: the agent has not
    judged lately, or nothing was ever seen.
    """

    now: datetime
    state: Shown
    seen_at: datetime | None
    lost_since: datetime | None
    blind: bool
    parts: tuple[Part, ...]
    incidents: tuple[Incident, ...]
    maintenance: tuple[Notice, ...]
    past: tuple[Incident, ...]
    maintained: tuple[Notice, ...]


def view_of(
    seen: Seen | None, lost_since: datetime | None, book: RuleBook, now: datetime, zone: ZoneInfo
) -> View:
    """The page at a moment, its days counted in a time zone."""
    seen = seen or Seen(now)
    lost = [Span("database", "down", lost_since, now, "status", "no_answer")] if lost_since else []
    counted = days([*seen.spans, *lost], now, zone)
    blind = seen.looked_at is None or (now - seen.looked_at).total_seconds() > limits.ALERT_STALE_SECONDS
    working = any(
        each.state in ("begun", "delayed") and each.expect != "nothing" for each in seen.maintenance
    )
    parts = tuple(
        _part(name, seen.spans, lost_since, now, counted[name], working=working) for name in COMPONENTS
    )
    return View(
        now,
        min((each.state for each in parts), key=_ORDER.index),
        seen.at if seen.spans else None,
        lost_since,
        blind,
        parts,
        (*outages(lost, lasting=True), *incidents(seen.alerts, book)),
        seen.maintenance,
        _newest([*outages(seen.spans), *incidents(seen.past, book)])[: limits.STATUS_INCIDENTS],
        seen.maintained,
    )


def _part(
    name: Component,
    spans: Iterable[Span],
    lost_since: datetime | None,
    now: datetime,
    of: Sequence[Day],
    *,
    working: bool,
) -> Part:
    last = max(
        (each for each in spans if each.component == name and each.seen_by == "agent"),
        key=lambda each: each.seen_at,
        default=None,
    )
    fresh = last is not None and (now - last.seen_at).total_seconds() <= limits.ALERT_STALE_SECONDS
    state: Shown = last.state if last is not None and fresh and lost_since is None else "unknown"
    since = last.begun_at if last is not None and state != "unknown" else None
    if name == "database" and lost_since is not None:
        state, since = "down", lost_since
    if working and state in ("degraded", "down"):
        state = "maintenance"
    known: Shown | None = last.state if last is not None and state == "unknown" != last.state else None
    return Part(name, state, known, since, tuple(of))


def incidents(alerts: Iterable[Alert], book: RuleBook) -> tuple[Incident, ...]:
    """Alerts as customers read them, those of one component that belong together in one; the newest first."""
    found: list[Incident] = []
    for alert in sorted(alerts, key=lambda each: each.fired_at):
        rule = book.find(alert.rule)
        if rule is None or rule.component is None or rule.public is None or alert.cause != "bad":
            continue
        made = Incident(rule.component, (rule.public,), alert.fired_at, alert.resolved_at)
        joined = next((each for each in found if _together(each, made)), None)
        if joined is not None:
            found.remove(joined)
            made = _join(joined, made)
        found.append(made)
    return _newest(found)


def outages(spans: Iterable[Span], *, lasting: bool = False) -> tuple[Incident, ...]:
    """What the status page saw by itself: the database that did not answer."""
    return tuple(
        Incident("database", (_SILENT,), each.begun_at, None if lasting else each.seen_at)
        for each in spans
        if each.seen_by == "status"
    )


def _newest(found: Iterable[Incident]) -> tuple[Incident, ...]:
    return tuple(sorted(found, key=lambda each: each.begun_at, reverse=True))


def _together(one: Incident, later: Incident) -> bool:
    return one.component == later.component and (
        one.ended_at is None or later.begun_at - one.ended_at <= _JOINED
    )


def _join(one: Incident, later: Incident) -> Incident:
    ends = (one.ended_at, later.ended_at)
    words = one.words + tuple(each for each in later.words if each not in one.words)
    return Incident(one.component, words, one.begun_at, None if None in ends else max(filter(None, ends)))

"""Alerts as pages show them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.monitoring.alerting import judge, rows
from tillkeeper.monitoring.alerting.types import (
    BURNS,
    Alert,
    AlertEvent,
    Count,
    Objective,
    Rule,
    RuleBook,
    Silence,
    Span,
    Standing,
    Verdict,
)
from tillkeeper.risk import warning
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")
_WORSE: Final[tuple[Verdict, ...]] = ("bad", "unknown", "fine")


class Told(msgspec.Struct, frozen=True):
    """A notice as it went out, or did not. `said`: the channels that did not take it."""

    id: UUID
    at: datetime
    state: str
    tries: int
    said: str


class Goal(NamedTuple):
    """An objective, what it counted in its days, what is left of its budget, and how fast it burns in each pair's long window."""

    objective: Objective
    counted: Count
    left: float | None
    burning: list[float | None]


class Watched(NamedTuple):
    """A rule as it stands: its worst instance, and since when; no verdict: nobody has looked yet."""

    rule: Rule
    verdict: Verdict
    standing: Standing | None


class Board(NamedTuple):
    """Everything about alerts. `looked_at`: when the agent looked last; `stale`: too long ago to say anything of now."""

    alerts: list[Alert]
    events: dict[UUID, list[AlertEvent]]
    silences: list[Silence]
    rules: list[Watched]
    goals: list[Goal]
    past: list[Alert]
    notices: list[Told]
    looked_at: datetime | None
    stale: bool


async def board(tx: Tx, book: RuleBook, clock: Clock) -> Board:
    """What the page of alerts shows."""
    now = clock.now()
    standings = await rows.standings(tx)
    alerts, past = (
        await rows.show_alerts(tx),
        await rows.past_alerts(tx, now - timedelta(days=limits.STATUS_DAYS)),
    )
    looked_at = _last(standings)
    told = [Told(*row) for row in await tx.tuples(_sql.last_notices, {"limit": limits.ALERTS_PAST // 5})]
    return Board(
        alerts,
        await rows.events_of(tx, [each.id for each in (*alerts, *past)]),
        await rows.silences(tx, now),
        sorted(
            (watched(each, standings) for each in book.rules), key=lambda each: _WORSE.index(each.verdict)
        ),
        await goals(tx, book, now),
        past,
        told,
        looked_at,
        is_stale(looked_at, now),
    )


async def is_unseen(tx: Tx, now: datetime) -> bool:
    """Whether nobody has looked lately, so that no alert that does not fire means anything."""
    return is_stale(_last(await rows.standings(tx)), now)


def _last(standings: Sequence[Standing]) -> datetime | None:
    return max((each.at for each in standings), default=None)


def is_stale(looked_at: datetime | None, now: datetime) -> bool:
    """Whether the last look says nothing of now any more."""
    return looked_at is None or (now - looked_at).total_seconds() > limits.ALERT_STALE_SECONDS


def watched(rule: Rule, standings: Sequence[Standing]) -> Watched:
    """A rule's worst instance."""
    own = [each for each in standings if each.rule == rule.name]
    worst = min(own, key=lambda each: _WORSE.index(each.verdict), default=None)
    return Watched(rule, worst.verdict if worst is not None else "unknown", worst)


async def goals(tx: Tx, book: RuleBook, now: datetime) -> list[Goal]:
    """Every objective and its budget."""
    minute = now.replace(second=0, microsecond=0)
    seconds = {each.days * 86400 for each in book.objectives} | {pair.long_seconds for pair in BURNS}
    since = {length: minute - timedelta(seconds=length) for length in seconds}
    counted = await rows.counted(tx, [each.name for each in book.objectives], list(since.values()))
    return [
        _goal(each, {length: counted[each.name, at] for length, at in since.items()})
        for each in book.objectives
    ]


def _goal(objective: Objective, counted: dict[int, Count]) -> Goal:
    whole = counted[objective.days * 86400]
    burning = [judge.burn_rate(counted[pair.long_seconds], objective.target) for pair in BURNS]
    return Goal(objective, whole, judge.budget_left(objective, whole), burning)


async def count_firing(tx: Tx) -> int:
    """How many alerts fire that nobody has acknowledged or silenced, counted up to ALERTS_PAST."""
    return int(await tx.value(_sql.count_firing, {"limit": limits.ALERTS_PAST}))


class Public(NamedTuple):
    """What the status page reads: who stands how now, what lasts and what was, and every component's last 90 days."""

    alerts: list[Alert]
    past: list[Alert]
    spans: list[Span]
    looked_at: datetime | None


async def open_pages(tx: Tx) -> list[Alert]:
    """What lasts and is worth waking somebody for, acknowledged or not."""
    return [each for each in await rows.show_alerts(tx) if each.severity == "page"]


async def troubled(tx: Tx) -> list[Alert]:
    """Troubles of the platform that last and are worth waking somebody for, acknowledged or not.

    Attacks are not among them: somebody always tries, and the platform has to be maintained all the same.
    """
    return [each for each in await open_pages(tx) if each.names.get("kind") not in warning.ATTACKS]


async def public(tx: Tx, book: RuleBook, now: datetime) -> Public:
    """What the status page reads. Only pages about a component are anybody else's business."""
    since = now - timedelta(days=limits.STATUS_DAYS)
    rules = [each.name for each in (*book.rules, *book.objectives) if each.component is not None]
    lasting = [
        each for each in await rows.show_alerts(tx) if each.rule in set(rules) and each.severity == "page"
    ]
    spans = await rows.spans_since(tx, since)
    looked_at = max((each.seen_at for each in spans if each.seen_by == "agent"), default=None)
    return Public(lasting, await rows.past_pages(tx, rules, since), spans, looked_at)


async def note_database(tx: Tx, begun_at: datetime, seen_at: datetime) -> None:
    """On record, afterwards: the database did not answer the status page from one moment to another."""
    await rows.add_spans(tx, [Span("database", "down", begun_at, seen_at, "status", "no_answer")])

"""The look at everything that is watched: measured, judged, followed, told. The agent takes one every ALERT_SECONDS."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.monitoring import measures, samples
from tillkeeper.monitoring.alerting import components, judge, rows
from tillkeeper.monitoring.alerting.course import Step, follow, resolve, silenced_until, stand
from tillkeeper.monitoring.alerting.rows import Line
from tillkeeper.monitoring.alerting.types import (
    BURNS,
    NO_LABELS,
    TOLD,
    Absence,
    Alert,
    Anomaly,
    Count,
    Judged,
    Labels,
    Money,
    RuleBook,
    Running,
    Silence,
    Standing,
    Threshold,
    Undelivered,
    Verdict,
    Warned,
    labels_of,
)
from tillkeeper.monitoring.alerting.words import news_of
from tillkeeper.monitoring.types import Measured, MoneyLook
from tillkeeper.risk import warning
from tillkeeper.store import Store, Tx, outbox, processes

log = logging.getLogger(__name__)

T = TypeVar("T")
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from. `measure`: a measure's last seconds before a moment; `history`: its mean in the same hour of
    earlier weeks; `money`: what is wrong in the books, None while that is not known; `signals`: those of early warning that last,
    None where nobody looked yet.
    """

    measure: Callable[[Tx, str, float, datetime], Awaitable[Measured]]
    history: Callable[[Tx, str, datetime], Awaitable[Sequence[float]]]
    money: Callable[[], Awaitable[MoneyLook | None]]
    signals: Callable[[Tx], Awaitable[Sequence[warning.Signal] | None]] = warning.standing


def sources(clock: Clock, money: Callable[[], Awaitable[MoneyLook | None]]) -> Sources:
    """The platform's own."""

    async def measure(tx: Tx, name: str, seconds: float, until: datetime) -> Measured:
        return await measures.measure(tx, name, seconds, clock, until=until)

    async def history(tx: Tx, name: str, now: datetime) -> Sequence[float]:
        hour = now.replace(minute=0, second=0, microsecond=0)
        begins = [hour - back * _WEEK for back in range(1, limits.ANOMALY_WEEKS + 1)]
        found = await samples.means(tx, name, [(each, each + timedelta(hours=1)) for each in begins])
        return [mean for mean, _ in found]

    return Sources(measure, history, money)


class Watch:
    """Looks again and again. What cannot be measured is unknown, and troubles nothing else."""

    def __init__(self, store: Store, book: RuleBook, sources: Sources, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._sources = sources
        self._clock = clock
        self._usual: dict[str, tuple[datetime, Sequence[float]]] = {}
        self._counted: datetime | None = None
        self._cleaned: datetime | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = self._clock.monotonic()
            await self.look()
            await asyncio.sleep(max(0.0, began + limits.ALERT_SECONDS - self._clock.monotonic()))

    async def look(self) -> list[Line]:
        """One look; what people are told of it."""
        now = self._clock.now()
        await self._count(now)
        judged = [each async for each in self._judge_all(now)]
        async with self._store.tx("alerts settle") as tx:
            lines = await settle(tx, self._book, judged, now)
            if self._cleaned is None or now - self._cleaned > _DAY:
                await rows.forget_old(tx, now - timedelta(seconds=limits.ALERT_KEEP_SECONDS))
        self._cleaned = self._cleaned if self._cleaned and now - self._cleaned <= _DAY else now
        return lines

    async def _ask(self, read: Callable[[Tx], Awaitable[T]], about: str) -> T | None:
        """Something read in a transaction of its own: a reading that fails is unknown (None) and spoils no other."""
        try:
            async with self._store.tx("alerts read") as tx:
                return await read(tx)
        except Exception as error:  # noqa: BLE001 - a fault of ours or a database in trouble: both are unknown
            log.warning("%s cannot be read: %r", about, error)
            return None

    async def _measure(self, name: str, seconds: float, until: datetime) -> Measured:
        found = await self._ask(lambda tx: self._sources.measure(tx, name, seconds, until), name)
        return found or Measured(None, 0, "")

    async def _count(self, now: datetime) -> None:
        """Have objectives count what is settled and was not counted yet, each second once."""
        settled = now - timedelta(seconds=limits.ALERT_SETTLED_SECONDS)
        until = settled - timedelta(seconds=settled.timestamp() % limits.ALERT_SLOT_SECONDS)
        horizon = until - timedelta(seconds=limits.ALERT_CATCH_UP_SECONDS)
        if self._counted is None:
            async with self._store.tx("objectives counted") as tx:
                self._counted = await rows.counted_until(tx, horizon)
        before = max(self._counted or until - timedelta(seconds=limits.ALERT_SLOT_SECONDS), horizon)
        if before >= until or not self._book.objectives:
            return
        found = {}
        for each in self._book.objectives:
            measured = await self._measure(each.measure, (until - before).total_seconds(), until)
            found[each.name] = judge.count(each, measured.value, measured.samples)
        async with self._store.tx("objectives count") as tx:
            await rows.count(tx, found, until)
        self._counted = until

    async def _judge_all(self, now: datetime) -> AsyncIterator[Judged]:
        for rule in self._book.rules:
            match rule:
                case Threshold():
                    measured = await self._measure(rule.measure, rule.seconds, now)
                    yield judge.threshold(rule, measured.value, measured.samples)
                case Absence():
                    yield judge.absence(rule, (await self._measure(rule.measure, rule.seconds, now)).value)
                case Anomaly():
                    measured = await self._measure(rule.measure, rule.seconds, now)
                    yield judge.anomaly(rule, measured.value, await self._history(rule.measure, now))
                case Running():
                    yield await self._judge_running(rule)
                case Undelivered():
                    yield await self._judge_undelivered(rule, now)
                case Money() | Warned():
                    for each in await self._judge_instances(rule):
                        yield each
        for each in await self._judge_objectives(now):
            yield each

    async def _history(self, name: str, now: datetime) -> Sequence[float]:
        known = self._usual.get(name)
        if known is None or (now - known[0]).total_seconds() > limits.ANOMALY_REFRESH_SECONDS:
            found = await self._ask(lambda tx: self._sources.history(tx, name, now), name)
            known = self._usual[name] = (now, found or ())
        return known[1]

    async def _judge_running(self, rule: Running) -> Judged:
        found = await self._ask(lambda tx: processes.listed(tx, rule.process), rule.process)
        if found is None:
            return Judged(rule.name, NO_LABELS, rule.severity, "unknown")
        serving = sum(each.alive and each.state == "serving" for each in found)
        return Judged(rule.name, NO_LABELS, rule.severity, "fine" if serving else "bad", serving, 1)

    async def _judge_undelivered(self, rule: Undelivered, now: datetime) -> Judged:
        failed = await self._ask(lambda tx: rows.undelivered(tx, now - _DAY), rule.name)
        if failed is None:
            return Judged(rule.name, NO_LABELS, rule.severity, "unknown")
        return Judged(rule.name, NO_LABELS, rule.severity, "bad" if failed else "fine", failed, 0)

    async def _judge_instances(self, rule: Money | Warned) -> list[Judged]:
        return await (self._judge_money(rule) if isinstance(rule, Money) else self._judge_warned(rule))

    async def _judge_money(self, rule: Money) -> list[Judged]:
        """The look itself, and each fault; a fault that was there and is no longer is fine, if there was a look."""
        try:
            look = await self._sources.money()
        except Exception as error:  # noqa: BLE001 - unknown, as in _ask
            log.warning("the money cannot be looked at: %r", error)
            look = None
        known = await self._ask(rows.standings, rule.name) or []
        there = (
            {labels_of(fault=each.code, currency=each.currency): each for each in look.faults} if look else {}
        )
        gone = {each.labels for each in known if each.rule == rule.name} - there.keys() | {NO_LABELS}
        verdict: Verdict = "fine" if look is not None else "unknown"
        return [
            *(Judged(rule.name, labels, rule.severity, verdict) for labels in sorted(gone)),
            *(
                Judged(rule.name, labels, rule.severity, "bad", each.amount, 0)
                for labels, each in there.items()
            ),
        ]

    async def _judge_warned(self, rule: Warned) -> list[Judged]:
        """Each kind of signal that lasts, and how many: a storm of attacks pages once, not once for each, and again at most once an
        hour (course.is_another). A kind of which all are over is fine. While nobody looks nothing is known of new ones.
        """
        found = await self._ask(self._sources.signals, rule.name)
        known = await self._ask(rows.standings, rule.name) or []
        verdict: Verdict = "unknown" if found is None else "fine"
        there: dict[Labels, list[warning.Signal]] = {}
        for each in found or ():
            if each.kind in rule.signals:
                there.setdefault(_labels_of_signal(each), []).append(each)
        gone = {each.labels for each in known if each.rule == rule.name} - there.keys() | {NO_LABELS}
        return [
            *(Judged(rule.name, labels, rule.severity, verdict) for labels in sorted(gone)),
            *(
                Judged(rule.name, labels, rule.severity, "bad", *_figure_of(alike))
                for labels, alike in there.items()
            ),
        ]

    async def _judge_objectives(self, now: datetime) -> list[Judged]:
        names = [each.name for each in self._book.objectives]
        minute = now.replace(second=0, microsecond=0)
        lengths = sorted({length for pair in BURNS for length in (pair.long_seconds, pair.short_seconds)})
        since = {length: minute - timedelta(seconds=length) for length in lengths}
        moments = list(since.values())
        counted = await self._ask(lambda tx: rows.counted(tx, names, moments), "objectives") or {}
        nothing = Count(0, 0)
        return [
            judge.burn(
                each,
                pair,
                counted.get((each.name, since[pair.long_seconds]), nothing),
                counted.get((each.name, since[pair.short_seconds]), nothing),
            )
            for each in self._book.objectives
            for pair in BURNS
        ]


def _labels_of_signal(signal: warning.Signal) -> Labels:
    """No device, no address, nobody's id: channels are no place for them."""
    named = {"rule": signal.about} if signal.about_kind == "rule" else {}
    return labels_of(kind=signal.kind, **named)


def _figure_of(alike: Sequence[warning.Signal]) -> tuple[float, float | None, datetime | None]:
    """Of attacks how many last, and when the newest was found; a share or sum, of which there is one, and what is usual."""
    one = alike[0]
    if one.kind in warning.ATTACKS:
        return len(alike), None, max(each.found_at for each in alike)
    return one.value, one.usual, None


async def settle(tx: Tx, book: RuleBook, judged: Sequence[Judged], now: datetime) -> list[Line]:
    """Keep how everything stands, and what becomes of alerts; what people are told of it."""
    before = {(each.rule, each.labels): each for each in await rows.standings(tx)}
    standings = [stand(before.get((each.rule, each.labels)), each, now) for each in judged]
    alerts = {(each.rule, each.labels): each for each in await rows.open_alerts(tx)}
    steps = list(_steps(book, judged, standings, alerts, await rows.silences(tx, now), now))
    changed = [each.alert for each in steps if each.alert is not None]
    await rows.keep_standings(tx, standings, now - timedelta(seconds=limits.ALERT_STALE_SECONDS))
    await rows.keep_alerts(tx, changed)
    await rows.note_events(
        tx, [(each.alert.id, each.kind) for each in steps if each.alert and each.kind], now
    )
    lines = [
        Line(each.kind, each.alert)
        for each in steps
        if each.alert and each.kind in TOLD and each.alert.told_at is not None
    ]
    await outbox.publish(tx, [each for line in lines if (each := news_of(book, line, now)) is not None])
    if lines:
        await rows.tell(tx, lines, now, now + timedelta(seconds=limits.ALERT_GROUP_SECONDS))
    await _stand_components(tx, book, [each for each in changed if each.open], standings, now)
    return lines


def _steps(
    book: RuleBook,
    judged: Sequence[Judged],
    standings: Sequence[Standing],
    alerts: dict[tuple[str, str], Alert],
    silences: Sequence[Silence],
    now: datetime,
) -> Iterator[Step]:
    """What becomes of each alert. One whose rule is no longer watched is over, and one whose instance is not: unless nothing is
    known of its rule.
    """
    room = limits.ALERTS_OPEN - len(alerts)
    for each, standing in zip(judged, standings, strict=True):
        rule, alert = book.find(each.rule), alerts.pop((each.rule, each.labels), None)
        assert rule is not None  # it was judged by the book
        until = silenced_until(silences, each.rule, each.labels, now)
        step = follow(alert, standing, each, rule, until, new_id())
        if alert is None and step.alert is not None:
            room -= 1
        if alert is not None or room >= 0:
            yield step
    unknown = {each.rule for each in judged if each.verdict == "unknown"}
    for alert in alerts.values():
        if alert.rule not in unknown:
            yield resolve(alert, now)


async def _stand_components(
    tx: Tx, book: RuleBook, alerts: Sequence[Alert], standings: Sequence[Standing], now: datetime
) -> None:
    last, seen, new = await rows.last_spans(tx), [], []
    for name, (state, cause) in components.states(book, alerts, standings).items():
        id_, span = last.get(name, (None, None))
        after, is_new = components.prolong(name, span, state, cause, now)
        if is_new:
            new.append(after)
        elif id_ is not None:
            seen.append(id_)
    await rows.prolong_spans(tx, seen, now)
    await rows.add_spans(tx, new)

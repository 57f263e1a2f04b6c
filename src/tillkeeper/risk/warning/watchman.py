"""The agent's loop that watches what was decided: reads on, finds, alerts, proposes.

Everything is behind the payments, never in their way. What it finds is written with how far it read, so that nothing is missed;
what is in memory only (detectors, tests) is lived through again from the newest history when the agent starts.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, from_us, to_us
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refused
from tillkeeper.risk import declared, inforce
from tillkeeper.risk.rulefile import BadRulesError, read_rules, stored_rules, with_rule
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.warning import remedies, rows
from tillkeeper.risk.warning.lookout import Key, Lookout, Worthy, WorthyLogin
from tillkeeper.risk.warning.rows import BEGINNING, Snapshot
from tillkeeper.risk.warning.stakes import Budget, Precision, expected_loss
from tillkeeper.risk.warning.types import Alert, Finding, Remedy, Signal, SubjectKind
from tillkeeper.store import Store, Tx

log = logging.getLogger(__name__)

PAYOUT: Final = "payout"
"""The kind of decision of which the customer is a merchant."""
READER: Final = "watch"
DECISION: Final = "decision"
LOGIN: Final = "login"
BREAKER: Final = "breaker_open"
_DAY: Final = timedelta(days=1)


class Watchman:
    """Exactly one is at work: it belongs to the agent."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lookout = Lookout()
        self._budget = Budget(limits.ALERTS_A_DAY)
        self._seen = BEGINNING
        self._label = 0
        self._rules: RuleSet | None = None
        self._rule_set: int | None = None
        self._open: dict[Key, Signal] = {}
        self._told: dict[UUID, set[UUID]] = {}
        self._crowded: set[tuple[str, str]] = set()
        self._untried: dict[str, str] = {}
        self._tried_at: dict[str, datetime] = {}

    async def run(self) -> None:
        """Until cancelled. What fails in the midst of a look is begun anew from what was written."""
        await self.begin()
        while True:
            began = self._clock.monotonic()
            await self.look()
            await asyncio.sleep(max(0.0, began + limits.WATCH_SECONDS - self._clock.monotonic()))

    async def begin(self) -> None:
        """Read what was known, and live through the newest history again."""
        now = self._clock.now()
        async with self._store.tx("watch begins") as tx:
            await self._read_rules(tx)
            present = await rows.snapshot(tx, now)
            cursor = await rows.cursor(tx, READER)
            # The numbers of a database that was restored or upgraded may lie below those of before.
            lost = cursor is None or cursor.next_xid > present.next_xid
            self._seen = present if cursor is None or lost else cursor
            past = await rows.hours(tx, now - timedelta(weeks=limits.STREAM_WEEKS))
            precision = Precision(await rows.precision(tx))
            self._label = max(0, await rows.last_label(tx) - limits.WATCH_RELIVED)
            self._budget = Budget(self._budget.capacity)
            self._budget.remember(await rows.alerts_since(tx, now - _DAY))
            self._open = {each.key: each for each in await rows.open_signals(tx)}
            if lost:
                await rows.move_cursor(tx, READER, present)
        self._lookout = await asyncio.to_thread(Lookout, past, precision)
        self._lookout.remember(self._open.values())
        self._follow_rules()
        self._told = {}
        await self._relive()

    async def _relive(self) -> None:
        """What was seen before is taken in once more, and nothing is made of it."""
        async with self._store.tx("watch relives") as tx:
            decided, logins = await rows.newest(tx, limits.WATCH_RELIVED)
        while self._rules is not None:
            async with self._store.tx("watch relives") as tx:
                some = await rows.decisions(tx, BEGINNING, self._seen, decided, self._rules)
            if not some:
                break
            await asyncio.to_thread(self._lookout.relive, some)
            decided = some[-1].id
        while True:
            async with self._store.tx("watch relives") as tx:
                tried = await rows.logins(tx, BEGINNING, self._seen, logins)
            if not tried:
                break
            await asyncio.to_thread(self._lookout.relive_logins, tried)
            logins = tried[-1].id

    async def look(self) -> None:
        """Read on to the present."""
        now = self._clock.now()
        async with self._store.tx("watch looks") as tx:
            await self._read_rules(tx)
            present = await rows.snapshot(tx, now)
            label = await rows.last_label(tx)
            lasting = {each.id for each in await rows.open_signals(tx)}
            tripped = await rows.trips(tx, now - timedelta(seconds=limits.SIGNAL_QUIET_SECONDS))
        for each in [each for each in self._open.values() if each.id not in lasting]:
            self._over(each)  # a person closed it
        if self._rules is None:
            return  # nothing was ever decided
        await self._decisions(present, self._rules)
        await self._logins(present)
        await self._labels(present, self._rules)
        findings = await asyncio.to_thread(self._lookout.tick, to_us(now))
        async with self._store.tx("watch has looked") as tx:
            await self._note(tx, [*findings, *_tripped(tripped)], now)
            await self._end_quiet(tx, now)
            before = now - timedelta(weeks=limits.STREAM_WEEKS)
            await rows.add_hours(tx, self._lookout.streams.ended_hours(), before)
            await rows.move_cursor(tx, READER, present)
        self._seen, self._label = present, label
        await self._have_tried(now)

    async def _decisions(self, present: Snapshot, rules: RuleSet) -> None:
        after, full = rows.lower(self._seen), True
        while full:
            async with self._store.tx("watch decisions") as tx:
                some = await rows.decisions(tx, self._seen, present, after, rules)
            if not some:
                return
            now = self._clock.now()
            found, worthy = await asyncio.to_thread(self._lookout.decided, some, to_us(now))
            async with self._store.tx("watch found") as tx:
                await self._note(tx, found, now)
                await rows.add_alerts(tx, [self._alert(each, now) for each in worthy], now, rules.reference)
            after, full = some[-1].id, len(some) == limits.WATCH_BATCH

    async def _logins(self, present: Snapshot) -> None:
        after, full = rows.lower(self._seen), True
        while full:
            async with self._store.tx("watch logins") as tx:
                some = await rows.logins(tx, self._seen, present, after)
            if not some:
                return
            now = self._clock.now()
            found, worthy = await asyncio.to_thread(self._lookout.logged_in, some, to_us(now))
            async with self._store.tx("watch found") as tx:
                await self._note(tx, found, now)
                alerts = [self._login_alert(each, now) for each in worthy]
                await rows.add_alerts(tx, alerts, now, self._currency)
            after, full = some[-1].id, len(some) == limits.WATCH_BATCH

    async def _labels(self, present: Snapshot, rules: RuleSet) -> None:
        after, full = max(0, self._label - limits.WATCH_LABELS_LATE), True
        while full:
            async with self._store.tx("watch labels") as tx:
                some, after = await rows.labels(tx, self._seen, present, after, rules)
            now = self._clock.now()
            found = await asyncio.to_thread(self._lookout.labelled, some, to_us(now))
            if found:
                async with self._store.tx("watch found") as tx:
                    await self._note(tx, found, now)
            full = len(some) == limits.WATCH_BATCH

    async def _read_rules(self, tx: Tx) -> None:
        """What decides now: it says in which currency, how many alerts a day people can look at, and which rules there are."""
        found = await inforce.activations(tx, 1)
        if not found or found[0].rule_set == self._rule_set:
            return
        try:
            rules = await asyncio.to_thread(stored_rules, found[0].source)
        except BadRulesError as error:
            log.warning("the rules in force cannot be read here, what was read before stays: %s", error)
            return
        self._rules, self._rule_set = rules, found[0].rule_set
        self._budget.capacity = rules.alerts_a_day
        self._follow_rules()

    def _follow_rules(self) -> None:
        if self._rules is not None and self._rule_set is not None:
            names = frozenset(each.name for each in self._rules.rules)
            self._lookout.streams.rules_are(self._rule_set, names)

    @property
    def _currency(self) -> str:
        return self._rules.reference if self._rules is not None else ""

    async def _note(self, tx: Tx, findings: Sequence[Finding], now: datetime) -> None:
        """Findings become signals, what they are about alerts, and a new signal perhaps a remedy."""
        alerts = []
        for each in findings:
            signal = await self._signal(tx, each, now)
            if signal is not None:
                alerts += self._subjects(each, signal, now)
        await rows.add_alerts(tx, alerts, now, self._currency)

    async def _signal(self, tx: Tx, found: Finding, now: datetime) -> Signal | None:
        """The signal of a finding, as it is now; None where it is over or there is no room."""
        known = self._open.get(found.key)
        if known is None and (not found.lasts or self._is_crowded(found)):
            return None
        signal = _as_signal(found, known, now, self._currency)
        if known is not None and not found.lasts:
            await rows.end_signals(tx, [known.id], now)
            self._over(known)
            return None
        if known is not None:
            await rows.see_signal(tx, signal)
        elif await rows.add_signal(tx, signal):
            log.warning("signal %s of %s: %s", signal.kind, signal.about_kind or "the platform", signal.id)
            await self._propose(tx, signal, now)
        else:
            return None
        self._open[found.key] = signal
        return signal

    def _is_crowded(self, found: Finding) -> bool:
        """Whether so many of its kind last that one more would say nothing new. Each kind has its own room: who tries passwords from
        a thousand addresses hides no mules behind them.
        """
        alike = sum(key[:2] == found.key[:2] for key in self._open)
        if alike < limits.SIGNALS_OF_A_KIND and len(self._open) < limits.SIGNALS_OPEN:
            return False
        if found.key[:2] not in self._crowded:  # said once, not for each of a thousand addresses
            self._crowded.add(found.key[:2])
            log.warning("%d signals %s last: there is no room for more of them", alike, found.kind)
        return True

    async def _propose(self, tx: Tx, signal: Signal, now: datetime) -> None:
        """A short-lived rule against it, if there is one that could join those in force."""
        made = remedies.drafts(signal)
        if not made or self._rules is None:
            return
        until = now + timedelta(seconds=limits.REMEDY_SECONDS)
        name = remedies.rule_name(signal)
        text = remedies.as_text(name, made, until)
        whole = with_rule(self._rules.source, text)
        try:
            await asyncio.to_thread(read_rules, whole, name, await declared.catalogue(tx))
        except BadRulesError as error:
            log.info("no rule is proposed against %s: %s", signal.kind, error)
            return
        await rows.add_remedy(tx, Remedy(new_id(), signal.id, now, name, text, until))
        self._untried[signal.kind] = whole

    async def _have_tried(self, now: datetime) -> None:
        """Have what was proposed tried on history, so that whoever decides sees what it would have done. One of a kind at a time:
        the next one of an attack in many places would say the same.
        """
        from tillkeeper.risk import backtest

        while self._untried:
            kind, text = self._untried.popitem()
            last = self._tried_at.get(kind)
            if last is not None and (now - last).total_seconds() < limits.REMEDY_TRIAL_SECONDS:
                continue
            self._tried_at[kind] = now
            try:
                question = await backtest.question_of(self._store, self._clock, rules=text)
                async with self._store.tx("watch asks for a backtest") as tx:
                    await backtest.ask(tx, question, READER, now)
            except Refused as error:
                log.info("the rule proposed against %s is not tried: %s", kind, error)

    async def _end_quiet(self, tx: Tx, now: datetime) -> None:
        """What was not seen for long is over."""
        since = now - timedelta(seconds=limits.SIGNAL_QUIET_SECONDS)
        quiet = [each for each in self._open.values() if each.seen_at < since]
        await rows.end_signals(tx, [each.id for each in quiet], now)
        for each in quiet:
            self._over(each)

    def _over(self, signal: Signal) -> None:
        self._open.pop(signal.key, None)
        self._told.pop(signal.id, None)
        self._crowded.discard(signal.key[:2])

    def _subjects(self, found: Finding, signal: Signal, now: datetime) -> list[Alert]:
        """Alerts about those whom a signal concerns, each once."""
        told = self._told.setdefault(signal.id, set())
        new = [each for each in found.subjects if each.id not in told][: limits.SIGNAL_ALERTS - len(told)]
        told |= {each.id for each in new}
        made = []
        for each in new:
            loss = expected_loss(each.stake, each.ppm)
            queued = self._budget.admit(each.id, loss, to_us(now))
            made.append(
                Alert(
                    new_id(), found.kind, each.kind, each.id, from_us(found.at_us), now, None, None, signal.id,
                    "", (), each.stake, self._currency, each.ppm, loss, queued,
                )
            )  # fmt: skip
        return made

    def _alert(self, worthy: Worthy, now: datetime) -> Alert:
        seen = worthy.seen
        loss = expected_loss(seen.worth, worthy.ppm)
        queued = self._budget.admit(seen.customer, loss, to_us(now))
        kind: SubjectKind = "merchant" if seen.kind == PAYOUT else "customer"
        return Alert(
            new_id(), DECISION, kind, seen.customer, from_us(seen.at_us), now, seen.id, None, None,
            seen.outcome, seen.reasons, seen.worth, self._currency, worthy.ppm, loss, queued,
        )  # fmt: skip

    def _login_alert(self, worthy: WorthyLogin, now: datetime) -> Alert:
        seen = worthy.seen
        loss = expected_loss(limits.ACCOUNT_STAKE, worthy.ppm)
        queued = self._budget.admit(seen.customer, loss, to_us(now))
        return Alert(
            new_id(), LOGIN, "customer", seen.customer, from_us(seen.at_us), now, None, seen.id, None,
            seen.outcome, seen.reasons, limits.ACCOUNT_STAKE, self._currency, worthy.ppm, loss, queued,
        )  # fmt: skip


def _as_signal(found: Finding, known: Signal | None, now: datetime, currency: str) -> Signal:
    if known is not None:
        return msgspec.structs.replace(
            known,
            severity=found.severity,
            seen_at=now,
            value=found.value,
            usual=found.usual,
            log_e=found.log_e,
            events=max(found.events, known.events),
            money=max(found.money, known.money),
            evidence=found.evidence,
        )
    return Signal(
        new_id(), found.kind, found.about_kind, found.about, found.severity, found.direction, from_us(found.begun_us),
        now, now, None, found.value, found.usual, found.log_e, found.log_bound, found.events, found.money, currency,
        found.evidence,
    )  # fmt: skip


def _tripped(trips: Sequence[tuple[str, int, int, int, datetime]]) -> list[Finding]:
    """Rules whose breakers opened of late: they decide more mildly than people think."""
    return [
        Finding(
            kind=BREAKER,
            about_kind="rule",
            about=rule,
            severity="ticket",
            begun_us=to_us(at),
            at_us=to_us(at),
            value=float(hits),
            usual=float(at_most),
            events=hits,
            money=0,
            evidence={"hits": hits, "at_most": at_most, "within_seconds": within},
        )
        for rule, hits, at_most, within, at in trips
    ]

"""The risk engine: observe, judge, write the receipt, remember; and hear what people put in force."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, to_us
from tillkeeper.base.ids import NIL, first_id_at
from tillkeeper.risk import declared, inforce, kept, models, rows, windows
from tillkeeper.risk.breaker import Breakers
from tillkeeper.risk.features import FEATURES, Catalogue
from tillkeeper.risk.force import Force, Judge, Judged, Matrix
from tillkeeper.risk.loading import Loaded, load
from tillkeeper.risk.profiles import Profiles
from tillkeeper.risk.reliving import REBUILD_BATCH, relive
from tillkeeper.risk.rulefile import read_rules
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import OUTCOMES, Attempt, Batch, Decision, Event, Label, Said
from tillkeeper.risk.words import effects_in_words, reason_in_words
from tillkeeper.store import Store, Tx, is_transient

log = logging.getLogger(__name__)


def load_rules(rules_file: Path | None, catalogue: Catalogue = FEATURES) -> RuleSet:
    """Read a rules file, or the rules that come with the package. `catalogue`: what rules may read.

    Raises BadRulesError listing every fault with its line, or OSError when the file cannot be read.
    """
    if rules_file is None:
        text = files(__package__).joinpath("rules.toml").read_text("utf-8")
        return read_rules(text, "rules.toml", catalogue)
    return read_rules(rules_file.read_text("utf-8"), str(rules_file), catalogue)


def warm_up(rules: RuleSet | None = None) -> None:
    """Have the windows compiled (once a machine, seconds), or loaded from the cache, before a payment waits for it."""
    strangers = Profiles(rules or load_rules(None), ZoneInfo("UTC"))
    strangers.observe([Attempt(NIL, "payment", 0, NIL, NIL, 1, "CNY")])
    strangers.observe_events([Event(NIL, "login", 0, NIL)])
    strangers.learn(NIL, fraud=True)
    kept.warm_up()
    windows.refill(np.full(2, windows.NONE), np.full(4, windows.NONE))


class RiskEngine:
    """Decides about attempts in the order they arrive. Exactly one process of an installation holds one."""

    def __init__(self, store: Store, loaded: Loaded, clock: Clock, zone: ZoneInfo) -> None:
        self._store = store
        self._clock = clock
        self._zone = zone
        self._judge = _judge(loaded.force)
        self._revision = loaded.revision
        self._faults = loaded.faults
        self._since = clock.now()
        self._noted: inforce.Noted | None = None
        self._read_at = clock.monotonic()
        self._profiles, self._wanted = _empty(loaded.force, zone)
        self._renewal: _Renewal | None = None
        self._coming: Force | None = None
        self._renewal_failed_at = -limits.FORCE_REREAD_SECONDS
        self._doubted = False
        self._events_at = -limits.RENEWAL_WAIT_SECONDS
        self._last_label = 0
        self._heard = 0

    @classmethod
    async def open(cls, store: Store, rules_file: Path | None, clock: Clock, timezone: str) -> "RiskEngine":
        """An engine with what is in force loaded and its profiles rebuilt from the database.

        `timezone`: the business's (IANA name), for hour, night and weekend. Raises as load_rules does.
        """
        async with store.tx("risk rules") as tx:
            rules = load_rules(rules_file, await declared.catalogue(tx))
            await inforce.install(tx, rules, "file" if rules_file else "package", clock.now())
        loaded = await load(store, None, clock.now())
        for fault in loaded.faults:
            log.error("%s", fault)
        engine = cls(store, loaded, clock, ZoneInfo(timezone))
        warm_up(engine.rules)
        async with store.tx("risk labels") as tx:
            engine._last_label = await rows.last_label(tx)
        await engine.rebuild()
        await engine._note()
        return engine

    @property
    def force(self) -> Force:
        """What decides now."""
        return self._judge.force

    @property
    def rules(self) -> RuleSet:
        """The rules that decide now."""
        return self._judge.force.rules

    @property
    def version(self) -> int:
        """The version of the rule set that decides now."""
        return self._judge.force.rule_set

    @property
    def faults(self) -> tuple[str, ...]:
        """What could not be taken into force, or fails: what was there before decides."""
        coming = self._coming
        waits = (
            coming
            and f"rule set {coming.rule_set} values money otherwise: it waits for its profiles to be filled"
        )
        return (*self._faults, *self._judge.faults, *([waits] if waits else []))

    def breakers_open(self) -> dict[str, int]:
        """Rules that are weakened because they hit too often, and until when at least (microseconds since 1970 UTC)."""
        return self._judge.breakers.open_at(to_us(self._clock.now()))

    def decide(self, attempts: Sequence[Attempt]) -> list[Decision]:
        """Take a turn into the profiles and decide about each attempt, in the order given.

        Two calls with the same attempt count it twice: a turn that is tried again keeps its decisions.
        """
        if not attempts:
            return []
        batch, force = Batch.of(attempts), self._judge.force
        try:
            values = _widened(self._profiles.observe(batch), self._profiles.catalogue, force.catalogue)
            judged = self._judge.take(batch, values, to_us(self._clock.now()))
        except BaseException:
            self.doubt()  # it may be asked about the same again, and count it twice
            raise
        if self._renewal is not None:
            self._renewal.hear(attempts)
        return _decisions(force, attempts, judged)

    def judge_events(self, events: Sequence[Event]) -> list[tuple[str, tuple[str, ...]]]:
        """Take logins and changes of settings into the profiles, in the order given; what the rules say of each login.

        For each an outcome of LOGIN_OUTCOMES and the rules that hit; of settings nothing is said. Two calls with the same
        event count it twice, as with decide.
        """
        force = self._judge.force
        self._events_at = self._clock.monotonic()
        columns = [force.catalogue[name].index for name in force.rules.login_features]
        at_us = np.array([event.at_us for event in events], np.int64)
        try:
            values = _widened(
                self._profiles.observe_events(events), self._profiles.catalogue, force.catalogue
            )
            said = force.rules.judge_logins(values[:, columns], at_us)
        except BaseException:
            self.doubt()  # as in decide
            raise
        if self._renewal is not None:
            self._renewal.hear(events)
        return [
            one if event.event == "login" else ("allow", ()) for one, event in zip(said, events, strict=True)
        ]

    def doubt(self) -> None:
        """The profiles heard of what will never be in the database, or not of all that is: have them filled anew.

        That happens beside those that decide, which meanwhile go on as they are.
        """
        self._doubted = True

    def words(self, decision: Decision, language: str = "en") -> list[tuple[str, str]]:
        """(rule, reason in words) for each rule that hit, lists before rules. `language`: "zh" or "en".

        Nothing of a payment that was let through: that rules would have stopped it is for the team alone.
        """
        if decision.outcome == "allow" or not (decision.reasons or decision.effects):
            return []
        said = effects_in_words(decision.effects, language)
        force: Force = decision.force or self._judge.force
        numbers = np.frombuffer(decision.features, "<f8").tolist()
        values = dict(zip(force.columns, numbers, strict=True))
        return said + [
            (rule.name, reason_in_words(rule, values, force.rules.reference, language, force.catalogue))
            for rule in force.rules.rules
            if rule.name in decision.reasons
        ]

    async def write(self, tx: Tx, decisions: Sequence[Decision]) -> None:
        """The receipts, in one statement, within the transaction that books the payments."""
        if decisions:
            await rows.write_decisions(tx, decisions)
            said = [models.Shadow(one.attempt.id, *each) for one in decisions for each in one.said]
            if said:
                await models.write_shadow(tx, said)

    def learn(self, labels: Sequence[Label]) -> int:
        """Count these labels from now on; how many payments of them are still remembered."""
        self._heard += 1
        if self._renewal is not None:
            self._renewal.labels += labels
        return sum(self._profiles.learn(label.payment, fraud=label.fraud) for label in labels)

    async def write_labels(self, tx: Tx, labels: Sequence[Label]) -> None:
        """Keep labels; to be learnt when the transaction has committed."""
        if labels:
            await rows.write_labels(tx, labels, self._clock.now())

    async def rebuild(self) -> None:
        """Forget the profiles and live through the stored history again, in order of arrival.

        Decisions that are not committed yet are not in it. Logins that may not be are looked for later: see doubt.
        """
        await self._give_up_renewal()  # this is one
        renewal = self._renewal = _Renewal(self.force)
        try:
            profiles, wanted = await self._lived_through(renewal, REBUILD_BATCH)
            breakers = await self._breakers_as_they_were()
        except BaseException:
            self._renewal = None
            raise
        self._judge = _judge(self.force, breakers)
        self._change_to(renewal, profiles, wanted)
        self._doubted = self._clock.monotonic() - self._events_at < limits.RENEWAL_WAIT_SECONDS

    async def follow(self) -> None:
        """Hear within a second what people put in force and what other processes label, until cancelled."""
        try:
            while True:
                await asyncio.sleep(limits.FORCE_POLL_SECONDS)
                try:
                    await self.refresh()
                except Exception as error:
                    if is_transient(error):
                        log.warning("what is in force could not be asked: %s", type(error).__name__)
                    else:  # whoever decides must go on hearing: what was there decides until then
                        log.exception("what is in force could not be taken")
        finally:
            await self._give_up_renewal()

    async def refresh(self) -> None:
        """Look once whether anything changed. Between two turns the new force takes the place of the old one."""
        async with self._store.tx("risk revision") as tx:
            *revision, last_label = await inforce.revision(tx)
        if last_label > self._last_label:
            await self._hear_labels()
        late = self._clock.monotonic() - self._read_at >= limits.FORCE_REREAD_SECONDS
        if tuple(revision) != self._revision or late:
            self._take(await load(self._store, self.force, self._clock.now()))
        self._see_to_profiles()
        await self._note()

    def _take(self, loaded: Loaded) -> None:
        for fault in set(loaded.faults) - set(self._faults):
            log.error("%s", fault)
        self._revision, self._faults = loaded.revision, loaded.faults
        self._read_at = self._clock.monotonic()
        if loaded.force.version != self.force.version:
            self._since = self._clock.now()
            log.info("configuration %d decides: rule set %d", loaded.force.version, loaded.force.rule_set)
        if _money(loaded.force) == _money(self.force):
            self._judge, self._coming = _judge(loaded.force, self._judge.breakers), None
        else:  # its rules would be about money of the old worth
            self._coming = loaded.force

    def _see_to_profiles(self) -> None:
        """Fill new profiles from history beside those that decide: for another money, or features nobody read so far.

        Until then what is not filled is not known.
        """
        force = self._coming or self.force
        fits = _money(force) == _money(self.force) and self._profiles.catalogue == force.catalogue
        filled = fits and not self._doubted and _wanted(force) <= self._wanted
        if filled or self._resting():
            return
        if self._renewal is None:
            log.info("profiles are filled from history for configuration %d", force.version)
            self._renewal, self._doubted = _Renewal(force), False
            self._renewal.task = asyncio.create_task(self._fill(self._renewal))

    def _resting(self) -> bool:
        """Whether filling failed a moment ago."""
        return self._clock.monotonic() - self._renewal_failed_at < limits.FORCE_REREAD_SECONDS

    async def _fill(self, renewal: "_Renewal") -> None:
        """What was decided before the renewal began is read once it is committed; what comes since, it remembers."""
        try:
            await asyncio.sleep(limits.RENEWAL_WAIT_SECONDS)
            profiles, wanted = await self._lived_through(renewal, limits.RENEWAL_BATCH)
        except Exception:
            log.exception("profiles could not be filled; they will be in a while")
            self._renewal, self._renewal_failed_at, self._doubted = None, self._clock.monotonic(), True
            return
        if _money(renewal.force) != _money(self.force):
            # People may have changed their minds meanwhile: what they want now decides, or these are of no use.
            if self._coming is None or _money(renewal.force) != _money(self._coming):
                self._renewal = None
                return
            self._judge, self._coming = _judge(self._coming, self._judge.breakers), None
        self._change_to(renewal, profiles, wanted)
        log.info("profiles are filled for configuration %d", renewal.force.version)

    async def _lived_through(self, renewal: "_Renewal", batch: int) -> tuple[Profiles, frozenset[str]]:
        """Profiles for a force after all that happened. From the return on, nothing waits until they are changed to."""
        profiles, wanted = _empty(renewal.force, self._zone)
        async with self._store.tx("risk rebuild") as tx:
            await relive(tx, profiles, now=self._clock.now(), batch=batch, but=renewal.ids)
        while len(renewal.heard) > limits.RENEWAL_TURNS:
            renewal.tell(profiles)
            await asyncio.sleep(0)
        return profiles, wanted

    def _change_to(self, renewal: "_Renewal", profiles: Profiles, wanted: frozenset[str]) -> None:
        while renewal.heard:
            renewal.tell(profiles)
        for label in renewal.labels:
            profiles.learn(label.payment, fraud=label.fraud)  # a label learnt twice counts once
        self._profiles, self._wanted, self._renewal = profiles, wanted, None

    async def _give_up_renewal(self) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is not None and renewal.task is not None:
            renewal.task.cancel()
            with suppress(asyncio.CancelledError):
                await renewal.task

    async def _hear_labels(self) -> None:
        """Learn what other processes labelled, in the order it was written."""
        for _ in range(limits.LABEL_READS):
            heard = self._heard
            async with self._store.tx("risk labels") as tx:
                found = await rows.next_labels(tx, self._last_label, limits.LABELS_READ)
            if heard != self._heard:
                continue  # something newer was learnt meanwhile, which must not be followed by something older
            self.learn([Label(payment, fraud, 0) for _, payment, fraud in found])
            if found:
                self._last_label = found[-1][0]
            if len(found) < limits.LABELS_READ:
                return

    async def _note(self) -> None:
        """Say in the database what is in force here, when it changes; keep which circuit breakers opened."""
        now = self._clock.now()
        filling = 0 if self._renewal is None else len(_wanted(self._renewal.force) - self._wanted)
        state = inforce.Noted(self.force.version, self.faults, self._last_label, filling)
        trips = self._judge.breakers.trips[:]
        if state == self._noted and not trips:
            return
        async with self._store.tx("risk engine") as tx:
            await inforce.note_engine(tx, state, self._since, now)
            if trips:
                await inforce.note_trips(tx, self.version, trips)
        del self._judge.breakers.trips[: len(trips)]
        self._noted = state

    async def _breakers_as_they_were(self) -> Breakers:
        """The circuit breakers after the decisions of the last hours, as long as any of them looks back."""
        rules, breakers = self.rules, Breakers()
        caps = [rules.breaker.within_us, *(each.at_most.within_us for each in rules.rules if each.at_most)]
        first = first_id_at(self._clock.now() - timedelta(microseconds=max(caps)))
        place = {rule.name: n for n, rule in enumerate(rules.rules)}
        async with self._store.tx("risk breakers") as tx:
            async for found in rows.hits_from(tx, first, REBUILD_BATCH):
                hits = np.zeros((len(rules.rules), len(found)), np.bool_)
                for payment, (_, _, names) in enumerate(found):
                    hits[[place[name] for name in names if name in place], payment] = True
                at_us = np.array([to_us(at) for _, at, _ in found], np.int64)
                breakers.weaken(rules, hits, np.minimum(at_us, to_us(self._clock.now())))
        breakers.trips.clear()  # they were noted when they happened
        return breakers

    def counts(self) -> dict[str, int]:
        """Profiles of each kind, payments remembered, and bytes of the arrays they stand in."""
        return self._profiles.counts()


class _Renewal:
    """Profiles on their way: what was heard since they were begun, in order, and its ids; labels likewise."""

    def __init__(self, force: Force) -> None:
        self.force = force
        self.heard: list[Sequence[Attempt] | Sequence[Event]] = []
        self.ids: set[UUID] = set()
        self.labels: list[Label] = []
        self.task: asyncio.Task[None] | None = None

    def hear(self, some: Sequence[Attempt] | Sequence[Event]) -> None:
        """Remember what the profiles that decide were told."""
        self.heard.append(some)
        self.ids.update(one.id for one in some)

    def tell(self, profiles: Profiles) -> None:
        """Tell new profiles a part of it."""
        part, self.heard = self.heard[: limits.RENEWAL_TURNS], self.heard[limits.RENEWAL_TURNS :]
        for some in part:
            if isinstance(some[0], Attempt):
                profiles.observe([one for one in some if isinstance(one, Attempt)])
            else:
                profiles.observe_events([one for one in some if isinstance(one, Event)])


def _judge(force: Force, breakers: Breakers | None = None) -> Judge:
    return Judge(force, breakers=breakers, lenient=True)


def _money(force: Force) -> tuple[object, ...]:
    """What money is worth: profiles of another money are other profiles."""
    return force.rules.reference, force.rules.other, sorted(force.rules.worth.items())


def _wanted(force: Force) -> frozenset[str]:
    """The features that anything in force reads, with those they are computed from."""
    return force.catalogue.reading((*force.needs, *force.rules.login_features))


def _empty(force: Force, zone: ZoneInfo) -> tuple[Profiles, frozenset[str]]:
    wanted = _wanted(force)
    return Profiles(force.rules, zone, force.catalogue, wanted), wanted


def _widened(values: Matrix, given: Catalogue, wanted: Catalogue) -> Matrix:
    """Values in the columns of another catalogue: what is not filled yet is not known."""
    if given is wanted or given == wanted:
        return values
    found = np.full((len(values), len(wanted)), np.nan)
    names = [name for name in wanted if name in given]
    found[:, [wanted[name].index for name in names]] = values[:, [given[name].index for name in names]]
    return found


def _decisions(force: Force, attempts: Sequence[Attempt], judged: Judged) -> list[Decision]:
    packed = judged.values.tobytes()
    width = 8 * len(force.columns)
    names = [rule.name for rule in force.rules.rules]
    reasons: dict[int, list[str]] = {}
    for payment, rule in zip(*(each.tolist() for each in np.nonzero(judged.counted.T)), strict=True):
        reasons.setdefault(payment, []).append(names[rule])
    outcomes = judged.outcomes.tolist()
    return [
        Decision(
            attempt,
            OUTCOMES[outcomes[n]],
            tuple(reasons.get(n, ())),
            force.rule_set,
            packed[n * width : (n + 1) * width],
            force.version,
            tuple(judged.effects.get(n, ())),
            _said(force, judged, n, outcomes[n]) if judged.shadows else (),
            force,
        )
        for n, attempt in enumerate(attempts)
    ]


def _said(force: Force, judged: Judged, n: int, outcome: int) -> tuple[Said, ...]:
    """What each model said of a payment: the challengers, and the champion beside them to be compared with."""
    said = [
        Said(each.model, float(each.scores[n]), OUTCOMES[int(each.outcomes[n])]) for each in judged.shadows
    ]
    if force.champion is not None:
        score = judged.values[n, force.columns.index("model_score")]
        if score == score:  # noqa: PLR0124 - NaN is what differs from itself
            said.append(Said(force.champion.id, float(score), OUTCOMES[outcome]))
    return tuple(said)

"""The risk engine: observe, decide, write the receipt, remember."""

from collections.abc import Sequence
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import NIL
from tillkeeper.risk import rows, windows
from tillkeeper.risk.features import FEATURES
from tillkeeper.risk.profiles import LATENESS_US, WATERMARK_BLOCK, Profiles
from tillkeeper.risk.rulefile import read_rules
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Attempt, Decision, Label
from tillkeeper.risk.words import reason_in_words
from tillkeeper.store import Store, Tx

REBUILD_BATCH: Final = 4096
REMEMBERED: Final = timedelta(microseconds=windows.MEMORY + LATENESS_US)


def load_rules(rules_file: Path | None) -> RuleSet:
    """Read a rules file, or the rules that come with the package.

    Raises BadRulesError listing every fault with its line, or OSError when the file cannot be read.
    """
    if rules_file is None:
        return read_rules(files(__package__).joinpath("rules.toml").read_text("utf-8"), "rules.toml")
    return read_rules(rules_file.read_text("utf-8"), str(rules_file))


def warm_up(rules: RuleSet | None = None) -> None:
    """Have the windows compiled (once a machine, seconds), or loaded from the cache, before a payment waits for it."""
    strangers = Profiles(rules or load_rules(None), ZoneInfo("UTC"))
    strangers.observe([Attempt(NIL, "payment", 0, NIL, NIL, 1, "CNY")])
    strangers.learn(NIL, fraud=True)
    windows.refill(np.full(2, windows.NONE), np.full(4, windows.NONE))


class RiskEngine:
    """Decides about attempts in the order they arrive. Exactly one process of an installation holds one."""

    def __init__(self, store: Store, rules: RuleSet, version: int, clock: Clock, zone: ZoneInfo) -> None:
        self.rules = rules
        self.version = version
        self._store = store
        self._clock = clock
        self._zone = zone
        self._columns = [FEATURES[name].index for name in rules.features]
        self._profiles = self._empty()
        self._rebuilding = False
        self._meanwhile: list[Label] = []

    @classmethod
    async def open(cls, store: Store, rules_file: Path | None, clock: Clock, timezone: str) -> "RiskEngine":
        """An engine with its rules checked and its profiles rebuilt from the database.

        `timezone`: the business's (IANA name), for hour, night and weekend. Raises as load_rules does.
        """
        rules = load_rules(rules_file)
        async with store.tx("risk rules") as tx:
            version = await rows.activate(tx, rules, clock.now())
        engine = cls(store, rules, version, clock, ZoneInfo(timezone))
        warm_up(rules)
        await engine.rebuild()
        return engine

    def decide(self, attempts: Sequence[Attempt]) -> list[Decision]:
        """Take a turn into the profiles and decide about each attempt, in the order given.

        Two calls with the same attempt count it twice: a turn that is tried again keeps its decisions.
        """
        if not attempts:
            return []
        values = self._profiles.observe(attempts)[:, self._columns]
        packed = values.astype("<f8", copy=False).tobytes()
        width = 8 * len(self._columns)
        return [
            Decision(attempt, outcome, reasons, self.version, packed[n * width : (n + 1) * width])
            for n, (attempt, (outcome, reasons)) in enumerate(
                zip(attempts, self.rules.decide(values), strict=True)
            )
        ]

    def words(self, decision: Decision, language: str = "en") -> list[tuple[str, str]]:
        """(rule, reason in words) for each rule that hit. `language`: "zh" or "en"."""
        if not decision.reasons:
            return []
        numbers = np.frombuffer(decision.features, "<f8").tolist()
        values = dict(zip(self.rules.features, numbers, strict=True))
        return [
            (rule.name, reason_in_words(rule, values, self.rules.reference, language))
            for rule in self.rules.rules
            if rule.name in decision.reasons
        ]

    async def write(self, tx: Tx, decisions: Sequence[Decision]) -> None:
        """The receipts, in one statement, within the transaction that books the payments."""
        if decisions:
            await rows.write_decisions(tx, decisions)

    def learn(self, labels: Sequence[Label]) -> int:
        """Count these labels from now on; how many payments of them are still remembered."""
        self._meanwhile += labels if self._rebuilding else ()
        return sum(self._profiles.learn(label.payment, fraud=label.fraud) for label in labels)

    async def write_labels(self, tx: Tx, labels: Sequence[Label]) -> None:
        """Keep labels; to be learnt when the transaction has committed."""
        if labels:
            await rows.write_labels(tx, labels, self._clock.now())

    async def rebuild(self) -> None:
        """Forget the profiles and live through the stored history again, in order of arrival.

        Decisions that are not committed yet are not in it.
        """
        profiles = self._empty()
        self._rebuilding = True
        try:
            await self._relive(profiles)
        finally:
            self._rebuilding = False
        self._profiles = profiles
        learnt, self._meanwhile = self._meanwhile, []
        self.learn(learnt)  # while we read; a label learnt twice counts once

    async def _relive(self, profiles: Profiles) -> None:
        async with self._store.tx("risk rebuild") as tx:
            first = await rows.first_to_remember(tx, 2 * WATERMARK_BLOCK, REMEMBERED)
            if first is not None:
                async for attempts in rows.attempts_from(tx, first, REBUILD_BATCH):
                    profiles.observe(attempts)
                async for labels in rows.labels_from(tx, first, REBUILD_BATCH):
                    for payment, fraud in labels:
                        profiles.learn(payment, fraud=fraud)

    def counts(self) -> dict[str, int]:
        """Profiles of each kind, payments remembered, and bytes of the arrays they stand in."""
        return self._profiles.counts()

    def _empty(self) -> Profiles:
        return Profiles(self.rules, self._zone)

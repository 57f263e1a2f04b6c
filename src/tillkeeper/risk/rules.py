"""The rule set, and what it makes of payments. Its file is read by rulefile.py."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tillkeeper.base import limits
from tillkeeper.risk.types import OUTCOMES

LOGIN_OUTCOMES: Final = ("allow", "ask_again", "block")
"""Of logins, from mild to severe."""

ON: Final = ("payment", "withdrawal", "login")
"""What a rule may be about: paying merchants and people, sending money to a bank, logging in."""

SEVERITY: Final = {name: n for n, name in enumerate(OUTCOMES)} | {"ask_again": 1, "block": 3}
CHALLENGE: Final = SEVERITY["challenge"]
WITHDRAWALS: Final = frozenset({"withdrawal", "payout"})
"""Kinds of attempts that leave for a bank."""


class Cap(msgspec.Struct, frozen=True):
    """How often a rule may hit within some time, before its circuit breaker weakens it."""

    count: int
    within_us: int


class Breaker(msgspec.Struct, frozen=True):
    """The cap of rules that have none: a share of the traffic, but never fewer than `at_least` hits."""

    share: float = limits.BREAKER_SHARE
    at_least: int = limits.BREAKER_LEAST
    within_us: int = limits.BREAKER_SECONDS * 1_000_000


class Bypass(msgspec.Struct, frozen=True):
    """A sample of would-be holds and challenges that is let through: a share of them, up to an amount.

    `up_to`: minor units of the reference currency.
    """

    share: float = 0.0
    up_to: int = 0


class Rule(msgspec.Struct, frozen=True):
    """One rule. `reads`: the features its condition needs, in the order `test` takes them.

    `on`: what it is about. `shadow`: its hits are noted and decide nothing. `until_us`: it hits nothing that happens from
    then on, microseconds since 1970 UTC. `at_most`: its circuit breaker, unset for the rule set's.
    """

    name: str
    version: int
    outcome: str
    when: str
    zh: str
    en: str
    reads: tuple[str, ...]
    test: Any = None
    on: tuple[str, ...] = ("payment",)
    shadow: bool = False
    until_us: int | None = None
    at_most: Cap | None = None

    def reason(self, language: str) -> str:
        """The reason's template in "zh" or "en"."""
        return self.zh if language == "zh" else self.en


class RuleSet(msgspec.Struct, frozen=True):
    """All rules that decide together, and the features their conditions and reasons read.

    `features`: of rules about payments and withdrawals, in the catalogue's order; `login_features`: of those about logins.
    `alerts_a_day`: what the analysts can look at.
    """

    source: str
    reference: str
    worth: dict[str, int]
    other: int
    rules: tuple[Rule, ...]
    features: tuple[str, ...]
    login_features: tuple[str, ...] = ()
    breaker: Breaker = Breaker()
    bypass: Bypass = Bypass()
    alerts_a_day: int = limits.ALERTS_A_DAY

    def hits(
        self,
        values: NDArray[np.float64],
        kinds: Sequence[str] | None = None,
        at_us: NDArray[np.int64] | None = None,
    ) -> NDArray[np.bool_]:
        """Which rules (rows) hit which payments (columns); `values` has a row a payment, a column a feature.

        `kinds` of the attempts, unset: all are payments. `at_us`: when they happened, for rules that end; unset: none has
        ended. Rules about logins hit no payment.
        """
        at = dict(zip(self.features, np.ascontiguousarray(values.T), strict=True))
        leaving = _leaving(kinds, len(values))
        found = np.zeros((len(self.rules), len(values)), np.bool_)
        for n, rule in enumerate(self.rules):
            where = _where(rule, leaving)
            if where is False:
                continue
            found[n] = rule.test(*[at[name] for name in rule.reads])
            if where is not True:
                found[n] &= where
            if rule.until_us is not None and at_us is not None:
                found[n] &= at_us < rule.until_us
        return found

    def decide(
        self,
        values: NDArray[np.float64],
        kinds: Sequence[str] | None = None,
        at_us: NDArray[np.int64] | None = None,
    ) -> list[tuple[str, tuple[str, ...]]]:
        """Outcome and the names of all rules that hit, for each payment: the severest outcome wins.

        By the rules alone, without what people put beside them: lists, mutes, circuit breakers. Arguments as of hits.
        """
        return self._named(self.hits(values, kinds, at_us), len(values))

    def login_hits(
        self, values: NDArray[np.float64], at_us: NDArray[np.int64] | None = None
    ) -> NDArray[np.bool_]:
        """Which rules (rows) hit which logins (columns); the columns of `values` are `login_features`."""
        at = {name: np.ascontiguousarray(values[:, n]) for n, name in enumerate(self.login_features)}
        found = np.zeros((len(self.rules), len(values)), np.bool_)
        for n, rule in enumerate(self.rules):
            if "login" in rule.on:
                found[n] = rule.test(*[at[name] for name in rule.reads])
                if rule.until_us is not None and at_us is not None:
                    found[n] &= at_us < rule.until_us
        return found

    def judge_logins(
        self, values: NDArray[np.float64], at_us: NDArray[np.int64] | None = None
    ) -> list[tuple[str, tuple[str, ...]]]:
        """Outcome (see LOGIN_OUTCOMES) and rules that hit, for each login; the columns are `login_features`."""
        return self._named(self.login_hits(values, at_us), len(values))

    def _named(self, hits: NDArray[np.bool_], count: int) -> list[tuple[str, tuple[str, ...]]]:
        decided: list[tuple[str, tuple[str, ...]]] = [ALLOWED] * count
        payments, rules = np.nonzero(hits.T)
        together: dict[int, list[Rule]] = {}
        for payment, rule in zip(payments.tolist(), rules.tolist(), strict=True):
            if not self.rules[rule].shadow:
                together.setdefault(payment, []).append(self.rules[rule])
        for payment, hit in together.items():
            outcome = max((rule.outcome for rule in hit), key=SEVERITY.__getitem__)
            decided[payment] = (outcome, tuple([rule.name for rule in hit]))
        return decided


ALLOWED: Final[tuple[str, tuple[str, ...]]] = ("allow", ())


def _leaving(kinds: Sequence[str] | None, count: int) -> NDArray[np.bool_] | None:
    """Which attempts leave for a bank; None when none does."""
    if kinds is None or WITHDRAWALS.isdisjoint(kinds):
        return None
    return np.fromiter((kind in WITHDRAWALS for kind in kinds), np.bool_, count)


def _where(rule: Rule, leaving: NDArray[np.bool_] | None) -> NDArray[np.bool_] | bool:
    """Which attempts a rule is about: all, none, or those marked."""
    paying, withdrawing = "payment" in rule.on, "withdrawal" in rule.on
    if leaving is None or paying == withdrawing:
        return paying
    return leaving if withdrawing else ~leaving

"""The rule set's file: readable TOML, read and checked whole before it may decide anything.

    reference = "CNY"            # what features of money are counted in, as minor units
    other = 100                  # like [worth], for currencies that are not listed there

    [worth]                      # minor units that are worth one major unit of the reference currency
    CNY = 100                    # (1 yuan = 100 fen = 14 US cents = 21 yen): for risk only, coarse and static
    USD = 14

    [bypass]                     # if you like: a sample of would-be holds and challenges is let through and marked, to
    share = 0.01                 # measure what stopping them is worth; at most 0.1, and
    up_to = 50_000               # only up to this amount, minor units of the reference currency

    [breaker]                    # if you like: no rule may hold or deny a larger share of the traffic than this,
    share = 0.5                  # once it hit `at_least` times `within` so long: beyond that it is weakened to a challenge
    at_least = 500
    within = "10m"

    [analysts]
    alerts_a_day = 100           # what your people can look at: alerts are ranked to it

    [[rule]]
    name = "busy_device"
    version = 1
    outcome = "challenge"        # challenge, hold or deny; of logins: ask_again or block
    when = "(device_customers_1h >= 3) & (amount < 5_000)"
    reason.zh = "该设备一小时内替 {device_customers_1h} 人付款"
    reason.en = "the device paid for {device_customers_1h} people within an hour"
    # and if you like:
    on = "payment"               # payment (to merchants and people), withdrawal, login, or several: ["payment", "withdrawal"]
    shadow = true                # only noted in the receipt
    until = 2026-12-01T00:00:00Z # then it ends by itself
    at_most = "30 in 10m"        # its own circuit breaker, in s, m or h

`when` is a numexpr expression over features (features.FEATURES). NaN, "not known", makes every comparison false.
"""

import ast
import difflib
import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from string import Formatter
from typing import Any, Final

import msgspec
import numexpr
import numpy as np

from tillkeeper.base import limits
from tillkeeper.base.clock import to_us
from tillkeeper.base.money import MoneyError, exponent
from tillkeeper.base.spans import span_seconds
from tillkeeper.risk.features import FEATURES, Feature, Unit
from tillkeeper.risk.rules import LOGIN_OUTCOMES, ON, Breaker, Bypass, Cap, Rule, RuleSet
from tillkeeper.risk.types import OUTCOMES

FUNCTIONS: Final = ("abs", "ceil", "exp", "floor", "log", "log10", "sqrt", "where")
LANGUAGES: Final = ("zh", "en")
# What a condition is made of. BoolOp (and, or) goes on to numexpr, which says best what to write instead.
_EXPRESSIONS: Final = (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name, ast.Constant)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_WORD: Final = re.compile(r"\b[a-z][a-z0-9_]*\b")
_RULE_HEAD: Final = re.compile(r"^\s*\[\[\s*rule\s*\]\]", re.MULTILINE)
_TABLE_HEAD: Final = re.compile(r"^\s*\[")
_AT_LINE: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")
_AT_MOST: Final = re.compile(r"([1-9][\d_]{0,9}) in (\S+)")
_HEAD: Final = ("reference", "other", "worth", "bypass", "breaker", "analysts", "rule")
_KEYS: Final = {"name", "version", "outcome", "when", "reason", "on", "shadow", "until", "at_most"}

# One thread: a turn is far too small to share out, and the other core has work of its own.
numexpr.set_num_threads(1)


class Fault(msgspec.Struct, frozen=True, order=True):
    """What is wrong with a rules file, and in which line."""

    line: int
    message: str


class BadRulesError(ValueError):
    """A rules file that must not decide. The message lists every fault as `file:line: reason`, up to a bound."""

    def __init__(self, name: str, faults: list[Fault]) -> None:
        faults = sorted(faults)
        if len(faults) > limits.RULE_FAULTS:
            more = len(faults) - limits.RULE_FAULTS
            last = faults[limits.RULE_FAULTS]
            faults = [*faults[: limits.RULE_FAULTS], Fault(last.line, f"and {more} more faults from here on")]
        super().__init__("\n".join(f"{name}:{fault.line}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


def read_rules(source: str, name: str, catalogue: Mapping[str, Feature] = FEATURES) -> RuleSet:
    """Read and check a rule set; `name` is the file's, for messages. `catalogue`: what rules may read.

    Raises BadRulesError with every fault found.
    """
    if too_much := _too_much(source):
        raise BadRulesError(name, [Fault(1, too_much)])
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise BadRulesError(name, [_syntax_fault(source, error)]) from None
    check = _Check(source, document, catalogue)
    check.head()
    check.every_rule()
    if check.faults:
        raise BadRulesError(name, check.faults)
    return RuleSet(
        source=source,
        reference=document["reference"],
        worth=document["worth"],
        other=document["other"],
        rules=tuple(check.rules),
        features=_read_by(check.rules, catalogue, frozenset({"payment", "withdrawal"})),
        login_features=_read_by(check.rules, catalogue, frozenset({"login"})),
        breaker=check.breaker,
        bypass=check.bypass,
        alerts_a_day=check.alerts_a_day,
    )


@lru_cache(maxsize=8)
def stored_rules(source: str) -> RuleSet:
    """Rules that were accepted once, to be looked at, not to decide by: whatever they read was a feature then, though an
    installation declared it, or retired it since.
    """
    told = set(_WORD.findall(source)) - FEATURES.keys()
    theirs = {name: Feature(-1, name, Unit.RATIO, name, name) for name in sorted(told)}
    return read_rules(source, "stored rules", {**FEATURES, **theirs})


def with_rule(source: str, rule: str) -> str:
    """A rule set's text with one rule more: the text of a [[rule]] table."""
    return f"{source.rstrip()}\n\n{rule.strip()}\n"


def _read_by(rules: list[Rule], catalogue: Mapping[str, Feature], on: frozenset[str]) -> tuple[str, ...]:
    named = {
        feature
        for rule in rules
        if not on.isdisjoint(rule.on)
        for feature in (*rule.reads, *_named(rule.zh), *_named(rule.en))
    }
    return tuple(feature for feature in catalogue if feature in named)


def _too_much(source: str) -> str:
    """Why a text is not even read; empty when it is. Reading thousands of rules takes seconds."""
    if (count := sum(1 for _ in _RULE_HEAD.finditer(source))) > limits.MAX_RULES:
        return f"{count} rules are more than {limits.MAX_RULES}: keep those that are worth it, `till risk backtest` says which"
    if len(source.encode()) > limits.MAX_RULES_TEXT:
        return f"the text is longer than {limits.MAX_RULES_TEXT} bytes"
    return ""


def _syntax_fault(source: str, error: tomllib.TOMLDecodeError) -> Fault:
    text = str(error)
    found = _AT_LINE.search(text)
    line = int(found[1]) if found and found[1] else len(source.splitlines()) or 1
    return Fault(line, f"not TOML: {_AT_LINE.sub('', text)}")


class _Check:
    """Collects every fault of one document, with its line."""

    def __init__(self, source: str, document: dict[str, Any], catalogue: Mapping[str, Feature]) -> None:
        self.document = document
        self.catalogue = catalogue
        self.lines = source.splitlines()
        self.heads = [source.count("\n", 0, m.start(0) + len(m[0])) + 1 for m in _RULE_HEAD.finditer(source)]
        self.rules: list[Rule] = []
        self.faults: list[Fault] = []
        self.breaker = Breaker()
        self.bypass = Bypass()
        self.alerts_a_day = limits.ALERTS_A_DAY

    def fault(self, begin: int, key: str, message: str) -> None:
        """Note a fault at the line of `key` within the table that begins at line `begin`."""
        line = begin
        for number in range(begin, len(self.lines) + 1):
            text = self.lines[number - 1] if number else ""
            if number > begin and _TABLE_HEAD.match(text):
                break
            if re.match(rf"\s*{re.escape(key)}\s*=", text):
                line = number
                break
        self.faults.append(Fault(max(line, 1), message))

    def head(self) -> None:
        """The keys before the rules."""
        for key in self.document.keys() - set(_HEAD):
            known = "reference, other, [worth], [bypass], [breaker], [analysts] and [[rule]]"
            self.fault(0, key, f"{key!r} is not known here; there are {known}")
        reference = self.document.get("reference")
        if not _is_currency(reference):
            self.fault(0, "reference", f"reference must be an ISO 4217 currency, not {reference!r}")
        if not _positive(self.document.get("other")):
            self.fault(0, "other", "other must be a positive integer")
        self._worth(reference)
        self._bypass()
        self._breaker()
        self._analysts()

    def _table(self, name: str, keys: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
        """A table of the head with its line; a fault for what it does not have."""
        begin = next((n for n, line in enumerate(self.lines, 1) if line.strip() == f"[{name}]"), 1)
        table = self.document.get(name, {})
        if not isinstance(table, dict):
            self.fault(0, name, f"{name} is a table, written [{name}]")
            return begin, {}
        for key in table.keys() - set(keys):
            self.fault(begin, key, f"{key!r} is not part of [{name}]; there are {', '.join(keys)}")
        return begin, table

    def _worth(self, reference: Any) -> None:
        worth = self.document.get("worth")
        begin = next((n for n, line in enumerate(self.lines, 1) if line.strip() == "[worth]"), 1)
        if not isinstance(worth, dict):
            self.fault(begin, "worth", "the table [worth] is missing")
            return
        for currency, units in worth.items():
            if not _is_currency(currency):
                self.fault(begin, currency, f"{currency} is not an ISO 4217 currency")
            elif not _positive(units):
                self.fault(begin, currency, f"{currency} must be a positive integer")
        if _is_currency(reference) and worth.get(reference) != 10 ** exponent(reference):
            expected = 10 ** exponent(reference)
            self.fault(begin, reference, f"the reference currency is worth itself: {reference} = {expected}")

    def _bypass(self) -> None:
        begin, table = self._table("bypass", ("share", "up_to"))
        share, up_to = table.get("share", 0), table.get("up_to", 0)
        if not _share(share, limits.BYPASS_MOST):
            self.fault(begin, "share", f"share must be from 0 to {limits.BYPASS_MOST}")
        elif share and not _positive(up_to):
            self.fault(
                begin, "up_to", "up_to must be a positive integer: the largest amount that is let through"
            )
        else:
            self.bypass = Bypass(share, up_to)

    def _breaker(self) -> None:
        begin, table = self._table("breaker", ("share", "at_least", "within"))
        usual = Breaker()
        share, least = table.get("share", usual.share), table.get("at_least", usual.at_least)
        within = _span(table.get("within", f"{limits.BREAKER_SECONDS}s"))
        if not _share(share, 1) or not share:
            self.fault(begin, "share", "share must be above 0 and at most 1")
        elif not _positive(least):
            self.fault(begin, "at_least", "at_least must be a positive integer")
        elif within is None:
            self.fault(begin, "within", _SPAN_WANTED)
        else:
            self.breaker = Breaker(share, least, within)

    def _analysts(self) -> None:
        begin, table = self._table("analysts", ("alerts_a_day",))
        wanted = table.get("alerts_a_day", limits.ALERTS_A_DAY)
        if _positive(wanted):
            self.alerts_a_day = wanted
        else:
            self.fault(begin, "alerts_a_day", "alerts_a_day must be a positive integer")

    def every_rule(self) -> None:
        """The rules, in their order."""
        tables = self.document.get("rule", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.fault(0, "rule", "rules are written as tables, each under its own [[rule]]")
            return
        if len(tables) > limits.MAX_RULES:
            self.faults.append(Fault(1, f"{len(tables)} rules are more than {limits.MAX_RULES}"))
            return
        # Heads inside a multi-line string would shift the lines: then every fault points at the first rule.
        heads = self.heads if len(self.heads) == len(tables) else [min(self.heads, default=1)] * len(tables)
        seen: dict[str, int] = {}
        for begin, table in zip(heads, tables, strict=True):
            before = len(self.faults)
            rule = self._rule(begin, table)
            if rule.name in seen:
                self.fault(begin, "name", f"the name {rule.name!r} was used in line {seen[rule.name]}")
            seen.setdefault(rule.name, begin)
            if len(self.faults) == before:
                self.rules.append(rule)

    def _rule(self, begin: int, table: dict[str, Any]) -> Rule:
        for key in table.keys() - _KEYS:
            self.fault(begin, key, f"{key!r} is not part of a rule")
        name = table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.fault(
                begin, "name", f"name = {name!r}: small letters, digits and _, a letter first, at most 48"
            )
        if not _positive(table.get("version")):
            self.fault(begin, "version", "version must be a positive integer")
        on = self._on(begin, table.get("on", "payment"))
        outcome = self._outcome(begin, table.get("outcome"), on)
        if not isinstance(shadow := table.get("shadow", False), bool):
            self.fault(begin, "shadow", "shadow must be true or false")
        zh, en = (self._reason(begin, table.get("reason"), language) for language in LANGUAGES)
        when = " ".join(str(table.get("when", "")).split())
        reads, test = self._condition(begin, when)
        return Rule(
            str(name), table.get("version", 0), outcome, when, zh, en, reads, test,
            on, bool(shadow), self._until(begin, table.get("until")), self._at_most(begin, table.get("at_most")),
        )  # fmt: skip

    def _on(self, begin: int, on: Any) -> tuple[str, ...]:
        wanted = [on] if isinstance(on, str) else on
        if not isinstance(wanted, list) or not wanted or any(each not in ON for each in wanted):
            self.fault(begin, "on", f"on = {on!r} must be of {', '.join(ON)}")
            return ("payment",)
        if "login" in wanted and len(wanted) > 1:
            self.fault(begin, "on", "a rule about logins is about nothing else: their features differ")
        return tuple(each for each in ON if each in wanted)

    def _outcome(self, begin: int, outcome: Any, on: tuple[str, ...]) -> str:
        known = LOGIN_OUTCOMES[1:] if "login" in on else OUTCOMES[1:]
        if outcome not in known:
            self.fault(begin, "outcome", f"outcome = {outcome!r} must be one of {', '.join(known)}")
        return str(outcome)

    def _until(self, begin: int, until: Any) -> int | None:
        if until is None:
            return None
        if isinstance(until, datetime) and until.tzinfo is not None:
            return to_us(until)
        self.fault(
            begin, "until", "until must be a moment with its zone, without quotes: 2026-12-01T00:00:00Z"
        )
        return None

    def _at_most(self, begin: int, at_most: Any) -> Cap | None:
        if at_most is None:
            return None
        found = _AT_MOST.fullmatch(at_most) if isinstance(at_most, str) else None
        within = _span(found[2]) if found else None
        if found is None or within is None:
            self.fault(begin, "at_most", f'at_most is written "30 in 10m"; {_SPAN_WANTED}')
            return None
        if (count := int(found[1])) > limits.BREAKER_MOST:
            self.fault(begin, "at_most", f"at_most counts up to {limits.BREAKER_MOST}")
        return Cap(count, within)

    def _reason(self, begin: int, reasons: Any, language: str) -> str:
        key = f"reason.{language}"
        text = reasons.get(language) if isinstance(reasons, dict) else None
        if not isinstance(text, str) or not text.strip():
            self.fault(begin, key, f"{key} is missing")
            return ""
        try:
            parts = list(Formatter().parse(text))
        except ValueError as error:
            self.fault(begin, key, f"{key}: {error}")
            return ""
        for _, field, spec, conversion in parts:
            if field is not None and field not in self.catalogue:
                self.fault(begin, key, f"{key}: {{{field}}} is not {_alternative(field, self.catalogue)}")
            elif spec or conversion:
                self.fault(begin, key, f"{key}: write {{{field}}} alone; its unit says how it is shown")
        return text

    def _condition(self, begin: int, when: str) -> tuple[tuple[str, ...], Any]:
        if not when:
            self.fault(begin, "when", "when is missing")
            return (), None
        if len(when) > limits.MAX_CONDITION:
            self.fault(begin, "when", f"when is longer than {limits.MAX_CONDITION} characters")
            return (), None
        try:
            reads = _names(when, self.catalogue)
            test = numexpr.NumExpr(when, [(name, np.float64) for name in reads])
            result = test(*[np.zeros(1)] * len(reads))
        except _ConditionError as error:
            self.fault(begin, "when", f"when: {error}")
        except Exception as error:  # noqa: BLE001 - whatever numexpr makes of a wrong expression is the reason to give
            self.fault(
                begin, "when", f"when: {type(error).__name__}: {error}; write (a > 1) & (b < 2), each in ( )"
            )
        else:
            if result.dtype == np.bool_:
                return reads, test
            self.fault(begin, "when", "when must be true or false: compare something")
        return (), None


class _ConditionError(Exception):
    pass


def _names(when: str, catalogue: Mapping[str, Feature]) -> tuple[str, ...]:
    """The features of a condition, sorted. Raises _ConditionError or SyntaxError."""
    tree = ast.parse(when, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and not isinstance(node, _EXPRESSIONS):
            raise _ConditionError(f"{ast.unparse(node)} is not understood: compare features and numbers")
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    if strange := sorted(called - set(FUNCTIONS)):
        raise _ConditionError(f"{strange[0]}() is not known; there are {', '.join(FUNCTIONS)}")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - called
    if unknown := sorted(names - catalogue.keys()):
        raise _ConditionError("; ".join(f"{name} is not {_alternative(name, catalogue)}" for name in unknown))
    if not names:
        raise _ConditionError("no feature is read, so it is the same for every payment")
    return tuple(sorted(names))


def _alternative(name: str, catalogue: Mapping[str, Feature]) -> str:
    close = difflib.get_close_matches(name, catalogue, 1)
    return f"a feature; {close[0]} is" if close else "a feature"


def _named(template: str) -> list[str]:
    return [field for _, field, _, _ in Formatter().parse(template) if field]


_SPAN_WANTED: Final = f"a time is written 90s, 10m or 2h, up to {limits.BREAKER_LONGEST_SECONDS // 3600}h"


def _span(text: Any) -> int | None:
    """Microseconds of "90s", "10m" or "2h"; None of anything else, and of what is too long."""
    seconds = (span_seconds(text) if isinstance(text, str) else None) or 0
    return seconds * 1_000_000 if 0 < seconds <= limits.BREAKER_LONGEST_SECONDS else None


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _share(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _is_currency(code: Any) -> bool:
    try:
        return isinstance(code, str) and exponent(code) >= 0
    except MoneyError:
        return False

"""The rule set: a readable TOML file, read and checked whole before it may decide anything.

    reference = "CNY"            # what features of money are counted in, as minor units
    other = 100                  # like [worth], for currencies that are not listed there

    [worth]                      # minor units that are worth one major unit of the reference currency
    CNY = 100                    # (1 yuan = 100 fen = 14 US cents = 21 yen): for risk only, coarse and static
    USD = 14

    [[rule]]
    name = "busy_device"
    version = 1
    outcome = "challenge"        # challenge, hold or deny
    when = "(device_customers_1h >= 3) & (amount < 5_000)"
    reason.zh = "该设备一小时内替 {device_customers_1h} 人付款"
    reason.en = "the device paid for {device_customers_1h} people within an hour"

`when` is a numexpr expression over features (features.FEATURES). NaN, "not known", makes every comparison false.
"""

import ast
import difflib
import re
import tomllib
from string import Formatter
from typing import Any, Final

import msgspec
import numexpr
import numpy as np
from numpy.typing import NDArray

from tillkeeper.base.money import MoneyError, exponent
from tillkeeper.risk.features import FEATURES
from tillkeeper.risk.types import OUTCOMES

FUNCTIONS: Final = ("abs", "ceil", "exp", "floor", "log", "log10", "sqrt", "where")
LANGUAGES: Final = ("zh", "en")
# What a condition is made of. BoolOp (and, or) goes on to numexpr, which says best what to write instead.
_EXPRESSIONS: Final = (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name, ast.Constant)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_RULE_HEAD: Final = re.compile(r"^\s*\[\[\s*rule\s*\]\]", re.MULTILINE)
_TABLE_HEAD: Final = re.compile(r"^\s*\[")
_AT_LINE: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")
MAX_RULES: Final = 200

# One thread: a turn is far too small to share out, and the other core has work of its own.
numexpr.set_num_threads(1)


class Fault(msgspec.Struct, frozen=True, order=True):
    """What is wrong with a rules file, and in which line."""

    line: int
    message: str


class BadRulesError(ValueError):
    """A rules file that must not decide. The message lists every fault as `file:line: reason`."""

    def __init__(self, name: str, faults: list[Fault]) -> None:
        super().__init__("\n".join(f"{name}:{fault.line}: {fault.message}" for fault in sorted(faults)))
        self.faults = tuple(sorted(faults))


class Rule(msgspec.Struct, frozen=True):
    """One rule. `reads`: the features its condition needs, in the order `test` takes them."""

    name: str
    version: int
    outcome: str
    when: str
    zh: str
    en: str
    reads: tuple[str, ...]
    test: Any = None

    def reason(self, language: str) -> str:
        """The reason's template in "zh" or "en"."""
        return self.zh if language == "zh" else self.en


class RuleSet(msgspec.Struct, frozen=True):
    """All rules that decide together, and the features their conditions and reasons read."""

    source: str
    reference: str
    worth: dict[str, int]
    other: int
    rules: tuple[Rule, ...]
    features: tuple[str, ...]

    def hits(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which rules (rows) hit which payments (columns); `values` has a row a payment, a column a feature."""
        at = {name: values[:, n].copy() for n, name in enumerate(self.features)}
        found = np.empty((len(self.rules), len(values)), np.bool_)
        for n, rule in enumerate(self.rules):
            found[n] = rule.test(*[at[name] for name in rule.reads])
        return found

    def decide(self, values: NDArray[np.float64]) -> list[tuple[str, tuple[str, ...]]]:
        """Outcome and the names of all rules that hit, for each payment: the severest outcome wins."""
        decided: list[tuple[str, tuple[str, ...]]] = [ALLOWED] * len(values)
        payments, rules = np.nonzero(self.hits(values).T)
        together: dict[int, list[Rule]] = {}
        for payment, rule in zip(payments.tolist(), rules.tolist(), strict=True):
            together.setdefault(payment, []).append(self.rules[rule])
        for payment, hit in together.items():
            outcome = max((rule.outcome for rule in hit), key=OUTCOMES.index)
            decided[payment] = (outcome, tuple([rule.name for rule in hit]))
        return decided


ALLOWED: Final[tuple[str, tuple[str, ...]]] = ("allow", ())


def read_rules(source: str, name: str) -> RuleSet:
    """Read and check a rule set; `name` is the file's, for messages. Raises BadRulesError with every fault found."""
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise BadRulesError(name, [_syntax_fault(source, error)]) from None
    check = _Check(source, document)
    check.head()
    check.every_rule()
    if check.faults:
        raise BadRulesError(name, check.faults)
    named = {feature for rule in check.rules for feature in (*rule.reads, *_named(rule.zh), *_named(rule.en))}
    return RuleSet(
        source=source,
        reference=document["reference"],
        worth=document["worth"],
        other=document["other"],
        rules=tuple(check.rules),
        features=tuple(feature for feature in FEATURES if feature in named),
    )


def _syntax_fault(source: str, error: tomllib.TOMLDecodeError) -> Fault:
    text = str(error)
    found = _AT_LINE.search(text)
    line = int(found[1]) if found and found[1] else len(source.splitlines()) or 1
    return Fault(line, f"not TOML: {_AT_LINE.sub('', text)}")


class _Check:
    """Collects every fault of one document, with its line."""

    def __init__(self, source: str, document: dict[str, Any]) -> None:
        self.document = document
        self.lines = source.splitlines()
        self.heads = [source.count("\n", 0, m.start(0) + len(m[0])) + 1 for m in _RULE_HEAD.finditer(source)]
        self.rules: list[Rule] = []
        self.faults: list[Fault] = []

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
        for key in self.document.keys() - {"reference", "other", "worth", "rule"}:
            self.fault(0, key, f"{key!r} is not known here; there are reference, other, [worth] and [[rule]]")
        reference = self.document.get("reference")
        if not _is_currency(reference):
            self.fault(0, "reference", f"reference must be an ISO 4217 currency, not {reference!r}")
        if not _positive(self.document.get("other")):
            self.fault(0, "other", "other must be a positive integer")
        self._worth(reference)

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

    def every_rule(self) -> None:
        """The rules, in their order."""
        tables = self.document.get("rule", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.fault(0, "rule", "rules are written as tables, each under its own [[rule]]")
            return
        if len(tables) > MAX_RULES:
            self.faults.append(Fault(1, f"{len(tables)} rules are more than {MAX_RULES}"))
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
        for key in table.keys() - {"name", "version", "outcome", "when", "reason"}:
            self.fault(begin, key, f"{key!r} is not part of a rule")
        name = table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.fault(
                begin, "name", f"name = {name!r}: small letters, digits and _, a letter first, at most 48"
            )
        if not _positive(table.get("version")):
            self.fault(begin, "version", "version must be a positive integer")
        outcome = table.get("outcome")
        if outcome not in OUTCOMES[1:]:
            self.fault(begin, "outcome", f"outcome = {outcome!r} must be one of {', '.join(OUTCOMES[1:])}")
        zh, en = (self._reason(begin, table.get("reason"), language) for language in LANGUAGES)
        when = " ".join(str(table.get("when", "")).split())
        reads, test = self._condition(begin, when)
        return Rule(str(name), table.get("version", 0), str(outcome), when, zh, en, reads, test)

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
            if field is not None and field not in FEATURES:
                self.fault(begin, key, f"{key}: {{{field}}} is not {_alternative(field)}")
            elif spec or conversion:
                self.fault(begin, key, f"{key}: write {{{field}}} alone; its unit says how it is shown")
        return text

    def _condition(self, begin: int, when: str) -> tuple[tuple[str, ...], Any]:
        if not when:
            self.fault(begin, "when", "when is missing")
            return (), None
        try:
            reads = _names(when)
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


def _names(when: str) -> tuple[str, ...]:
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
    if unknown := sorted(names - FEATURES.keys()):
        raise _ConditionError("; ".join(f"{name} is not {_alternative(name)}" for name in unknown))
    if not names:
        raise _ConditionError("no feature is read, so it is the same for every payment")
    return tuple(sorted(names))


def _alternative(name: str) -> str:
    close = difflib.get_close_matches(name, FEATURES, 1)
    return f"a feature; {close[0]} is" if close else "a feature"


def _named(template: str) -> list[str]:
    return [field for _, field, _, _ in Formatter().parse(template) if field]


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_currency(code: Any) -> bool:
    try:
        return isinstance(code, str) and exponent(code) >= 0
    except MoneyError:
        return False

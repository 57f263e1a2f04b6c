"""The rule book: one readable TOML file of objectives and alert rules, read and checked whole before it may watch anything.

    [[objective]]
    name = "payments_success"
    measure = "payments.success_rate"
    target = 99.9
    owner = "operator"
    title = { en = "Payments succeed", zh = "支付成功" }

    [[rule]]
    kind = "threshold"             # threshold, absence, anomaly, running, money, warned, undelivered
    name = "disk_filling"
    ...

What each field means stands in types.py and, for people, in docs/operating/alerts.md.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from tillkeeper.monitoring.alerting.types import (
    Absence,
    Anomaly,
    Objective,
    Rule,
    RuleBook,
    Threshold,
    Warned,
)
from tillkeeper.risk import warning

FILE: Final = "objectives.toml"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{2,47}")
_ROLES: Final = frozenset({"operator", "risk_analyst", "support", "security", "developer", "system_admin"})
MAX_RULES: Final = 200


class BadBookError(ValueError):
    """A rule book that must not watch. The message names the file, every fault, and what to write instead."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    objective: tuple[Objective, ...] = ()
    rule: tuple[Rule, ...] = ()


def own_text() -> str:
    """The rule book that comes with the package."""
    return files("tillkeeper.monitoring").joinpath(FILE).read_text("utf-8")


def read_book(path: Path | None, measures: Collection[str]) -> RuleBook:
    """The rule book of a file, or the package's own. Raises BadBookError."""
    try:
        text = path.read_text("utf-8") if path is not None else own_text()
    except OSError as error:
        raise BadBookError(f"TILL_OBJECTIVES_FILE: {path} cannot be read: {error.strerror}") from error
    return parse(text, str(path or FILE), measures)


def parse(text: str, name: str, measures: Collection[str]) -> RuleBook:
    """A rule book's text, checked. Raises BadBookError."""
    try:
        read = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadBookError(f"{name}: {error}") from error
    book = RuleBook(read.objective, read.rule)
    if faults := list(_faults(book, measures)):
        raise BadBookError("\n".join(f"{name}: {fault}" for fault in faults))
    return book


def _faults(book: RuleBook, measures: Collection[str]) -> Iterator[str]:
    everything = (*book.objectives, *book.rules)
    if len(everything) > MAX_RULES:
        yield f"{len(everything)} objectives and rules; at most {MAX_RULES}"
    seen: set[str] = set()
    for each in everything:
        if not _NAME.fullmatch(each.name):
            yield f"{each.name}: a name is lower-case letters, digits and _"
        if each.name in seen:
            yield f"{each.name}: there are two of that name"
        seen.add(each.name)
        if each.owner not in _ROLES:
            yield f"{each.name}: owner: one of {', '.join(sorted(_ROLES))}"
        if each.component is not None and each.public is None:
            yield f"{each.name}: public: say what customers may read about {each.component}"
        yield from _faults_of(each, measures)


def _faults_of(each: Rule | Objective, measures: Collection[str]) -> Iterator[str]:
    if isinstance(each, Threshold | Absence | Anomaly | Objective) and each.measure not in measures:
        near = difflib.get_close_matches(each.measure, measures, 1, 0.4)
        hint = f": did you mean {near[0]}?" if near else ""
        yield f"{each.name}: nothing measures {each.measure}{hint}"
    if isinstance(each, Warned) and (strange := set(each.signals) - set(warning.KINDS)):
        yield f"{each.name}: signals: there is no {', '.join(sorted(strange))}; there are {', '.join(warning.KINDS)}"
    if isinstance(each, Threshold) and (each.over is None) == (each.under is None):
        yield f"{each.name}: either over or under"
    if isinstance(each, Threshold | Absence | Anomaly) and not 0 < each.seconds <= 3600:
        yield f"{each.name}: seconds: up to 3600"
    if isinstance(each, Objective):
        if not 50 <= each.target < 100:
            yield f"{each.name}: target: percent, from 50 to below 100"
        if each.at_most is not None and each.at_least is not None:
            yield f"{each.name}: either at_most or at_least"
    elif each.for_seconds < 0 or each.clear_seconds < 0 or each.absent_seconds < 0:
        yield f"{each.name}: seconds are not below 0"

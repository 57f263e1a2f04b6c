"""The language features are declared in. One declaration is compiled three ways: live state, DuckDB, Spark.

    [[feature]]
    name = "customer_logins_failed_{window}"   # {window} stands for each of the windows
    entity = "customer"        # whose history: customer, payee, device, ip, network, or received (the customer as payee)
    event = "login"            # what is counted: payment (unless said otherwise), login or setting
    where = "succeeded == 0"   # only such events; an expression over the event's own columns (NUMBERS, FOUND, TEXTS)
    aggregate = "count"        # see AGGREGATES
    window = ["1h", "24h"]     # (t - window, t], t being the time of what is decided; at most 30d
    unit = "count"             # see Unit
    zh = "客户 {window}内登录失败次数"
    en = "failed logins of the customer within {window}"

Also: `of` (the column that is summed, or whose values are told apart), `delay` (the window ends that long ago: the label
delay, at most 7d), `frauds = true` (only known frauds), `past = true` (without the event that is decided itself), `version`.
Instead of an aggregate, `value` gives an expression over features declared before and over the decided event's own columns
(this_amount, this_kind, ...), and `by = "engine"` says that the engine fills it in.
"""

import re
import tomllib
from enum import StrEnum
from typing import Any, Final

import msgspec

from tillkeeper.base.spans import span_seconds
from tillkeeper.risk import expressions
from tillkeeper.risk.expressions import BadExpressionError, Expression

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
DAY_US: Final = 1440 * MINUTE_US
LONGEST_WINDOW_US: Final = 30 * DAY_US
LONGEST_DELAY_US: Final = 7 * DAY_US
ENTITIES: Final = ("customer", "payee", "device", "ip", "received", "network")
EVENTS: Final = ("payment", "login", "setting")

AGGREGATES: Final = {
    "count": "events",
    "sum": "sum of a column",
    "mean": "mean of a column",
    "max": "largest value of a column",
    "min": "smallest value of a column",
    "distinct": "different values of a column",
    "last": "value of a column in the latest event",
    "first": "value of a column in the oldest event",
    "age": "seconds since the latest event",
    "age_of_first": "seconds since the oldest event",
    "frauds": "known frauds",
    "rate": "known frauds over events",
    "run": "known frauds since the last event that is none",
    "ratio": "the decided event's value over the mean",
    "z_score": "the decided event's distance from the mean in standard deviations",
    "known_for": "seconds since the pair with another entity was first seen, without 30 days of silence; at most 7 d",
    "new": "1 if the pair with another entity was not seen within 30 days",
    "distance": "km from the place of the latest event that had one",
    "speed": "km/h since then; a minute at least is taken to have passed",
}
ONLY_BUILT_IN: Final = ("ratio", "z_score", "known_for", "new", "distance", "speed")
"""Kept by the windows for the customer's payments only."""
_NEEDS_COLUMN: Final = ("sum", "mean", "max", "min", "distinct", "last", "first", "ratio", "z_score")
_NEEDS_OTHER: Final = ("known_for", "new")

NUMBERS: Final = {
    "payment": ("amount", "hour", "weekday"),
    "login": ("succeeded", "score", "hour", "weekday"),
    "setting": ("hour", "weekday"),
}
"""Columns of each event that are numbers: amount in minor units of the reference currency, score 0 to 1 in millionths."""
FOUND: Final = {"payment": ("ratio",), "login": (), "setting": ()}
"""Numbers that are found out about an event when it happens, for `where`: a payment's feature `ratio` as it was then."""
TEXTS: Final = {"payment": ("kind",), "login": ("country",), "setting": ("kind",)}
KEYS: Final = {
    "payment": ("customer", "payee", "device", "ip"),
    "login": ("customer", "device", "ip", "network"),
    "setting": ("customer", "device", "ip"),
}
"""Columns that name somebody: their different values can be counted."""
THIS: Final = ("this_amount", "this_late_s", "this_hour", "this_weekday", "this_kind")
"""The decided payment's own columns, for `value`."""
SCORE_SCALE: Final = 1_000_000
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_TEMPLATE: Final = "{window}"
_SPAN_WORDS: Final = {
    "s": ("秒", "second"),
    "m": ("分钟", "minute"),
    "h": ("小时", "hour"),
    "d": ("天", "day"),
}


class Unit(StrEnum):
    """How a feature's value is read and shown."""

    COUNT = "count"
    MONEY = "money"
    RATIO = "ratio"
    SHARE = "share"
    SECONDS = "seconds"
    KM = "km"
    KMH = "km/h"
    FLAG = "flag"
    HOUR = "hour"


class Declaration(msgspec.Struct, frozen=True):
    """One feature, declared. Spans are in microseconds; "" and 0 stand for what is not given."""

    name: str
    unit: Unit
    zh: str
    en: str
    version: int = 1
    entity: str = ""
    event: str = "payment"
    aggregate: str = ""
    of: str = ""
    window: str = ""
    window_us: int = 0
    delay_us: int = 0
    where: Expression | None = None
    frauds: bool = False
    past: bool = False
    value: Expression | None = None

    def reads(self) -> tuple[str, ...]:
        """The features its value is computed from."""
        values = self.value.names if self.value else ()
        found = self.where.names if self.where else ()
        return tuple(
            [name for name in values if name not in THIS]
            + [name for name in found if name in FOUND[self.event]]
        )


class BadDeclarationsError(ValueError):
    """Declarations that cannot be used. The message has a line for every fault: the feature, the field, the remedy."""

    def __init__(self, name: str, faults: list[str]) -> None:
        super().__init__("\n".join(f"{name}: {fault}" for fault in faults))
        self.faults = tuple(faults)


def read_declarations(source: str, name: str, known: tuple[str, ...] = ()) -> tuple[Declaration, ...]:
    """Read a file of declarations. `known`: the features there are already. Raises BadDeclarationsError."""
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise BadDeclarationsError(name, [f"not TOML: {error}"]) from None
    reading = _Reading(known)
    tables = document.pop("feature", [])
    if document or not isinstance(tables, list):
        reading.faults.append("write every feature under its own [[feature]], and nothing else")
    for number, table in enumerate(tables if isinstance(tables, list) else [], 1):
        reading.family(table, number)
    if reading.faults:
        raise BadDeclarationsError(name, reading.faults)
    return tuple(reading.found)


def as_json(one: Declaration) -> str:
    """A declaration as it is kept: what was written, for this one window."""
    delay = f"{one.delay_us // SECOND_US}s" if one.delay_us else ""
    where, value = (each.source if each else "" for each in (one.where, one.value))
    table = _Table(
        one.name, one.unit, one.zh, one.en, one.version, one.entity, one.event, one.aggregate, one.of, one.window,
        delay, where, one.frauds, one.past, value,
    )  # fmt: skip
    return msgspec.json.encode(table).decode()


def from_json(source: str, name: str, known: tuple[str, ...]) -> tuple[Declaration, ...]:
    """What as_json wrote. Raises BadDeclarationsError when this release reads it differently."""
    reading = _Reading(known)
    reading.family(msgspec.json.decode(source), 1)
    if reading.faults:
        raise BadDeclarationsError(name, reading.faults)
    return tuple(reading.found)


def span_us(text: str) -> int:
    """`90m`, `24h`, `7d` in microseconds; 0 if it is not written like that."""
    return (span_seconds(text) or 0) * SECOND_US


def span_words(text: str) -> tuple[str, str]:
    """A span in Chinese and English: `24 小时`, `24 hours`."""
    if span_seconds(text) is None:
        return text, text
    number, (zh, en) = text[:-1], _SPAN_WORDS[text[-1]]
    return f"{number} {zh}", f"{number} {en}{'' if number == '1' else 's'}"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A [[feature]] as it is written."""

    name: str
    unit: Unit
    zh: str
    en: str
    version: int = 1
    entity: str = ""
    event: str = "payment"
    aggregate: str = ""
    of: str = ""
    window: str | list[str] = ""
    delay: str = ""
    where: str = ""
    frauds: bool = False
    past: bool = False
    value: str = ""
    by: str = ""


class _Reading:
    """Declarations in their order, and every fault."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self.names = list(known)
        self.found: list[Declaration] = []
        self.faults: list[str] = []

    def family(self, table: Any, number: int) -> None:
        """A [[feature]]: one feature, or one for each of its windows."""
        label = table.get("name", f"feature {number}") if isinstance(table, dict) else f"feature {number}"
        try:
            one = msgspec.convert(table, _Table)
        except msgspec.ValidationError as error:
            self.faults.append(f"{label}: {error}")
            return
        windows = one.window if isinstance(one.window, list) else [one.window]
        if len(windows) > 1 and _TEMPLATE not in one.name:
            self.faults.append(f"{label}: name: several windows need {_TEMPLATE} in it")
        for window in windows:
            faults = list(self._faults(one, window))
            self.faults += [f"{label}: {fault}" for fault in faults]
            if not faults:
                made = self._made(one, window, label)
                self.found += [made] if made else []

    def _faults(self, one: _Table, window: str) -> list[str]:
        name = one.name.replace(_TEMPLATE, window)
        found = []
        if not _NAME.fullmatch(name):
            found.append("name: small letters, digits and _, a letter first, at most 48")
        if name in self.names:
            found.append(f"name: there is a feature {name} already; a changed one needs another name")
        if name in THIS:
            found.append(f"name: {name} is what the decided payment's own column is called")
        if one.version < 1:
            found.append("version: counted from 1")
        if not one.zh.strip() or not one.en.strip():
            found.append("zh, en: say in both languages what it means")
        if [bool(one.aggregate), bool(one.value), bool(one.by)].count(True) != 1:
            found.append("give one of aggregate, value, by")
        if one.by not in {"", "engine"}:
            found.append('by: only "engine"')
        return found + (_aggregate_faults(one, window) if one.aggregate else [])

    def _made(self, one: _Table, window: str, label: str) -> Declaration | None:
        name, (zh, en) = one.name.replace(_TEMPLATE, window), span_words(window)
        try:
            where = self._where(one)
            value = expressions.read(one.value, (*self.names, *THIS), ("this_kind",)) if one.value else None
        except BadExpressionError as error:
            self.faults.append(f"{label}: {'value' if one.value else 'where'}: {error}")
            return None
        self.names.append(name)
        return Declaration(
            name=name,
            unit=one.unit,
            zh=one.zh.replace(_TEMPLATE, zh),
            en=one.en.replace(_TEMPLATE, en),
            version=one.version,
            entity=one.entity,
            event=one.event,
            aggregate=one.aggregate,
            of=one.of,
            window=window,
            window_us=span_us(window),
            delay_us=span_us(one.delay),
            where=where,
            frauds=one.frauds or one.aggregate in {"frauds", "rate", "run"},
            past=one.past,
            value=value,
        )

    def _where(self, one: _Table) -> Expression | None:
        if not one.where:
            return None
        texts = TEXTS[one.event]
        read = expressions.read(one.where, (*NUMBERS[one.event], *FOUND[one.event], *texts), texts)
        if not read.logical:
            raise BadExpressionError("must be true or false: compare something")
        return read


def _aggregate_faults(one: _Table, window: str) -> list[str]:
    found = []
    if one.aggregate not in AGGREGATES:
        found.append(f"aggregate: {one.aggregate} is not known; there are {', '.join(AGGREGATES)}")
    if one.event not in EVENTS:
        return [*found, f"event: {one.event!r} is none of {', '.join(EVENTS)}"]
    if one.entity not in ENTITIES:
        found.append(f"entity: {one.entity!r} is none of {', '.join(ENTITIES)}")
    elif ("payee" if one.entity == "received" else one.entity) not in KEYS[one.event]:
        found.append(f"entity: a {one.event} has no {one.entity}; it has {', '.join(KEYS[one.event])}")
    if not 0 < span_us(window) <= LONGEST_WINDOW_US:
        found.append(f"window: {window!r} must be a number with s, m, h or d, at most 30d")
    if one.delay and not 0 < span_us(one.delay) <= LONGEST_DELAY_US:
        found.append(f"delay: {one.delay!r} must be a number with s, m, h or d, at most 7d")
    return found + _column_faults(one)


def _column_faults(one: _Table) -> list[str]:
    found, columns = [], NUMBERS[one.event]
    if one.aggregate == "distinct":
        columns = KEYS[one.event] + TEXTS[one.event]
    elif one.aggregate in _NEEDS_OTHER:
        columns = KEYS[one.event]
    elif one.aggregate not in _NEEDS_COLUMN:
        columns = ()
    if one.of not in (columns or ("",)):
        found.append(
            f"of: {one.of!r} must be one of {', '.join(columns)}" if columns else "of: is not used here"
        )
    if (one.frauds or one.aggregate in {"frauds", "rate", "run"}) and one.event != "payment":
        found.append("frauds: only payments are labelled")
    if one.past and one.entity == "received":
        found.append("past: what was received is always the past")
    return found

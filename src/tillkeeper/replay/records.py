"""A row of texts becomes a record, or is left out with the reason. No float comes near an amount."""

import hashlib
import ipaddress
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH, to_us
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.money import MoneyError, exponent, parse_major
from tillkeeper.replay.mapping import Mapping
from tillkeeper.replay.types import Bad, Record, Row

_YES: Final = frozenset({"true", "1", "1.0", "t", "yes", "y"})
_NO: Final = frozenset({"false", "0", "0.0", "f", "no", "n"})
# A double that was computed, 0.30000000000000004, means 0.30; what is further off is a mistake.
_NOISE: Final = Decimal("0.000001")
_SHOWN: Final = 40
_DATE: Final = len("2018-04-01")
_NAMES_KEPT: Final = 100_000
_NOTHING: Final = (None, None, None, None, None)


class _Fault(Exception):  # noqa: N818 - on its way to becoming a Bad
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class Parser:
    """Reads rows as a mapping says. `now` bounds what can have happened."""

    def __init__(self, mapping: Mapping, columns: Sequence[str], now: datetime) -> None:
        self._at = {meaning: columns.index(column) for meaning, column in mapping.wanted.items()}
        self._mapping = mapping
        self._latest = now + timedelta(seconds=limits.REPLAY_LATENESS_SECONDS)
        self._time = _time_reader(mapping.time, ZoneInfo(mapping.zone))
        self._frauds = frozenset(mapping.fraud_values)
        self._names: set[str] = set()  # ids of parties that were looked at before
        self._rare = [
            each for each in ("payee_name", "device", "ip", "latitude", "longitude") if each in self._at
        ]

    def parse(self, row: Row) -> Record | Bad:
        """The record of a row."""
        try:
            return self._record(row)
        except _Fault as fault:
            return Bad(row.line, fault.column, str(fault), row.values)

    def _record(self, row: Row) -> Record:
        values = row.values
        texts = {meaning: (values[at] or "").strip() for meaning, at in self._at.items()}
        key, reference = self._key(row.line, texts)
        at = self._moment(_needed(texts, "time"))
        payer = self._party(texts, "payer")
        payee = self._party(texts, "payee")
        if payer == payee and self._mapping.payees == "customers":
            raise _Fault("payee", "payer and payee are the same")
        currency = self._mapping.currency or _currency(_needed(texts, "currency"))
        amount = self._amount(_needed(texts, "amount"), currency)
        fraud = self._fraud(texts.get("fraud", ""))
        if self._rare:
            latitude, longitude = _place(texts)
            rare = (
                _optional(texts, "payee_name"),
                _optional(texts, "device"),
                _ip(texts.get("ip", "")),
                latitude,
                longitude,
            )
        else:
            rare = _NOTHING
        return Record(
            row.line, key, reference, at, to_us(at), payer, payee, amount, currency, fraud, *rare, values
        )

    def _party(self, texts: dict[str, str], meaning: str) -> str:
        text = _needed(texts, meaning)
        if text not in self._names:
            _text(text, meaning, limits.REPLAY_PARTY_ID)
            if len(self._names) >= _NAMES_KEPT:
                self._names.clear()
            self._names.add(text)
        return text

    def _key(self, line: int, texts: dict[str, str]) -> tuple[str, str | None]:
        if "id" not in texts:
            return f"row {line}", None
        text = _needed(texts, "id")
        if len(text) > limits.REPLAY_PARTY_ID or not text.isprintable() or _never_stored(text):
            # It may not be stored, but it still tells one row from another.
            return f"sha256:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}", None
        return text, f"{self._mapping.name}:{text}"

    def _moment(self, text: str) -> datetime:
        try:
            at = self._time(text)
        except (ValueError, OverflowError):
            raise _Fault(
                "time", f"{_shown(text)} is no time as the mapping says it ({self._mapping.time})"
            ) from None
        if not EPOCH <= at <= self._latest:
            raise _Fault("time", f"{_shown(text)} lies {'before 1970' if at < EPOCH else 'in the future'}")
        return at

    def _amount(self, text: str, currency: str) -> int:
        try:
            minor = self._mapping.amounts == "minor"
            amount = _whole(text, Decimal(1)) if minor else _major(text, currency)
        except MoneyError as error:
            said = "looks like a card number, security code or PIN" if _never_stored(text) else str(error)
            raise _Fault("amount", said) from None
        if amount <= 0:
            raise _Fault("amount", f"{_shown(text)} is not positive")
        return amount

    def _fraud(self, text: str) -> bool | None:
        if not text:
            return None
        if self._frauds:
            return text in self._frauds
        lower = text.lower()
        if lower in _YES:
            return True
        if lower in _NO:
            return False
        raise _Fault("fraud", f"{_shown(text)} is neither yes nor no; name the frauds with fraud_values")


def _needed(texts: dict[str, str], meaning: str) -> str:
    text = texts[meaning]
    if not text:
        raise _Fault(meaning, "is missing")
    return text


def _optional(texts: dict[str, str], meaning: str) -> str | None:
    text = texts.get(meaning)
    return _text(text, meaning, limits.MAX_TEXT) if text else None


def _text(text: str, meaning: str, longest: int) -> str:
    if len(text) > longest:
        raise _Fault(meaning, f"is longer than {longest} characters")
    if not text.isprintable() or "\ufffd" in text:
        raise _Fault(meaning, "has characters that are not text in UTF-8")
    if _never_stored(text):
        raise _Fault(
            meaning,
            "looks like a card number, security code or PIN, which we never store; put a token in its place",
        )
    return text


def _never_stored(text: str) -> bool:
    return forbidden(text) is not None


def _shown(text: str) -> str:
    return "what stands here" if _never_stored(text) else repr(text[:_SHOWN])


def _currency(text: str) -> str:
    try:
        exponent(text)
    except MoneyError as error:
        raise _Fault("currency", str(error)[: _SHOWN * 2]) from None
    return text


def _major(text: str, currency: str) -> int:
    try:
        return parse_major(text, currency)
    except MoneyError:
        return _whole(text, Decimal(10) ** exponent(currency))


def _whole(text: str, minor_units: Decimal) -> int:
    """A decimal as minor units, forgiven what a double makes of it. Raises MoneyError."""
    try:
        exact = Decimal(text) * minor_units
        if not exact.is_finite():
            raise MoneyError(f"{_shown(text)} is not an amount")
        if abs(exact) > limits.MAX_AMOUNT:
            raise MoneyError(f"{_shown(text)} is larger than any amount we accept")
        whole = exact.to_integral_value()
        if abs(exact - whole) > _NOISE:
            raise MoneyError(f"{_shown(text)} has more decimals than the currency")
    except ArithmeticError:
        raise MoneyError(f"{_shown(text)} is not an amount: digits and a point") from None
    return int(whole)


@lru_cache(maxsize=65_536)
def _ip(text: str) -> str | None:
    if not text:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise _Fault("ip", f"{_shown(text)} is no IP address") from None


def _place(texts: dict[str, str]) -> tuple[float | None, float | None]:
    latitude, longitude = texts.get("latitude"), texts.get("longitude")
    if not latitude or not longitude:
        return None, None
    return _degrees(latitude, "latitude", 90), _degrees(longitude, "longitude", 180)


def _degrees(text: str, meaning: str, most: int) -> float:
    try:
        degrees = float(text)
    except ValueError:
        degrees = math.nan
    if not -most <= degrees <= most:
        raise _Fault(meaning, f"{_shown(text)} is not within {most} degrees")
    return degrees


def _time_reader(form: str, zone: ZoneInfo) -> Callable[[str], datetime]:
    """A function from text to UTC; it raises ValueError."""
    if form in {"epoch", "epoch_ms"}:
        per_unit = Decimal(1_000_000 if form == "epoch" else 1_000)
        return lambda text: EPOCH + timedelta(microseconds=_microseconds(text, per_unit))
    if form == "iso" and zone.key == "UTC":
        return _iso_utc

    def read(text: str) -> datetime:
        found = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)

    return read


def _iso_utc(text: str) -> datetime:
    if len(text) > _DATE:
        with suppress(ValueError):
            return datetime.fromisoformat(
                text + "+00:00"
            )  # three times as quick as to give it a zone afterwards
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _microseconds(text: str, per_unit: Decimal) -> int:
    try:
        found = Decimal(text) * per_unit
        if abs(found) > 10**18:
            raise ValueError(text)
        return int(found)
    except ArithmeticError:
        raise ValueError(text) from None

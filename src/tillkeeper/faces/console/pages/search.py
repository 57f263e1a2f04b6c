"""What the search form of the payments page means: texts from an address bar become a Filter, or a named mistake."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.money import MoneyError, parse_major
from tillkeeper.base.results import PROBLEMS
from tillkeeper.faces.console.desk import typed
from tillkeeper.payments import MOVES, PAYER_PREFIX
from tillkeeper.payments.browse import Filter
from tillkeeper.risk import OUTCOMES

FIELDS: Final = ("q", "kind", "state", "risk", "failure", "currency", "least", "most", "since", "until")
KINDS: Final = tuple(PAYER_PREFIX)
STATES: Final = tuple(MOVES)
_CHOICES: Final = {"kind": KINDS, "state": STATES, "risk": OUTCOMES, "failure": tuple(PROBLEMS)}


class Asked(msgspec.Struct, frozen=True):
    """A search as it was asked. `mistakes`: text keys by field; with any, nothing is searched."""

    texts: dict[str, str]
    wanted: Filter
    payment: UUID | None
    mistakes: dict[str, str]

    @property
    def narrowed(self) -> bool:
        """Whether anything at all was asked for."""
        return any(self.texts.values())


def read(query: Mapping[str, str], zone: ZoneInfo, currencies: list[str]) -> Asked:
    """Read a search. An amount without a currency is of the first one in use."""
    texts = {field: typed(query, field) for field in FIELDS}
    if (texts["least"] or texts["most"]) and not texts["currency"] and currencies:
        texts["currency"] = currencies[0]
    mistakes: dict[str, str] = {}
    choices = {field: _choice(texts, field, mistakes) for field in _CHOICES}
    party, reference, payment = _words(texts["q"])
    wanted = Filter(
        party=party,
        reference=reference,
        kind=choices["kind"],
        state=choices["state"],
        risk=choices["risk"],
        failure=choices["failure"],
        currency=texts["currency"] or None,
        least=_amount(texts, "least", mistakes),
        most=_amount(texts, "most", mistakes),
        since=day(texts, "since", 0, zone, mistakes),
        until=day(texts, "until", 1, zone, mistakes),
    )
    return Asked(texts, wanted, payment, mistakes)


def _choice(texts: Mapping[str, str], field: str, mistakes: dict[str, str]) -> str | None:
    text = texts[field]
    if text and text not in _CHOICES[field]:
        mistakes[field] = "mistake.choice"
    return text or None


def _words(text: str) -> tuple[UUID | None, str | None, UUID | None]:
    """A party, a reference or a payment; at most one of them."""
    for prefix in ("pay", "cus", "mer"):
        try:
            found = from_typeid(prefix, text)
        except BadIdError:
            continue
        return (None, None, found) if prefix == "pay" else (found, None, None)
    return None, text or None, None


def _amount(texts: Mapping[str, str], field: str, mistakes: dict[str, str]) -> int | None:
    if not texts[field]:
        return None
    try:
        return parse_major(texts[field], texts["currency"])
    except MoneyError:
        mistakes[field] = "mistake.amount"
        return None


def day(
    texts: Mapping[str, str], field: str, more: int, zone: ZoneInfo, mistakes: dict[str, str]
) -> datetime | None:
    """The beginning of the business day in a field, `more` days later; one that cannot be read becomes a mistake."""
    if not texts[field]:
        return None
    try:
        return datetime.combine(date.fromisoformat(texts[field]) + timedelta(days=more), time(), zone)
    except (ValueError, OverflowError):
        mistakes[field] = "mistake.day"
        return None

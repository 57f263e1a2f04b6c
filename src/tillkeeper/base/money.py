"""Amounts of money: integers of minor units with an ISO 4217 currency. No float comes near them."""

from decimal import Decimal
from functools import lru_cache

import msgspec
from babel.core import get_global
from babel.numbers import format_currency, get_currency_precision, get_territory_currencies

from tillkeeper.base.limits import MAX_AMOUNT


class MoneyError(ValueError):
    """An amount or currency that is not money. The message names what is wrong."""


class Money(msgspec.Struct, frozen=True, order=True):
    """`amount` minor units (fen, cents) of `currency` (ISO 4217)."""

    amount: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other).amount, self.currency)

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise MoneyError(f"{other.currency} does not add to {self.currency}")
        return other


@lru_cache(maxsize=1)
def currencies() -> frozenset[str]:
    """Every ISO 4217 code that is legal tender somewhere today: what a wallet may be opened in."""
    territories = get_global("territory_currencies")
    return frozenset(code for territory in territories for code in get_territory_currencies(territory))


@lru_cache(maxsize=512)
def exponent(currency: str) -> int:
    """Decimal places of the currency's minor unit: 2 for CNY, 0 for JPY, 3 for KWD.

    Raises MoneyError for an unknown currency.
    """
    if currency not in currencies():
        raise MoneyError(f"{currency!r} is not an ISO 4217 currency")
    return get_currency_precision(currency)


def parse_major(text: str, currency: str) -> int:
    """Read a written amount ("12.34") as minor units.

    Raises MoneyError when it is no number, has more decimals than the currency, or passes MAX_AMOUNT.
    """
    places = exponent(currency)
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, fraction = digits.partition(".")
    if not (whole + fraction).isascii() or not whole.isdigit() or (fraction and not fraction.isdigit()):
        raise MoneyError(f"{text!r} is not an amount")
    if len(fraction.rstrip("0")) > places:
        raise MoneyError(f"{text!r} has more than {places} decimals, which {currency} does not have")
    minor = (whole + fraction[:places].ljust(places, "0")).lstrip("0") or "0"
    # Looked at before it is converted: int() refuses thousands of digits with an error of its own.
    if len(minor) > len(str(MAX_AMOUNT)) or int(minor) > MAX_AMOUNT:
        raise MoneyError(f"{text[:60]!r} is larger than any amount we accept")
    return sign * int(minor)


def to_major(amount: int, currency: str) -> str:
    """Write minor units as a plain decimal: (1234, "CNY") -> "12.34". The inverse of parse_major."""
    return str(Decimal(amount).scaleb(-exponent(currency)))


def format_money(amount: int, currency: str, locale: str) -> str:
    """Minor units as people of a locale ("zh_CN", "en") read them: ¥12.34."""
    return format_currency(Decimal(amount).scaleb(-exponent(currency)), currency, locale=locale)


def share(amount: int, basis_points: int) -> int:
    """`basis_points` hundredths of a percent of an amount, rounded half up to a whole minor unit."""
    return (amount * basis_points + 5000) // 10_000

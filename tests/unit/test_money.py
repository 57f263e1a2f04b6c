"""Money: what is written reads back, decimals fit the currency, shares round half up."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base.limits import MAX_AMOUNT
from tillkeeper.base.money import (
    Money,
    MoneyError,
    currencies,
    exponent,
    format_money,
    parse_major,
    share,
    to_major,
)

codes = st.sampled_from(sorted(currencies()))
amounts = st.integers(-MAX_AMOUNT, MAX_AMOUNT)


@given(amounts, codes)
def test_written_amounts_read_back(amount: int, currency: str) -> None:
    assert parse_major(to_major(amount, currency), currency) == amount


@given(st.integers(0, MAX_AMOUNT), st.integers(0, 10_000))
def test_a_share_is_the_exact_part_rounded_half_up(amount: int, basis_points: int) -> None:
    exact = Decimal(amount) * basis_points / 10_000
    assert share(amount, basis_points) == exact.to_integral_value(ROUND_HALF_UP)
    assert 0 <= share(amount, basis_points) <= amount


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("12.34", "CNY", 1234),
        ("12.3", "CNY", 1230),
        ("12.340", "CNY", 1234),
        ("-0.01", "CNY", -1),
        ("500", "JPY", 500),
        ("500.0", "JPY", 500),
        ("1.234", "KWD", 1234),
        (str(MAX_AMOUNT // 100), "CNY", MAX_AMOUNT),
    ],
)
def test_amounts_that_are_read(text: str, currency: str, amount: int) -> None:
    assert parse_major(text, currency) == amount


@pytest.mark.parametrize(
    ("text", "currency", "says"),
    [
        ("1.005", "CNY", "more than 2 decimals"),
        ("1.5", "JPY", "more than 0 decimals"),
        ("1.2345", "KWD", "more than 3 decimals"),
        (f"{MAX_AMOUNT}", "CNY", "larger than any amount"),
        ("9" * 5000, "CNY", "larger than any amount"),
        ("1", "XXX", "not an ISO 4217 currency"),
        *(
            (text, "CNY", "not an amount")
            for text in ("", ".", ".5", "--1", "+1", " 1", "1e3", "1,000", "１", "1.2.3", "²")
        ),
    ],
)
def test_amounts_that_are_refused(text: str, currency: str, says: str) -> None:
    with pytest.raises(MoneyError, match=says):
        parse_major(text, currency)


def test_decimals_of_currencies() -> None:
    assert [exponent(code) for code in ("CNY", "JPY", "KWD")] == [2, 0, 3]


def test_amounts_of_two_currencies_do_not_mix() -> None:
    assert Money(3, "CNY") + Money(4, "CNY") - Money(2, "CNY") == Money(5, "CNY")
    for mix in (Money.__add__, Money.__sub__):
        with pytest.raises(MoneyError):
            mix(Money(1, "CNY"), Money(1, "JPY"))


def test_amounts_as_people_read_them() -> None:
    assert format_money(123_456, "CNY", "zh_CN") == "¥1,234.56"
    assert format_money(123_456, "CNY", "en") == "CN¥1,234.56"
    assert format_money(1234, "JPY", "en") == "¥1,234"
    assert format_money(-5, "KWD", "en") == "-KWD0.005"

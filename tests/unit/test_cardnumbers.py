"""Card numbers are found however they are written, and ids are not taken for them."""

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base.cardnumbers import has_card_number


def luhn_digit(digits: str) -> str:
    """The check digit that follows these digits."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def spread(number: str, separators: list[str]) -> str:
    return "".join(
        digit + between for digit, between in zip(number, [*separators[: len(number) - 1], ""], strict=True)
    )


# How numbers of the schemes begin, and how many digits they have.
SCHEMES = [
    ("4", [13, 16, 19]),
    ("51", [16]),
    ("2221", [16]),
    ("2720", [16]),
    ("34", [15]),
    ("36", [14]),
    ("3528", [16]),
    ("6011", [16]),
    ("62", [16, 17, 18, 19]),
    ("81", [16]),
    ("50", [13, 16, 19]),
    ("2200", [16]),
    ("1", [15]),
    ("9558", [19]),
]


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """A card number without its check digit."""
    prefix, lengths = draw(st.sampled_from(SCHEMES))
    rest = draw(st.sampled_from(lengths)) - len(prefix) - 1
    return prefix + draw(st.text("0123456789", min_size=rest, max_size=rest))


numbers = bodies().map(lambda body: body + luhn_digit(body))
separators = st.lists(st.sampled_from(["", "", "", " ", "-", "."]), min_size=18, max_size=18)
around = st.text("abc 中文，:!(", max_size=8)


@given(numbers, separators, around, around)
def test_a_number_is_found_with_separators_and_in_a_sentence(
    number: str, between: list[str], before: str, after: str
) -> None:
    assert has_card_number(before + spread(number, between) + after)


@given(numbers)
def test_a_number_is_found_in_full_width_digits(number: str) -> None:
    assert has_card_number("卡号" + number.translate({ord("0") + n: 0xFF10 + n for n in range(10)}))


@given(bodies(), st.integers(1, 9))
def test_a_number_with_a_wrong_check_digit_is_none(body: str, off: int) -> None:
    assert not has_card_number(body + str((int(luhn_digit(body)) + off) % 10))


@given(st.text("0123456789", min_size=20, max_size=40))
def test_a_longer_run_of_digits_is_none(digits: str) -> None:
    assert not has_card_number(digits)


@given(st.text("0123456789", max_size=12))
def test_a_shorter_run_of_digits_is_none(digits: str) -> None:
    assert not has_card_number(digits)


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "6222021234567890128"]
)
def test_known_numbers(text: str) -> None:
    assert has_card_number(text)


def test_uuids_are_no_card_numbers() -> None:
    # One in 460 random UUIDs holds thirteen digits in a row that pass the check; clients use them as idempotency keys.
    ids = [UUID(int=random.Random(seed).getrandbits(128), version=4) for seed in range(10_000)]
    assert not [
        each for each in ids if has_card_number(str(each)) or has_card_number(f"order {each.hex}, paid")
    ]


def test_times_and_dated_numbers_are_no_card_numbers() -> None:
    milliseconds = [f"{1_763_833_600_000 + n}" for n in range(100)]
    nanoseconds = [f"{1_763_833_600_000_000_000 + n}" for n in range(100)]
    dated = [f"20261122-{n:06d}" for n in range(100)] + [f"order 20261122{n:08d}" for n in range(100)]
    assert not [each for each in milliseconds + nanoseconds + dated if has_card_number(each)]


def test_a_card_number_beside_a_uuid_is_found() -> None:
    assert has_card_number("0b0c2d4e-1a2b-4c3d-8e4f-5a6b7c8d9e0f 4111111111111111")
    assert has_card_number("a4111111111111111")


def test_an_id_of_ours_is_none_whatever_its_digits() -> None:
    assert not has_card_number("cus_01h4111111111111111abcdefg")
    assert has_card_number("cus_01h4111111111111111abcdef")  # a letter too short

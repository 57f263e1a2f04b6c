"""Phone numbers and id numbers: one form for all the ways to write one, and nothing that is none."""

import random
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_cardnumbers import bodies, luhn_digit
from tillkeeper.base.personal import id_number, phone_number, resident_check
from tillkeeper.base.results import Refused


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *(
            (text, "+8613812345678")
            for text in ("13812345678", "138 1234 5678", "+86 138-1234-5678", "008613812345678")
        ),
        *(
            (text, "+8613812345678")
            for text in ("１３８１２３４５６７８", "(138) 1234.5678", "+86\u00a013812345678")
        ),
        ("+44 (20) 7183 8750", "+442071838750"),
    ],
)
def test_one_form_for_a_phone_number(text: str, form: str) -> None:
    assert phone_number(text) == form
    assert phone_number(form) == form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12345",
        "12812345678",
        "+8612812345678",
        "4111111111111111",
        "+4111111111111111",
        "call me",
        "+0123456789",
    ],
)
def test_what_is_no_phone_number(text: str) -> None:
    with pytest.raises(Refused) as refused:
        phone_number(text)
    assert (refused.value.refusal.code, refused.value.refusal.field) == ("invalid_value", "phone")
    assert not text or text not in str(refused.value), "what was sent is not quoted"


def resident(region: str, born: date, order: int) -> str:
    first = f"{region}{born:%Y%m%d}{order:03d}"
    return first + resident_check(first)


residents = st.builds(
    resident,
    st.sampled_from(["110101", "310199", "620123", "500000", "371522"]),
    st.dates(date(1900, 1, 1), date(2025, 12, 31)),
    st.integers(0, 999),
)


def test_the_check_digit_of_the_standard() -> None:
    assert id_number("11010519491231002X") == "11010519491231002X"  # the example in GB 11643-1999
    assert id_number(" 11010519491231002x ") == "11010519491231002X"


@given(residents)
def test_every_residents_number_is_taken(number: str) -> None:
    assert id_number(number) == number


@given(residents, st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_is_found(number: str, at: int, off: int) -> None:
    old = number[at]
    wrong = str((int(old) + off) % 10) if old != "X" else str(off)
    with pytest.raises(Refused) as refused:
        id_number(number[:at] + wrong + number[at + 1 :])
    assert refused.value.refusal.code == "invalid_value"


def test_numbers_of_old_have_fifteen_digits() -> None:
    rng = random.Random(7)
    for _ in range(500):
        born = date(1930, 1, 1) + timedelta(days=rng.randrange(60 * 365))
        number = f"37{rng.randrange(10**4):04d}{born:%y%m%d}{rng.randrange(1000):03d}"
        assert (
            id_number(number) == number
        )  # also where Luhn's check passes: 37 is Shandong, and American Express


@pytest.mark.parametrize("text", ["E12345678", "uto l898902c3", "A-1234567 (Z)"])
def test_other_documents_are_taken_as_text(text: str) -> None:
    assert id_number(text) == text.upper()


@given(bodies())
def test_a_card_number_is_no_id_number(body: str) -> None:
    number = body + luhn_digit(body)
    if len(number) in {15, 18}:
        return  # such a number may be a resident's
    with pytest.raises(Refused) as refused:
        id_number(number)
    assert refused.value.refusal.code == "card_number_refused"

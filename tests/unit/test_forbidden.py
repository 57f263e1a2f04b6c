"""What must never be stored is found however it is written; what people and programs send every day is not taken for it."""

import logging
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_cardnumbers import numbers
from tillkeeper.base.discretion import MASK, DiscreetFormatter, discreet
from tillkeeper.base.forbidden import forbidden, forbidden_name
from tillkeeper.base.ids import new_id, to_typeid

SCRIPTS = ["0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"]
BETWEEN = ["", " ", "-", " - ", "\u00a0", "\u2009", "\u200b", "\u3000", "‑", "–", "・", "_", "/", "\n"]


def code_of(text: str) -> str | None:
    refusal = forbidden(text)
    return refusal.code if refusal else None


def grouped(number: str, between: str, size: int) -> str:
    return between.join(number[at : at + size] for at in range(0, len(number), size))


@given(numbers, st.sampled_from(SCRIPTS), st.sampled_from(BETWEEN), st.integers(3, 6))
def test_card_numbers_in_every_script_and_grouping(number: str, script: str, between: str, size: int) -> None:
    written = grouped(number, between, size).translate({ord("0") + n: script[n] for n in range(10)})
    assert code_of(f"卡号{written}。") == "card_number_refused"


@given(numbers, st.sampled_from([" 12/27", " 1227", "-123", "\n04 / 29", " 5 "]))
def test_what_follows_a_card_number_does_not_hide_it(number: str, after: str) -> None:
    assert code_of(number + after) == "card_number_refused"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "cvv: 123",
            "CVV 123",
            "cvc2=1234",
            "my cvv is 999",
            "CVV２：９９９",
            "ＣＶＶ 123",
            "security code 123",
        ),
        *("Card verification value: 4321", "安全码是 123", "https://shop.example/?cvv=123&x=1", "cvn2-123"),
        *(
            "PIN 1234",
            "pin: 12 34",
            "PIN code: 123456",
            "pin=1234",
            "pin_block 123456789012",
            "支付密码：123456",
        ),
    ],
)
def test_security_codes_and_pins_beside_their_names(text: str) -> None:
    assert code_of(f"hello, {text}") == "security_code_refused"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "two coffees",
            "order 4711",
            "pinned 1234",
            "spin 1234",
            "opinion 2026",
            "shipping 12345",
            "cvv",
            "pin",
        ),
        *("cv 2026", "2026-11-22 16:00:00.123456", "+86 138 1234 5678", "13812345678", "+49 151 12345678"),
        *(
            "10.0.0.1",
            "2001:db8::1",
            "Room 123",
            "密码学 101 课程",
            "invoice 20261122-000001",
            "1763833600123",
        ),
    ],
)
def test_everyday_texts_are_taken(text: str) -> None:
    assert code_of(text) is None


@given(st.from_regex(r"\A\+[1-9][0-9]{7,14}\Z"), st.sampled_from(["", " ", "-"]))
def test_phone_numbers_with_their_plus_are_taken(number: str, between: str) -> None:
    assert code_of("call " + number) is None
    assert code_of(number[:3] + between + number[3:]) is None


@given(st.from_regex(r"\A1[3-9][0-9]{9}\Z"))
def test_chinese_mobiles_are_taken(number: str) -> None:
    assert code_of(number) is None
    assert code_of("+86" + number) is None


def test_our_own_ids_and_keys_are_taken() -> None:
    prefixes = ["pay", "cus", "qr", "city", "grant"]
    ids = [to_typeid(random.choice(prefixes), new_id()) for _ in range(20_000)]
    assert not [each for each in ids if code_of(each) or code_of(f"{each}-17")]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(
            (name, "security_code_refused")
            for name in ("cvv", "CVV2", "card_cvc", "pin", "PIN-code", "pin block", "ＣＶＶ")
        ),
        *(
            (name, "card_number_refused")
            for name in ("pan", "card_number", "cardNumber", "Card No", "track2", "卡号")
        ),
        *(
            (name, None)
            for name in ("reference", "note", "pinned", "span", "account", "code", "cv", "company")
        ),
    ],
)
def test_names_of_fields(name: str, code: str | None) -> None:
    refusal = forbidden_name(name)
    assert (refusal.code if refusal else None) == code


# -- logs


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("card 4111 1111 1111 1111 12/27", f"card {MASK} 12/27"),
        ("GET /v1/customers?phone=13812345678 failed", f"GET /v1/customers?phone={MASK} failed"),
        ("(reference)=(+442071838750)", f"(reference)=({MASK})"),
        ("id 11010519491231002X, cvv 123.", f"id {MASK}, {MASK}."),
        ("pay_01h4111111111111111abcdefg took 1234567 us", "pay_01h4111111111111111abcdefg took 1234567 us"),
        ("2026-11-22 16:00:00,123Z INFO till: 138 rows", "2026-11-22 16:00:00,123Z INFO till: 138 rows"),
    ],
)
def test_a_line_of_a_log(said: str, kept: str) -> None:
    assert discreet(said) == kept


def test_tracebacks_and_arguments_are_masked_too() -> None:
    failed = ValueError("the phone +8613812345678 is taken")
    fault = (ValueError, failed, None)
    record = logging.LogRecord("t", logging.ERROR, "x", 1, "%s failed", ("13812345678",), fault)
    line = DiscreetFormatter("%(levelname)s: %(message)s").format(record)
    assert line == f"ERROR: {MASK} failed\nValueError: the phone {MASK} is taken"
    assert "138" not in line

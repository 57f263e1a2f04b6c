"""Problem codes: every one is well formed, and msgspec's words, which some are read from, still begin as they did."""

import re
from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from tillkeeper.base.limits import MAX_AMOUNT, MAX_TEXT
from tillkeeper.base.results import PROBLEMS, Refusal, Refused, refuse
from tillkeeper.faces.api import bodies
from tillkeeper.faces.api.problems import of_message
from tillkeeper.payments import problem

GOOD: dict[str, Any] = {"payer": "cus_a", "merchant": "mer_b", "amount": 100, "currency": "CNY"}


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_has_a_status_a_title_and_a_name_that_lasts(code: str) -> None:
    status, title = PROBLEMS[code]
    assert HTTPStatus(status) >= 400
    assert title
    assert not title.endswith(".")
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)


def test_a_refusal_as_problem_details() -> None:
    answer = problem(Refusal("unknown_wallet", "open a wallet in JPY first", "payer"))
    assert answer.status == 422
    assert msgspec.json.decode(answer.body) == {
        "type": "urn:tillkeeper:problem:unknown_wallet",
        "title": "The owner has no wallet in this currency",
        "status": 422,
        "code": "unknown_wallet",
        "detail": "open a wallet in JPY first",
        "field": "payer",
    }


def test_a_refusal_on_its_way() -> None:
    with pytest.raises(Refused, match="bad_id: look again") as raised:
        raise refuse("bad_id", "look again", "payer")
    assert raised.value.refusal == Refusal("bad_id", "look again", "payer")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"amount": "100"}, "wrong_type", "amount"),
        ({"amount": None}, "wrong_type", "amount"),
        ({"amount": True}, "wrong_type", "amount"),
        ({"payer": 7}, "wrong_type", "payer"),
        ({"place": [1, 2]}, "wrong_type", "place"),
        ({"amount": 1.5}, "amount_not_integer", "amount"),
        ({"amount": 0}, "amount_not_positive", "amount"),
        ({"amount": -5}, "amount_not_positive", "amount"),
        ({"amount": MAX_AMOUNT + 1}, "amount_too_large", "amount"),
        ({"amount": 2**70}, "amount_too_large", "amount"),
        ({"note": "x" * (MAX_TEXT + 1)}, "text_too_long", "note"),
        ({"note": ""}, "invalid_value", "note"),
        ({"currency": "yuan"}, "unknown_currency", "currency"),
        ({"capture": "later"}, "invalid_value", "capture"),
        ({"colour": "red"}, "unknown_field", "colour"),
        ({"place": {"lat": 91, "lon": 0}}, "invalid_value", "place.lat"),
        ({"place": {"lat": "north", "lon": 0}}, "wrong_type", "place.lat"),
        ({"place": {"lat": 1}}, "missing_field", "place.lon"),
        ({"place": {"lat": 1, "lon": 2, "height": 3}}, "unknown_field", "place.height"),
    ],
)
def test_the_decoders_words_become_codes(change: dict[str, Any], code: str, field: str) -> None:
    assert read(bodies.NewPayment, GOOD | change) == (code, field)


def test_a_missing_field_is_named() -> None:
    body = {name: value for name, value in GOOD.items() if name != "payer"}
    assert read(bodies.NewPayment, body) == ("missing_field", "payer")


@pytest.mark.parametrize(
    ("limit", "code"),
    [("1", "wrong_type"), (1.5, "wrong_type"), (-1, "invalid_value"), (2**70, "invalid_value")],
)
def test_numbers_that_are_no_amounts_are_not_called_so(limit: object, code: str) -> None:
    body = {"name": "Li", "currencies": ["CNY"], "daily_limit": limit}
    assert read(bodies.NewCustomer, body) == (code, "daily_limit")


def read(kind: type[msgspec.Struct], body: Any) -> tuple[str, str | None]:
    """The refusal that decoding a body comes to, as code and field."""
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(msgspec.json.encode(body), type=kind)
    message, _, place = str(raised.value).partition(" - at `$")
    refusal = of_message(message, place.strip("`").removeprefix(".") or None)
    return refusal.code, refusal.field

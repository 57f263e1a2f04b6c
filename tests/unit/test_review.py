"""Faults of the API's door found by a review, each as small as it could be made."""

import json
from typing import Any

import pytest
from litestar.exceptions import InternalServerException

from tests.unit.test_api_lane import PAYER, PAYMENT, PRINCIPAL, STRANGER, Till, call
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.faces.api.problems import of_error

CARD = "4111 1111 1111 1111"


async def said(path: str, body: dict[str, Any], principal: Any = PRINCIPAL) -> dict[str, Any]:
    answered = await call(path, [json.dumps(body).encode()], b"k", Till(201), principal)
    return dict(json.loads(answered.body))


async def test_another_spelling_of_a_path_is_no_way_round_the_door() -> None:
    assert (await said("//v1/payments", PAYMENT))["code"] == "not_found"


@pytest.mark.parametrize("field", ["payer", "merchant"])
async def test_a_card_number_where_an_id_belongs(field: str) -> None:
    answer = await said("/v1/payments", PAYMENT | {field: CARD})
    assert answer["code"] == "card_number_refused"
    assert "4111" not in json.dumps(answer)


async def test_a_key_without_the_scope_learns_nothing_of_codes() -> None:
    body = {"payer": PAYER, "qr": to_typeid("qr", new_id()), "amount": 1, "currency": "CNY"}
    assert (await said("/v1/payments", body, STRANGER))["code"] == "forbidden"


def test_a_fault_of_the_framework_is_logged_as_it_says(caplog: pytest.LogCaptureFixture) -> None:
    of_error(InternalServerException("planted"), "GET /")
    assert "planted" in caplog.text

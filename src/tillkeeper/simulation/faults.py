"""Bad requests, as broken programs send them: each must be refused and change nothing."""

from collections.abc import Callable
from typing import Any, Final

Requests = list[tuple[str, dict[str, Any]]]

PAYMENTS: Final = "/v1/payments"


def _payment(payer: str, merchant: str, **change: Any) -> Requests:
    body = {"payer": payer, "merchant": merchant, "amount": 1200, "currency": "CNY"} | change
    return [(PAYMENTS, {name: value for name, value in body.items() if value is not None})]


def _reused_key(payer: str, merchant: str) -> Requests:
    """Two requests under one key: the first is good, the second has another amount."""
    return [*_payment(payer, merchant, amount=100), *_payment(payer, merchant, amount=200)]


# From the payer's and the merchant's id to what is sent under one key; the last must be refused.
FAULTS: Final[dict[str, Callable[[str, str], Requests]]] = {
    "unknown_currency": lambda payer, merchant: _payment(payer, merchant, currency="ZZZ"),
    "negative_amount": lambda payer, merchant: _payment(payer, merchant, amount=-1200),
    "amount_as_text": lambda payer, merchant: _payment(payer, merchant, amount="12.00"),
    "missing_amount": lambda payer, merchant: _payment(payer, merchant, amount=None),
    "unknown_field": lambda payer, merchant: _payment(payer, merchant, colour="red"),
    "bad_payee": lambda payer, _: _payment(payer, "mer_nobody"),
    "card_number": lambda payer, merchant: _payment(payer, merchant, note="4111 1111 1111 1111"),
    "wide_card_number": lambda payer, merchant: _payment(
        payer, merchant, note="４１１１－１１１１－１１１１－１１１１ 12/27"
    ),
    "security_code": lambda payer, merchant: _payment(payer, merchant, reference="cvv: 123"),
    "pin_field": lambda payer, merchant: _payment(payer, merchant, pin="1234"),
    "to_oneself": lambda payer, _: [
        ("/v1/sends", {"payer": payer, "payee": payer, "amount": 100, "currency": "CNY"})
    ],
    "reused_key": _reused_key,
}

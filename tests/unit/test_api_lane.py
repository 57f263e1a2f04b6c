"""The short way of payments and sends answers as the framework's way does: a body in two pieces takes the long one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from tillkeeper.access import SCOPES, Principal, service
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.limits import MAX_BODY_BYTES
from tillkeeper.base.settings import Settings
from tillkeeper.faces.api import Counter, create_api
from tillkeeper.payments import Gauge
from tillkeeper.store import Answer, Timings

CUSTOMER = new_id()
PAYER, PAYEE, SHOP = to_typeid("cus", CUSTOMER), to_typeid("cus", new_id()), to_typeid("mer", new_id())
PAYMENT = {"payer": PAYER, "merchant": SHOP, "amount": 1234, "currency": "CNY"}
SEND = {"payer": PAYER, "payee": PAYEE, "amount": 5, "currency": "CNY", "place": {"lat": 31.2, "lon": 121.4}}
PRINCIPAL = service(new_id(), new_id(), "test", SCOPES)
STRANGER = service(new_id(), new_id(), "test", frozenset({"payments:read"}))


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Till:
    """Notes what it is asked, and answers with a status; 0 is a fault."""

    def __init__(self, status: int) -> None:
        self.asked: list[Any] = []
        self.status = status
        nowhere: Any = Trail()
        self.gauge = Gauge(nowhere, SystemClock())

    async def submit(self, command: Any, key: Any) -> Answer:
        if self.status == 0:
            raise RuntimeError("planted")
        self.asked.append((command, key))
        return Answer(self.status, b'{"state":"as the turn says"}')


class Trail:
    """A store that only takes what the audit writes."""

    timings = Timings()

    @asynccontextmanager
    async def tx(self, _: str) -> AsyncIterator["Trail"]:
        yield self

    async def run(self, _: bytes, params: dict[str, Any]) -> None:
        self.refused = params["action"], params["reason"]


class Keys:
    """Lets everybody in as one principal."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    async def authenticate(self, _: str, __: str) -> Principal:
        return self.principal


async def call(
    path: str, pieces: list[bytes], key: bytes | None, till: Till, principal: Principal
) -> Answered:
    parts: list[Any] = [Trail(), SystemClock(), Settings(), till, None, Keys(principal), None]
    headers = [(b"content-type", b"application/json")]
    headers += [(b"idempotency-key", key)] if key is not None else []
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 2),
        "server": ("127.0.0.1", 1),
    }
    left, sent = list(pieces), []

    async def receive() -> Any:
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    await create_api(Counter(*parts))(scope, receive, send)
    shown = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answered(sent[0]["status"], shown, b"".join(message["body"] for message in sent[1:]))


async def both_ways(
    path: str,
    body: bytes,
    key: bytes | None = b"a-key",
    status: int = 201,
    principal: Principal = PRINCIPAL,
) -> tuple[Answered, list[Any]]:
    """The answer, which both ways give, and what the till was asked, the same both times."""
    short, long = Till(status), Till(status)
    first = await call(path, [body], key, short, principal)
    assert first == await call(path, [body[:7], body[7:]], key, long, principal)
    assert short.asked == long.asked
    return first, short.asked


@pytest.mark.parametrize(("path", "order"), [("/v1/payments", PAYMENT), ("/v1/sends", SEND)])
async def test_an_order_reaches_the_till(path: str, order: dict[str, Any]) -> None:
    answered, asked = await both_ways(path, json.dumps(order).encode())
    assert (answered.status, answered.body) == (201, b'{"state":"as the turn says"}')
    assert answered.headers["content-type"] == "application/json"
    ((command, key),) = asked
    assert (command.payer, command.amount, key.key) == (CUSTOMER, order["amount"], "a-key")


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (PAYMENT | {"amount": 0}, "amount_not_positive"),
        (PAYMENT | {"amount": 1.5}, "amount_not_integer"),
        (PAYMENT | {"amount": 10**30}, "amount_too_large"),
        (PAYMENT | {"surprise": 1}, "unknown_field"),
        (PAYMENT | {"currency": "ABC"}, "unknown_currency"),
        (PAYMENT | {"payer": "cus_nobody"}, "bad_id"),
        (PAYMENT | {"note": "4111 1111 1111 1111"}, "card_number_refused"),
        (PAYMENT | {"note": "x" * MAX_BODY_BYTES}, "body_too_large"),
        (PAYMENT | {"merchant": None}, "invalid_value"),
        (PAYMENT | {"amount": "12.00"}, "wrong_type"),
        (PAYMENT | {"amount": "12"}, "wrong_type"),
        ([], "wrong_type"),
    ],
)
async def test_bad_orders_get_their_problem(order: Any, code: str) -> None:
    answered, asked = await both_ways("/v1/payments", json.dumps(order).encode())
    assert json.loads(answered.body)["code"] == code
    assert answered.headers["content-type"] == "application/problem+json"
    assert asked == []


@pytest.mark.parametrize("amount", ["12.00", "12", True, 12.0])
async def test_no_endpoint_reads_an_amount_with_good_will(amount: Any) -> None:
    body = json.dumps({"customer": PAYER, "amount": amount, "currency": "CNY"}).encode()
    till = Till(201)
    answered = await call("/v1/top-ups", [body], b"a-key", till, PRINCIPAL)
    assert (answered.status, till.asked) == (422, [])


async def test_what_is_no_json_gets_its_problem() -> None:
    answered, _ = await both_ways("/v1/payments", b'{"payer": "cus')
    assert json.loads(answered.body)["code"] == "not_json"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"),
        (b"", "idempotency_key_invalid"),
        (b"\xe9", "idempotency_key_invalid"),
    ],
)
async def test_a_key_is_needed(key: bytes | None, code: str) -> None:
    answered, asked = await both_ways("/v1/payments", json.dumps(PAYMENT).encode(), key)
    assert json.loads(answered.body)["code"] == code
    assert asked == []


async def test_the_scope_is_needed() -> None:
    answered, asked = await both_ways("/v1/payments", json.dumps(PAYMENT).encode(), principal=STRANGER)
    assert (answered.status, asked) == (403, [])


async def test_overload_says_when_to_come_back() -> None:
    answered, _ = await both_ways("/v1/payments", json.dumps(PAYMENT).encode(), status=503)
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")


async def test_a_fault_of_ours_is_a_problem_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    answered, _ = await both_ways("/v1/payments", json.dumps(PAYMENT).encode(), status=0)
    assert (answered.status, json.loads(answered.body)["code"]) == (500, "internal")
    assert caplog.text.count("POST /v1/payments failed") == 2

"""The door over HTTP: scopes, keys that end, idempotency of everything, and what happens in trouble."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.api import Api, calling, problem_of
from tests.support.platform import FINE
from tillkeeper import access
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.payments import turn as turn_module
from tillkeeper.store import Store


@pytest.fixture
async def api(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Api]:
    async with calling(store, clock, tmp_path, allow_private_webhooks=True) as made:
        yield made


# -- scopes


ANY = "pay_01h455vb4pex5vsknk084sn02q"
NEEDS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "parties:read": [
        ("GET", "/v1/customers", {}),
        ("POST", "/v1/customers/search", {"phone": "13812345678"}),
        ("GET", "/v1/merchants", {}),
        ("GET", "/v1/customers/{anna}", {}),
        ("GET", "/v1/merchants/{shop}", {}),
        ("GET", "/v1/customers/{anna}/statement?currency=CNY", {}),
        ("GET", "/v1/merchants/{shop}/statement?currency=CNY", {}),
        ("GET", "/v1/customers/{anna}/balance?currency=CNY", {}),
        ("GET", "/v1/merchants/{shop}/balance?currency=CNY", {}),
    ],
    "parties:write": [
        ("POST", "/v1/customers", {"name": "Li", "currencies": ["CNY"]}),
        ("POST", "/v1/merchants", {"name": "Li", "category": "cafe", "currencies": ["CNY"]}),
        ("POST", "/v1/customers/{anna}/wallets", {"currency": "JPY"}),
        ("POST", "/v1/merchants/{shop}/wallets", {"currency": "JPY"}),
        ("POST", "/v1/customers/{anna}/daily-limit", {"currency": "CNY", "daily_limit": None}),
        ("POST", "/v1/customers/{anna}/freeze", {}),
        ("POST", "/v1/customers/{anna}/unfreeze", {}),
        ("POST", "/v1/merchants/{shop}/close", {}),
        ("POST", "/v1/merchants/{shop}/reopen", {}),
    ],
    "payments:read": [("GET", "/v1/payments", {}), ("GET", f"/v1/payments/{ANY}", {})],
    "payments:write": [
        ("POST", "/v1/payments", {"payer": "{anna}", "merchant": "{shop}", "amount": 5, "currency": "CNY"}),
        ("POST", "/v1/sends", {"payer": "{anna}", "payee": "{ben}", "amount": 5, "currency": "CNY"}),
        ("POST", "/v1/top-ups", {"customer": "{anna}", "amount": 5, "currency": "CNY"}),
        ("POST", "/v1/withdrawals", {"owner": "{anna}", "amount": 5, "currency": "CNY"}),
        ("POST", "/v1/merchants/{shop}/qr-codes", {"currency": "CNY"}),
        ("POST", f"/v1/payments/{ANY}/capture", {}),
        ("POST", f"/v1/payments/{ANY}/void", {}),
        ("POST", f"/v1/payments/{ANY}/refunds", {}),
        ("POST", f"/v1/payments/{ANY}/challenge", {"code": "1"}),
    ],
    "risk:read": [
        ("GET", "/v1/rules", {}),
        ("GET", f"/v1/payments/{ANY}/decision", {}),
        ("GET", "/v1/customers/{anna}/timeline", {}),
    ],
    "risk:write": [
        ("POST", "/v1/fraud-reports", {"payment": ANY, "fraud": True}),
        ("POST", "/v1/logins", {"customer": "{anna}", "succeeded": True}),
        ("POST", "/v1/logins/{lgn}/answer", {"passed": True}),
        ("POST", "/v1/settings-changes", {"customer": "{anna}", "kind": "phone"}),
    ],
    "webhooks:read": [
        ("GET", "/v1/webhook-endpoints", {}),
        ("GET", "/v1/webhook-endpoints/{whe}/deliveries", {}),
    ],
    "metrics:read": [("GET", "/metrics", {})],
    "webhooks:write": [
        ("POST", "/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/", "topics": ["*"]}),
        ("POST", "/v1/webhook-endpoints/{whe}/enable", {}),
        ("POST", "/v1/webhook-endpoints/{whe}/replay", {"since": "2026-04-15T12:00:00Z"}),
        ("POST", "/v1/webhook-deliveries/{whd}/replay", {}),
        ("DELETE", "/v1/webhook-endpoints/{whe}", {}),
    ],
}


async def _people(api: Api) -> dict[str, str]:
    await api.customer("anna")
    await api.customer("ben")
    await api.merchant("shop")
    return api.people | {"whe": f"whe_{ANY[4:]}", "whd": f"whd_{ANY[4:]}", "lgn": f"lgn_{ANY[4:]}"}


async def _call(api: Api, token: str, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
    named = {
        name: value.format(**api.people) if isinstance(value, str) else value for name, value in body.items()
    }
    headers = api.headers(authorization=f"Bearer {token}")
    return await api.client.request(
        method, path.format(**api.people), headers=headers, json=None if method == "GET" else named
    )


async def test_every_address_wants_its_scope_and_no_other(api: Api) -> None:
    api.people = await _people(api)
    for scope, calls in NEEDS.items():
        right = await api.new_key([scope])
        wrong = await api.new_key(access.SCOPES - {scope})
        for call in calls:
            refused = await _call(api, wrong, *call)
            assert problem_of(refused)[:2] == (403, "forbidden"), call
            assert scope in refused.json()["detail"]
            assert (await _call(api, right, *call)).status_code not in {401, 403, 500}, call


async def test_the_list_of_addresses_is_complete(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    known = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith(("/v1/", "/metrics"))
    }
    asked = {(method, path.partition("?")[0]) for calls in NEEDS.values() for method, path, _ in calls}
    assert {(method, _shape(path)) for method, path in asked} == {
        (method, _shape(path)) for method, path in known
    }


def _shape(path: str) -> str:
    """An address without the ids in it."""
    return "/".join("_" if "{" in part or part == ANY else part for part in path.split("/"))


async def test_what_needs_no_key(api: Api) -> None:
    assert (await api.client.get("/health")).json() == {"status": "up", "database": "up"}
    assert (await api.client.get("/openapi.json")).json()["openapi"].startswith("3.1")


# -- keys that end


async def test_a_key_ends_when_it_expires(api: Api, clock: ManualClock) -> None:
    token = await api.new_key(expires_at=clock.now() + timedelta(seconds=10))
    headers = {"authorization": f"Bearer {token}"}
    assert (await api.client.get("/v1/customers", headers=headers)).status_code == 200
    clock.advance(9.9)
    assert (await api.client.get("/v1/customers", headers=headers)).status_code == 200
    clock.advance(0.1)
    ended = await api.client.get("/v1/customers", headers=headers)
    assert problem_of(ended)[:2] == (401, "key_expired")
    assert ended.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_key_ends_within_its_trust(api: Api, clock: ManualClock) -> None:
    token = await api.new_key()
    headers = {"authorization": f"Bearer {token}"}
    assert (await api.client.get("/v1/customers", headers=headers)).status_code == 200
    async with api.platform.store.tx("revoke") as tx:
        [key, *_] = await access.list_keys(tx)
        await access.revoke_key(tx, key.id, clock)
    clock.advance(limits.KEY_TRUST_SECONDS)
    assert problem_of(await api.client.get("/v1/customers", headers=headers))[:2] == (401, "unauthenticated")


# -- idempotency over HTTP


async def test_the_same_request_has_one_effect_and_the_same_bytes(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    body = {"payer": anna, "merchant": shop, "amount": FINE, "currency": "CNY"}
    said = await asyncio.gather(*(api.post("/v1/payments", body, idempotency_key="k") for _ in range(6)))
    assert {(each.status_code, each.content) for each in said} == {(201, said[0].content)}
    assert (await api.get(f"/v1/customers/{anna}")).json()["wallets"][0]["balance"] == 1_000_000 - FINE


async def test_the_same_body_at_another_address_is_another_request(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    paid = await api.pay(anna, shop, capture="manual")
    first = await api.post(f"/v1/payments/{paid['id']}/void", {}, idempotency_key="k")
    assert first.status_code == 200
    other = await api.post(f"/v1/payments/{paid['id']}/capture", {}, idempotency_key="k")
    assert problem_of(other)[:2] == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/customers", {"name": "Li", "currencies": ["CNY", "JPY"]}),
        ("/v1/merchants", {"name": "Li", "category": "cafe", "currencies": ["CNY"]}),
        ("/v1/customers/{anna}/wallets", {"currency": "USD"}),
        ("/v1/merchants/{shop}/qr-codes", {"currency": "CNY"}),
        ("/v1/fraud-reports", {"payment": "{paid}", "fraud": True}),
    ],
)
async def test_what_needs_no_turn_keeps_its_key_too_also_at_once(
    api: Api, path: str, body: dict[str, Any], admin: psycopg.AsyncConnection
) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    ids = api.people | {"paid": (await api.pay(anna, shop))["id"]}
    asked = {name: value.format(**ids) if isinstance(value, str) else value for name, value in body.items()}
    said = await asyncio.gather(*(api.post(path.format(**ids), asked, idempotency_key="k") for _ in range(6)))
    assert {(each.status_code, each.content) for each in said} == {(201, said[0].content)}
    again = await api.post(path.format(**ids), asked, idempotency_key="k")
    assert (again.status_code, again.content) == (201, said[0].content)
    other = await api.post(path.format(**ids), asked | {"reference": "other"}, idempotency_key="k")
    assert problem_of(other)[1] in {"idempotency_key_reused", "unknown_field"}
    cursor = await admin.execute("SELECT count(*) FROM risk.labels")
    assert await cursor.fetchone() == (1 if path == "/v1/fraud-reports" else 0,)


async def test_without_a_key_the_same_party_is_opened_twice(api: Api) -> None:
    body = {"name": "Li", "currencies": ["CNY"]}
    said = [await api.post("/v1/customers", body, idempotency_key=None) for _ in range(2)]
    assert said[0].json()["id"] != said[1].json()["id"]


async def test_random_uuids_are_good_keys(api: Api) -> None:
    anna = await api.customer("anna")
    body = {"customer": anna, "amount": 1, "currency": "CNY"}
    key = "60910f86-4070-4540-991d-93ba12341a02"  # its digits alone would pass for a card number
    assert (await api.post("/v1/top-ups", body, idempotency_key=key)).status_code == 201


# -- in trouble


async def test_a_full_queue_is_said_with_when_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    body = {"payer": anna, "merchant": shop, "amount": FINE, "currency": "CNY"}
    monkeypatch.setattr(limits, "MAX_QUEUE", 0)
    refused = await api.post("/v1/payments", body, idempotency_key="k")
    assert problem_of(refused)[:2] == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    monkeypatch.undo()
    assert (await api.post("/v1/payments", body, idempotency_key="k")).status_code == 201


async def test_a_database_that_is_away_is_said(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = await api.customer("anna")
    assert (await api.get("/v1/payments")).status_code == 200

    def away(*_: Any) -> Any:
        raise psycopg.errors.CannotConnectNow

    with monkeypatch.context() as patch:
        patch.setattr(Store, "tx", away)
        patch.setattr(limits, "TURN_TRIES", 1)
        for response in (
            await api.get("/v1/payments"),
            await api.post("/v1/top-ups", {"customer": anna, "amount": 1, "currency": "CNY"}),
            await api.post("/v1/customers", {"name": "Li", "currencies": ["CNY"]}),
            await api.client.get("/v1/payments", headers={"authorization": "Bearer till_abcdefgh_stranger"}),
        ):
            assert problem_of(response)[:2] in {(503, "unavailable"), (401, "unauthenticated")}
        health = await api.client.get("/health")
        assert (health.status_code, health.json()) == (503, {"status": "down", "database": "unreachable"})
    assert (await api.client.get("/health")).status_code == 200


async def test_a_fault_of_ours_says_nothing_of_itself(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(turn_module.Till, "_book", broken)
    body = {"payer": anna, "merchant": shop, "amount": FINE, "currency": "CNY"}
    response = await api.post("/v1/payments", body)
    assert problem_of(response)[:2] == (500, "internal")
    assert "secret" not in response.text


async def test_bodies_just_within_and_beyond_the_limit(api: Api) -> None:
    anna = await api.customer("anna")
    text = f'{{"customer":"{anna}","amount":1,"currency":"CNY"}}'.encode()
    for size, status in ((limits.MAX_BODY_BYTES, 201), (limits.MAX_BODY_BYTES + 1, 413)):
        for path in ("/v1/top-ups", "/v1/payments"):
            content = text.ljust(size)
            response = await api.client.post(path, content=content, headers=api.headers())
            expected = {201: 422}.get(status, status) if path == "/v1/payments" else status
            assert response.status_code == expected, response.text


async def test_a_body_that_comes_in_pieces(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    text = f'{{"payer":"{anna}","merchant":"{shop}","amount":5,"currency":"CNY"}}'.encode()

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(text), 20):
            yield text[at : at + 20]

    response = await api.client.post("/v1/payments", content=pieces(), headers=api.headers())
    assert (response.status_code, response.json()["amount"]) == (201, 5)


async def test_a_caller_who_leaves_in_the_midst_of_a_body_is_no_fault_of_ours(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    transport = api.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    for path in ("/v1/payments", "/v1/top-ups"):
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": b'{"amount"', "more_body": True},
            {"type": "http.disconnect"},
        ]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in api.headers().items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }

        async def receive(messages: list[dict[str, Any]] = messages) -> dict[str, Any]:
            return messages.pop(0)

        async def send(_: Any) -> None:
            pass

        await transport.app(scope, receive, send)
    assert caplog.text == ""


async def test_an_endless_body_is_cut_off(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * limits.MAX_BODY_BYTES:
            sent += 4096
            yield b"[" * 4096

    response = await api.client.post("/v1/payments", content=endless(), headers=api.headers())
    assert problem_of(response)[:2] == (413, "body_too_large")


async def test_deep_nesting_is_a_refusal_too(api: Api) -> None:
    deep = b'{"place":' * 1500 + b"1" + b"}" * 1500
    response = await api.client.post("/v1/payments", content=deep, headers=api.headers())
    assert problem_of(response)[0] in {400, 422}

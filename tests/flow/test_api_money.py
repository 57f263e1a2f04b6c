"""Money over HTTP: each kind of payment from its order to its end, as the caller sees it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import Api, calling, problem_of, uuid_of
from tests.support.platform import ASKED, FINE, HELD, REFUSED
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.payments import expire_due
from tillkeeper.payments.commands import Review
from tillkeeper.store import Store


@pytest.fixture
async def api(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Api]:
    async with calling(store, clock, tmp_path) as made:
        yield made


async def _see(api: Api, payment: dict[str, Any]) -> dict[str, Any]:
    return dict((await api.get(f"/v1/payments/{payment['id']}")).json())


async def _wallet(api: Api, who: str) -> dict[str, Any]:
    kind = "customers" if who.startswith("cus_") else "merchants"
    return dict((await api.get(f"/v1/{kind}/{who}")).json()["wallets"][0])


async def _do(api: Api, payment: dict[str, Any], deed: str, **body: Any) -> httpx.Response:
    return await api.post(f"/v1/payments/{payment['id']}/{deed}", body)


SHAPE = {
    *(
        "id",
        "kind",
        "state",
        "amount",
        "currency",
        "fee",
        "captured",
        "refunded",
        "payer",
        "payee",
        "reference",
    ),
    *(
        "note",
        "risk",
        "reasons",
        "failure",
        "challenge",
        "event_at",
        "created_at",
        "changed_at",
        "expires_at",
    ),
    "refund",
}


async def test_a_payment_with_everything_a_caller_may_say(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop", fee_bps=60)
    paid = await api.pay(
        anna,
        shop,
        10_000,
        reference="order 7",
        note="面条 🍜",
        device="phone-1",
        ip="203.0.113.7",
        place={"lat": 31.2, "lon": 121.5},
    )
    assert set(paid) == SHAPE
    assert (paid["state"], paid["payer"], paid["payee"], paid["fee"]) == ("succeeded", anna, shop, 60)
    assert (paid["reference"], paid["note"], paid["risk"], paid["reasons"]) == (
        "order 7",
        "面条 🍜",
        "allow",
        [],
    )
    assert paid["event_at"] == paid["created_at"] == "2026-04-15T12:00:00Z"
    assert await _see(api, paid) == paid
    decision = (await api.get(f"/v1/payments/{paid['id']}/decision")).json()
    assert (decision["outcome"], decision["payment"], decision["reasons"]) == ("allow", paid["id"], [])
    assert decision["features"]["amount"] == 10_000


async def test_the_same_as_the_api_answers_is_stored_and_told(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    paid = await api.pay(anna, shop)
    async with api.platform.store.tx("news") as tx:
        payload = await tx.value(
            b"SELECT payload FROM store.outbox WHERE subject = %(id)s", {"id": uuid_of(paid["id"])}
        )
    assert payload == paid


@pytest.mark.parametrize(
    ("amount", "funds", "limit", "code"),
    [
        (FINE, 0, None, "insufficient_funds"),
        (FINE, 100_000, FINE - 1, "daily_limit_exceeded"),
        (REFUSED, 100_000, None, "denied_by_risk"),
    ],
)
async def test_a_declined_payment_is_a_result(
    api: Api, amount: int, funds: int, limit: int | None, code: str
) -> None:
    anna, shop = await api.customer("anna", funds=funds, day_limit=limit), await api.merchant("shop")
    declined = await api.pay(anna, shop, amount)
    assert (declined["state"], declined["failure"]["code"], declined["captured"]) == ("declined", code, 0)
    assert declined["failure"]["title"]
    assert await _see(api, declined) == declined
    assert problem_of(await _do(api, declined, "refunds"))[1] == "wrong_state"


async def test_a_hold_its_capture_and_its_refunds(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop", fee_bps=100)
    held = await api.pay(anna, shop, 10_000, capture="manual")
    assert (held["state"], held["expires_at"]) == ("authorized", "2026-04-22T12:00:00Z")
    assert (await _wallet(api, anna))["held"] == 10_000
    captured = (await _do(api, held, "capture", amount=5_000)).json()
    assert (captured["state"], captured["captured"], captured["fee"]) == ("succeeded", 5_000, 50)
    assert await _wallet(api, anna) == {
        "currency": "CNY",
        "balance": 995_000,
        "held": 0,
        "available": 995_000,
        "daily_limit": None,
    }
    part = (await _do(api, held, "refunds", amount=2_000, reason="cold")).json()
    assert (part["state"], part["refunded"], part["refund"]["fee_returned"]) == (
        "partially_refunded",
        2_000,
        20,
    )
    rest = (await _do(api, held, "refunds")).json()
    assert (rest["state"], rest["refunded"], rest["refund"]["amount"]) == ("refunded", 5_000, 3_000)
    assert (await _wallet(api, anna))["balance"] == 1_000_000
    assert (await _wallet(api, shop))["balance"] == 0


async def test_a_void_and_what_is_too_late(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    held = await api.pay(anna, shop, capture="manual")
    assert (await _do(api, held, "void")).json()["state"] == "voided"
    for deed in ("void", "capture", "refunds"):
        assert problem_of(await _do(api, held, deed))[1] == "wrong_state"


async def test_a_challenge_answered_and_one_guessed_at(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    asked, guessed = await api.pay(anna, shop, ASKED), await api.pay(anna, shop, ASKED)
    assert (asked["state"], asked["challenge"]["expires_at"]) == ("challenged", asked["expires_at"])
    assert (await _see(api, asked))["challenge"] is None  # the code is shown once, to who paid
    done = (await _do(api, asked, "challenge", code=asked["challenge"]["sandbox_code"])).json()
    assert done["state"] == "succeeded"
    for _ in range(limits.CHALLENGE_TRIES - 1):
        assert problem_of(await _do(api, guessed, "challenge", code="guess"))[1] == "challenge_failed"
    ended = await _do(api, guessed, "challenge", code="guess")
    assert (ended.status_code, ended.json()["state"]) == (200, "declined")
    assert (await _see(api, guessed))["failure"]["code"] == "challenge_exhausted"
    assert (await _wallet(api, anna))["held"] == 0


async def test_what_a_person_or_the_clock_decides_is_seen(api: Api, clock: ManualClock) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    refused, released, late = [await api.pay(anna, shop, HELD) for _ in range(3)]
    till = api.platform.till
    await till.submit(Review(uuid_of(refused["id"]), release=False, reviewer="mei", reason="stolen"))
    await till.submit(Review(uuid_of(released["id"]), release=True, reviewer="mei", reason="known"))
    clock.advance(limits.REVIEW_SECONDS)
    await expire_due(api.platform.store, till.submit, clock)
    seen = [await _see(api, each) for each in (refused, released, late)]
    assert [(each["state"], (each["failure"] or {}).get("code")) for each in seen] == [
        ("declined", "refused_by_reviewer"),
        ("succeeded", None),
        ("expired", "expired"),
    ]


@pytest.mark.parametrize(
    ("accepted", "state", "code"), [(True, "succeeded", None), (False, "failed", "rejected_by_bank")]
)
async def test_top_ups_and_withdrawals_end_with_the_banks_word(
    api: Api, *, accepted: bool, state: str, code: str | None
) -> None:
    anna = await api.customer("anna")
    body = {"amount": 500, "currency": "CNY"}
    made = [
        (await api.post("/v1/top-ups", body | {"customer": anna})).json(),
        (await api.post("/v1/withdrawals", body | {"owner": anna})).json(),
    ]
    assert [(each["kind"], each["state"]) for each in made] == [
        ("top_up", "pending"),
        ("withdrawal", "pending"),
    ]
    assert [(each["payer"], each["payee"]) for each in made] == [(None, anna), (anna, None)]
    for each in made:
        await api.platform.settle(uuid_of(each["id"]), accepted=accepted)
        seen = await _see(api, each)
        assert (seen["state"], (seen["failure"] or {}).get("code")) == (state, code)
    assert (await _wallet(api, anna))["balance"] == 1_000_000


async def test_money_between_people_and_to_a_merchants_bank(api: Api) -> None:
    anna, ben, shop = (
        await api.customer("anna"),
        await api.customer("ben"),
        await api.merchant("shop", fee_bps=0),
    )
    body = {"payer": anna, "payee": ben, "amount": 300, "currency": "CNY", "note": "lunch"}
    sent = (await api.post("/v1/sends", body)).json()
    assert (sent["kind"], sent["state"], sent["payee"], sent["fee"]) == ("send", "succeeded", ben, 0)
    await api.pay(anna, shop, 1000)
    payout = (await api.post("/v1/withdrawals", {"owner": shop, "amount": 1000, "currency": "CNY"})).json()
    assert (payout["kind"], payout["state"], payout["payer"]) == ("payout", "pending", shop)


@pytest.mark.parametrize(
    ("currency", "amount", "fee"),
    [("CNY", 1234, 7), ("JPY", 50, 0), ("JPY", 5000, 30), ("KWD", 12_345, 74)],
)
async def test_currencies_with_none_two_and_three_decimals(
    api: Api, currency: str, amount: int, fee: int
) -> None:
    anna = await api.customer("anna", currencies=[currency], funds=5_000_000)
    shop = await api.merchant("shop", currencies=[currency], fee_bps=60)
    paid = await api.pay(anna, shop, amount, currency=currency)
    assert (paid["state"], paid["amount"], paid["currency"], paid["fee"]) == (
        "succeeded",
        amount,
        currency,
        fee,
    )
    assert (await _wallet(api, shop))["balance"] == amount - fee


async def test_the_largest_amount_there_is(api: Api) -> None:
    anna = await api.customer("anna", funds=limits.MAX_AMOUNT)
    shop = await api.merchant("shop")
    held = await api.pay(anna, shop, limits.MAX_AMOUNT)
    await api.platform.till.submit(Review(uuid_of(held["id"]), release=True, reviewer="mei", reason=""))
    assert (await _see(api, held))["captured"] == limits.MAX_AMOUNT


async def test_a_code_that_a_merchant_shows(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    made = await api.post(
        f"/v1/merchants/{shop}/qr-codes", {"currency": "CNY", "amount": 300, "reference": "table 4"}
    )
    code = made.json()
    assert (made.status_code, code["payload"]) == (201, f"till://pay/{code['id']}")
    assert code["svg"].startswith("<svg")
    body = {"payer": anna, "qr": code["id"], "amount": 300, "currency": "CNY"}
    paid = (await api.post("/v1/payments", body)).json()
    assert (paid["state"], paid["payee"]) == ("succeeded", shop)
    assert problem_of(await api.post("/v1/payments", body))[1] == "qr_paid"


async def test_a_report_of_fraud_is_heard_by_risk(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    paid = await api.pay(anna, shop)
    reported = await api.post("/v1/fraud-reports", {"payment": paid["id"], "fraud": True})
    assert reported.status_code == 201
    assert reported.json() == {"payment": paid["id"], "fraud": True, "known_at": "2026-04-15T12:00:00Z"}
    async with api.platform.store.tx("labels") as tx:
        assert await tx.tuples(b"SELECT payment, fraud FROM risk.labels") == [(uuid_of(paid["id"]), True)]


async def test_the_rules_in_force(api: Api) -> None:
    rules = (await api.get("/v1/rules")).json()
    assert [(rule["name"], rule["outcome"]) for rule in rules["rules"]] == [
        ("very_large", "hold"),
        ("large", "challenge"),
        ("unlucky", "deny"),
    ]

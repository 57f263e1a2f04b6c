"""Customers, merchants and their wallets over HTTP; lists and statements page by page."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api, calling, problem_of
from tests.support.platform import FINE
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.money import currencies
from tillkeeper.store import Store


@pytest.fixture
async def api(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Api]:
    async with calling(store, clock, tmp_path, default_daily_limit=7_000, default_fee_bps=45) as made:
        yield made


async def _pages(api: Api, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    """Every page of a list, by following its cursors."""
    pages, cursor = [], dict[str, str]()
    for _ in range(50):
        page = (await api.get(path, **params, **cursor)).json()
        pages.append(page["data"])
        if page["next_cursor"] is None:
            return pages
        cursor = {"cursor": page["next_cursor"]}
    pytest.fail("a list without an end")


async def test_a_customer_as_opened_and_as_found(api: Api) -> None:
    body = {"name": "李明", "currencies": ["CNY", "JPY"], "reference": "crm-1"}
    made = await api.post("/v1/customers", body)
    customer = made.json()
    assert made.status_code == 201
    empty = {"balance": 0, "held": 0, "available": 0, "daily_limit": 7_000}
    assert customer["wallets"] == [{"currency": "CNY"} | empty, {"currency": "JPY"} | empty]
    assert (customer["name"], customer["state"], customer["reference"]) == ("***", "active", "crm-1")
    found = (await api.get(f"/v1/customers/{customer['id']}")).json()
    assert found == customer | {"name": "李**"}
    assert (await api.get("/v1/customers", reference="crm-1")).json() == {
        "data": [found],
        "next_cursor": None,
    }
    assert (await api.get("/v1/customers", reference="crm-2")).json()["data"] == []


WANG = {
    "name": "王小明",
    "phone": "138 1234 5678",
    "id_number": "11010519491231002x",
    "currencies": ["CNY"],
    "reference": "wang",
}


async def test_personal_data_come_back_as_masks_only(api: Api) -> None:
    made = await api.post("/v1/customers", WANG)
    assert made.status_code == 201
    assert [made.json()[field] for field in ("name", "phone", "id_number")] == ["***"] * 3
    path = f"/v1/customers/{made.json()['id']}"
    for answer in (
        (await api.get(path)).json(),
        (await api.get("/v1/customers", reference="wang")).json()["data"][0],
        (await api.get("/v1/customers")).json()["data"][0],
        (await api.post(f"{path}/freeze")).json(),
    ):
        assert (answer["name"], answer["phone"], answer["id_number"]) == ("王**", "138****5678", "1***X")


@pytest.mark.parametrize(
    "wanted",
    [
        *({"phone": text} for text in ("13812345678", "+86 138-1234-5678", "００８６１３８１２３４５６７８")),
        *({"id_number": text} for text in ("11010519491231002X", " 11010519491231002x")),
        *({"name": text} for text in ("王小明", " 王 小明 ")),
    ],
)
async def test_people_are_found_by_the_whole_of_what_they_gave(api: Api, wanted: dict[str, str]) -> None:
    for n, name in enumerate(["王小明", "王小", "小明", "王小明明"]):
        await api.post("/v1/customers", {"name": name, "currencies": ["CNY"], "phone": f"1390000000{n}"})
    ids = {(await api.post("/v1/customers", WANG)).json()["id"]}
    found = (await api.post("/v1/customers/search", wanted)).json()
    if "name" in wanted:
        assert {each["name"] for each in found["data"]} == {"王**"}
        assert len(found["data"]) == 2
        assert ids < {each["id"] for each in found["data"]}
    else:
        assert {each["id"] for each in found["data"]} == ids
    assert found["next_cursor"] is None


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, None),
        ({"phone": "13812345678", "name": "王小明"}, None),
        ({"phone": "12345"}, "phone"),
        ({"id_number": "110105194912310021"}, "id_number"),
    ],
)
async def test_a_search_that_makes_no_sense(api: Api, wanted: dict[str, str], field: str | None) -> None:
    refused = await api.post("/v1/customers/search", wanted)
    assert problem_of(refused) == (422, "invalid_value", field)


async def test_searches_for_people_are_counted(
    api: Api, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(limits.LOOKUPS):
        assert (await api.post("/v1/customers/search", {"phone": f"138{n:08d}"})).status_code == 200
    for _ in range(3):
        refused = await api.post("/v1/customers/search", {"phone": "13812345678"})
        assert problem_of(refused)[:2] == (429, "too_many_lookups")
        assert refused.headers["retry-after"]
    async with api.platform.store.tx("audit") as tx:
        noted = await tx.tuples(b"SELECT actor, result FROM audit.events WHERE action = 'customer.searched'")
    assert noted == [("key:test", "refused")]
    clock.advance(limits.LOOKUPS_SECONDS / limits.LOOKUPS)
    assert (await api.post("/v1/customers/search", {"phone": "13812345678"})).status_code == 200


async def test_the_same_request_is_told_from_another_without_a_hash_of_the_person(api: Api) -> None:
    said = [await api.post("/v1/customers", WANG, idempotency_key="k") for _ in range(2)]
    assert said[0].status_code == 201
    assert said[0].content == said[1].content
    for change in ({"name": "王小红"}, {"phone": "13912345678"}, {"id_number": None}, {"reference": "other"}):
        other = await api.post("/v1/customers", WANG | change, idempotency_key="k")
        assert problem_of(other)[:2] == (409, "idempotency_key_reused"), change
    async with api.platform.store.tx("idempotency") as tx:
        ((input_hash, body),) = await tx.tuples(
            b"SELECT input_hash, body FROM store.idempotency WHERE key = 'k'"
        )
    kept = json.loads(bytes(body))
    del kept["id"]  # which may hold any digits
    for text in ("王", "138", "5678", "1101"):
        assert text not in json.dumps(kept, ensure_ascii=False)
    hashes = {
        hashlib.sha256(b"POST /v1/customers\n" + json.dumps(WANG | change).encode()).digest()
        for change in ({}, {"phone": "+8613812345678"}, {"id_number": "11010519491231002X"})
    }
    assert bytes(input_hash) not in hashes


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"phone": "12345"}, "phone", "invalid_value"),
        ({"phone": "4111111111111111"}, "phone", "invalid_value"),
        ({"id_number": "110105194912310021"}, "id_number", "invalid_value"),
        ({"id_number": "4111 1111 1111 1111"}, "id_number", "card_number_refused"),
        ({"name": "Li, cvv 123"}, "name", "security_code_refused"),
        ({"reference": "４１１１１１１１１１１１１１１１"}, "reference", "card_number_refused"),
        ({"cvv": "123"}, "cvv", "security_code_refused"),
        ({"card_number": "x"}, "card_number", "card_number_refused"),
    ],
)
async def test_what_is_no_number_of_a_person(api: Api, change: dict[str, str], field: str, code: str) -> None:
    refused = await api.post("/v1/customers", WANG | change)
    assert problem_of(refused) == (422, code, field)
    assert not any(value in refused.text for value in change.values() if len(value) > 5)
    assert (await api.get("/v1/customers")).json()["data"] == []


async def test_a_merchant_as_opened_and_as_found(api: Api) -> None:
    place = {"lat": 31.2, "lon": 121.5}
    body = {
        "name": "老街面馆",
        "category": "restaurant",
        "currencies": ["CNY"],
        "place": place,
        "reference": "m",
    }
    merchant = (await api.post("/v1/merchants", body)).json()
    assert (merchant["fee_bps"], merchant["place"], merchant["wallets"][0]["daily_limit"]) == (
        45,
        place,
        None,
    )
    assert (await api.get(f"/v1/merchants/{merchant['id']}")).json() == merchant
    assert (await api.get("/v1/merchants", reference="m")).json()["data"] == [merchant]
    free = (await api.post("/v1/merchants", body | {"fee_bps": 0, "reference": None, "place": None})).json()
    assert (free["fee_bps"], free["place"]) == (0, None)


@pytest.mark.parametrize(
    ("given", "limit"), [({}, 7_000), ({"daily_limit": None}, None), ({"daily_limit": 0}, 0)]
)
async def test_a_daily_limit_left_out_none_or_nothing(
    api: Api, given: dict[str, Any], limit: int | None
) -> None:
    made = await api.post("/v1/customers", {"name": "Li", "currencies": ["CNY"]} | given)
    assert made.json()["wallets"][0]["daily_limit"] == limit


async def test_a_limit_that_is_changed(api: Api) -> None:
    anna, shop = await api.customer("anna", day_limit=1000), await api.merchant("shop")
    assert (await api.pay(anna, shop, 1001))["state"] == "declined"
    path = f"/v1/customers/{anna}/daily-limit"
    changed = await api.post(path, {"currency": "CNY", "daily_limit": 1001})
    assert changed.json()["wallets"][0]["daily_limit"] == 1001
    assert (await api.pay(anna, shop, 1001))["state"] == "succeeded"
    assert problem_of(await api.post(path, {"currency": "JPY", "daily_limit": 1}))[1] == "unknown_wallet"


async def test_one_more_wallet(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    for path, limit in ((f"/v1/customers/{anna}", 7_000), (f"/v1/merchants/{shop}", None)):
        made = await api.post(f"{path}/wallets", {"currency": "JPY"})
        assert (made.status_code, made.json()["currency"], made.json()["daily_limit"]) == (201, "JPY", limit)
        assert [each["currency"] for each in (await api.get(path)).json()["wallets"]] == ["CNY", "JPY"]


async def test_wallets_have_an_end(api: Api) -> None:
    many = sorted(currencies() - {"CNY"})[: limits.MAX_WALLETS]
    anna = await api.customer("anna", funds=0)
    for currency in many[: limits.MAX_WALLETS - 1]:
        assert (await api.post(f"/v1/customers/{anna}/wallets", {"currency": currency})).status_code == 201
    refused = await api.post(f"/v1/customers/{anna}/wallets", {"currency": many[-1]})
    assert problem_of(refused) == (409, "too_many_wallets", "currencies")


async def test_frozen_customers_neither_pay_nor_receive(api: Api) -> None:
    anna, ben, shop = await api.customer("anna"), await api.customer("ben"), await api.merchant("shop")
    held = await api.pay(anna, shop, capture="manual")
    assert (await api.post(f"/v1/customers/{anna}/freeze")).json()["state"] == "frozen"
    send = {"payer": ben, "payee": anna, "amount": 5, "currency": "CNY"}
    assert problem_of(await api.post("/v1/sends", send)) == (409, "customer_frozen", "payee")
    top_up = {"customer": anna, "amount": 5, "currency": "CNY"}
    assert problem_of(await api.post("/v1/top-ups", top_up))[1] == "customer_frozen"
    # What was begun before may end.
    assert (await api.post(f"/v1/payments/{held['id']}/capture")).json()["state"] == "succeeded"
    assert (await api.post(f"/v1/customers/{anna}/unfreeze")).json()["state"] == "active"
    assert (await api.post("/v1/sends", send)).json()["state"] == "succeeded"


async def test_closed_merchants_take_nothing_and_still_give_back(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    paid = await api.pay(anna, shop)
    assert (await api.post(f"/v1/merchants/{shop}/close")).json()["state"] == "closed"
    body = {"payer": anna, "merchant": shop, "amount": 5, "currency": "CNY"}
    assert problem_of(await api.post("/v1/payments", body))[1] == "merchant_closed"
    assert (await api.post(f"/v1/payments/{paid['id']}/refunds")).json()["state"] == "refunded"
    assert (await api.post(f"/v1/merchants/{shop}/reopen")).json()["state"] == "active"
    assert (await api.post("/v1/payments", body)).json()["state"] == "succeeded"


async def test_what_is_done_to_people_is_on_record(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    for path in (f"customers/{anna}/freeze", f"customers/{anna}/unfreeze", f"merchants/{shop}/close"):
        await api.post(f"/v1/{path}")
    await api.post(f"/v1/customers/{anna}/daily-limit", {"currency": "CNY", "daily_limit": 5})
    async with api.platform.store.tx("audit") as tx:
        rows = await tx.tuples(
            b"SELECT action, subject FROM audit.events WHERE actor = 'key:test' ORDER BY id"
        )
    assert rows == [
        ("customer.frozen", anna),
        ("customer.unfrozen", anna),
        ("merchant.closed", shop),
        ("customer.daily_limit_changed", anna),
    ]


# -- page by page


async def test_payments_page_by_page_newest_first(api: Api) -> None:
    anna, ben, shop = (
        await api.customer("anna"),
        await api.customer("ben", funds=0),
        await api.merchant("shop"),
    )
    made = [(await api.pay(anna, shop, 10 + n, reference=f"r{n % 3}"))["id"] for n in range(7)]
    poor = (await api.pay(ben, shop, 5))["id"]
    pages = await _pages(api, "/v1/payments", limit=3)
    ids = [each["id"] for page in pages for each in page]
    assert ids[:8] == [poor, *reversed(made)]  # then the top-up
    assert [len(page) for page in pages] == [3, 3, 3]
    by_party = [each["id"] for page in await _pages(api, "/v1/payments", limit=2, party=ben) for each in page]
    assert by_party == [poor]
    at_shop = [each["id"] for page in await _pages(api, "/v1/payments", limit=5, party=shop) for each in page]
    assert at_shop == [poor, *reversed(made)]
    declined = await _pages(api, "/v1/payments", state="declined")
    assert [[each["id"] for each in page] for page in declined] == [[poor]]
    referred = await _pages(api, "/v1/payments", limit=1, reference="r1")
    assert [each["id"] for page in referred for each in page] == [made[4], made[1]]


async def test_a_list_that_grows_while_it_is_read_shows_each_once(api: Api) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    made = [(await api.pay(anna, shop))["id"] for _ in range(4)]
    first = (await api.get("/v1/payments", limit=2)).json()
    await api.pay(anna, shop)
    second = (await api.get("/v1/payments", limit=2, cursor=first["next_cursor"])).json()
    assert [each["id"] for page in (first, second) for each in page["data"]] == made[::-1]


async def test_people_page_by_page(api: Api) -> None:
    made = [await api.customer(f"c{n}", funds=0) for n in range(5)]
    shops = [await api.merchant(f"m{n}") for n in range(4)]
    pages = await _pages(api, "/v1/customers", limit=2)
    assert [each["id"] for page in pages for each in page] == made[::-1]
    pages = await _pages(api, "/v1/merchants", limit=4)
    assert [each["id"] for page in pages for each in page] == shops[::-1]


async def test_a_statement_adds_up_line_by_line(api: Api, clock: ManualClock) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop", fee_bps=100)
    for amount in (100, 2000, 30_000):
        clock.advance(60)
        await api.pay(anna, shop, amount)
    pages = await _pages(api, f"/v1/customers/{anna}/statement", currency="CNY", limit=2)
    lines = [each for page in pages for each in page]
    assert [(each["kind"], each["amount"], each["balance"]) for each in lines] == [
        ("payment", -30_000, 967_900),
        ("payment", -2000, 997_900),
        ("payment", -100, 999_900),
        ("top_up", 1_000_000, 1_000_000),
    ]
    ours = [
        each for page in await _pages(api, f"/v1/merchants/{shop}/statement", currency="CNY") for each in page
    ]
    assert [each["amount"] for each in ours] == [-300, 30_000, -20, 2000, -1, 100]
    assert sum(each["amount"] for each in ours) == ours[0]["balance"]


async def test_a_balance_as_of_any_moment(api: Api, clock: ManualClock) -> None:
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    moments = [clock.now()]
    for _ in range(3):
        clock.advance(3600)
        await api.pay(anna, shop, FINE)
        moments.append(clock.now())
    path = f"/v1/customers/{anna}/balance"
    for paid, moment in enumerate(moments):
        found = (await api.get(path, currency="CNY", at=moment.isoformat())).json()
        assert found["booked"] == found["by_event"] == 1_000_000 - paid * FINE
    assert (await api.get(path, currency="CNY", at="2020-01-01T00:00:00Z")).json()["booked"] == 0
    assert (await api.get(path, currency="CNY")).json()["booked"] == 1_000_000 - 3 * FINE
    shanghai = (await api.get(path, currency="CNY", at="2026-04-15T20:30:00+08:00")).json()
    assert (shanghai["booked"], shanghai["at"]) == (1_000_000, "2026-04-15T12:30:00Z")

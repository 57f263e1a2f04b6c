"""Every problem code, caused by an input over HTTP: the code, the field at fault, and that nothing was changed.

One house for the whole file: nothing may change in it, and after every case it is compared with what it was.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
import pytest_asyncio

from tests.support.api import Api, calling, problem_of, uuid_of
from tests.support.books import NOON
from tests.support.platform import ASKED, FINE
from tests.support.postgres import Database
from tillkeeper import parties
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import PROBLEMS
from tillkeeper.store import Store

pytestmark = pytest.mark.asyncio(loop_scope="module")

CARD = "4111 1111 1111 1111"
Admin = psycopg.AsyncConnection[Any]


class House(NamedTuple):
    """A caller, and payments in states that the cases need."""

    api: Api
    ids: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("rules")
    async with (
        Store.opened(module_database.app_url) as store,
        calling(store, ManualClock(NOON), folder, allow_private_webhooks=False) as api,
    ):
        yield House(api, await _furnish(api))


async def _furnish(api: Api) -> dict[str, str]:
    for name in ("anna", "ben", "frozen"):
        await api.customer(name)
    await api.customer("poor", funds=0)
    await api.customer("yen", currencies=["JPY"])
    for name in ("shop", "closed"):
        await api.merchant(name)
    await api.merchant("yen_shop", currencies=["JPY"])
    ids = dict(api.people)
    async with api.platform.store.tx("states") as tx:
        assert await parties.set_customer_state(tx, uuid_of(ids["frozen"]), "frozen")
        assert await parties.set_merchant_state(tx, uuid_of(ids["closed"]), "closed")
    made = {
        "paid": await api.pay(ids["anna"], ids["shop"], 1000),
        "spent": await api.pay(ids["anna"], ids["shop"], 1000),
        "authorized": await api.pay(ids["anna"], ids["shop"], 1000, capture="manual"),
        "challenged": await api.pay(ids["anna"], ids["shop"], ASKED),
    }
    ids |= {name: payment["id"] for name, payment in made.items()}
    ids["code"] = made["challenged"]["challenge"]["sandbox_code"]
    for name, fields in {
        "qr_fixed": {"amount": 300},
        "qr_paid": {"amount": 200},
        "qr_late": {"expires_in": 1},
    }.items():
        response = await api.post(f"/v1/merchants/{ids['shop']}/qr-codes", {"currency": "CNY"} | fields)
        ids[name] = response.json()["id"]
    await _pay_by(api, ids["anna"], ids["qr_paid"], 200)
    clock = api.platform.clock
    assert isinstance(clock, ManualClock)
    clock.advance(2)
    body = {"name": "Li", "currencies": ["CNY"], "reference": "taken"}
    assert (await api.post("/v1/customers", body)).status_code == 201
    await api.post("/v1/payments", _payment(ids), idempotency_key="used")
    # The merchant's whole balance is on its way out: a refund cannot be covered.
    balance = (await api.get(f"/v1/merchants/{ids['shop']}")).json()["wallets"][0]["available"]
    response = await api.post("/v1/withdrawals", {"owner": ids["shop"], "amount": balance, "currency": "CNY"})
    assert response.json()["state"] == "pending", response.text
    return ids


async def _pay_by(api: Api, payer: str, qr: str, amount: int) -> None:
    body = {"payer": payer, "qr": qr, "amount": amount, "currency": "CNY"}
    assert (await api.post("/v1/payments", body)).json()["state"] == "succeeded"


def _payment(ids: dict[str, str], **more: Any) -> dict[str, Any]:
    """The body of a payment that would be taken, but for what is changed; None leaves a field out."""
    body = {"payer": ids["anna"], "merchant": ids["shop"], "amount": FINE, "currency": "CNY"} | more
    return {name: value for name, value in body.items() if value is not ...}


class Case(NamedTuple):
    """A refusal, and how to cause it."""

    code: str
    field: str | None
    cause: Callable[[House], Awaitable[httpx.Response]]


def paying(code: str, field: str | None, **change: Any) -> Case:
    """A payment with something changed. A value that starts with @ is the id of that name."""

    async def cause(house: House) -> httpx.Response:
        change_ = {name: house.ids[value[1:]] if _is_name(value) else value for name, value in change.items()}
        return await house.api.post("/v1/payments", _payment(house.ids, **change_))

    return Case(code, field, cause)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("@")


def posting(code: str, field: str | None, path: str, body: Any, **headers: str | None) -> Case:
    """A POST; {names} in path and body are ids."""

    async def cause(house: House) -> httpx.Response:
        named = {
            name: value.format(**house.ids) if isinstance(value, str) else value
            for name, value in body.items()
        }
        return await house.api.post(path.format(**house.ids), named, **headers)

    return Case(code, field, cause)


def raw(code: str, content: bytes, field: str | None = None) -> Case:
    """A payment's body as bytes."""

    async def cause(house: House) -> httpx.Response:
        headers = house.api.headers() | {"content-type": "application/json"}
        return await house.api.client.post("/v1/payments", content=content, headers=headers)

    return Case(code, field, cause)


def getting(code: str, field: str | None, path: str, **params: Any) -> Case:
    async def cause(house: House) -> httpx.Response:
        return await house.api.get(path.format(**house.ids), **params)

    return Case(code, field, cause)


def with_key(code: str, **headers: str | None) -> Case:
    """A good payment with another Authorization header."""

    async def cause(house: House) -> httpx.Response:
        return await house.api.post("/v1/payments", _payment(house.ids), **headers)

    return Case(code, None, cause)


async def _expired_key(house: House) -> httpx.Response:
    clock = house.api.platform.clock
    token = await house.api.new_key(expires_at=clock.now() + timedelta(seconds=1))
    assert isinstance(clock, ManualClock)
    clock.advance(1)
    return await house.api.post("/v1/payments", _payment(house.ids), authorization=f"Bearer {token}")


async def _card_number_as_field(house: House) -> httpx.Response:
    return await house.api.post("/v1/payments", _payment(house.ids) | {CARD: 1})


async def _reading_key(house: House) -> httpx.Response:
    token = await house.api.new_key(["payments:read"])
    return await house.api.post("/v1/payments", _payment(house.ids), authorization=f"Bearer {token}")


async def _wrong_method(house: House) -> httpx.Response:
    return await house.api.client.put("/v1/payments", json={}, headers=house.api.headers())


NOBODY, NOBODYS_SHOP = to_typeid("cus", new_id()), to_typeid("mer", new_id())
NOTHING, NO_CODE = to_typeid("pay", new_id()), to_typeid("qr", new_id())
LONG = "x" * (limits.MAX_TEXT + 1)
CUSTOMER = {"name": "Li", "currencies": ["CNY"]}
TOP_UP = {"customer": "{anna}", "amount": 5, "currency": "CNY"}

CASES = [
    # -- the door
    raw("not_json", b"{"),
    raw("not_json", b""),
    raw("not_json", b"\xff\xfe"),
    raw("not_json", b'{"amount": 100'),
    raw("not_json", b'{"payer": "\xff\xfe"}'),
    raw("wrong_type", b"[]"),
    raw("body_too_large", b'{"note": "' + b"x" * limits.MAX_BODY_BYTES + b'"}'),
    with_key("unauthenticated", authorization=None),
    with_key("unauthenticated", authorization="Bearer till_unknown_0000"),
    with_key("unauthenticated", authorization="Basic dXNlcjpwYXNz"),
    Case("key_expired", None, _expired_key),
    Case("forbidden", None, _reading_key),
    getting("not_found", None, "/v1/nothing"),
    getting("not_found", None, "/nothing"),
    Case("method_not_allowed", None, _wrong_method),
    # -- the input
    paying("wrong_type", "amount", amount="100"),
    paying("wrong_type", "payer", payer=7),
    paying("wrong_type", "place", place="here"),
    paying("missing_field", "payer", payer=...),
    paying("missing_field", "amount", amount=...),
    paying("missing_field", "place.lon", place={"lat": 1}),
    paying("unknown_field", "amont", amont=5),
    paying("unknown_field", "place.height", place={"lat": 1, "lon": 2, "height": 3}),
    paying("invalid_value", "capture", capture="later"),
    paying("invalid_value", "place.lat", place={"lat": 91, "lon": 0}),
    paying("invalid_value", "note", note="a\x00b"),
    paying("invalid_value", "note", note=""),
    paying("invalid_value", "merchant", merchant=...),
    paying("invalid_value", "merchant", qr="@qr_fixed"),
    posting("invalid_value", "currencies", "/v1/customers", CUSTOMER | {"currencies": []}),
    posting("invalid_value", "currencies", "/v1/customers", CUSTOMER | {"currencies": ["CNY", "CNY"]}),
    posting("invalid_value", "daily_limit", "/v1/customers", CUSTOMER | {"daily_limit": -1}),
    getting("invalid_value", "limit", "/v1/payments", limit=0),
    getting("invalid_value", "limit", "/v1/payments", limit=limits.PAGE_MAX + 1),
    getting("wrong_type", "limit", "/v1/payments", limit="many"),
    getting("invalid_value", "state", "/v1/payments", state="lost"),
    getting("invalid_value", "at", "/v1/customers/{anna}/balance", currency="CNY", at="2026-04-15T12:00:00"),
    getting("missing_field", "currency", "/v1/customers/{anna}/statement"),
    paying("bad_id", "payer", payer="anna"),
    paying("bad_id", "payer", payer="@shop"),
    paying("bad_id", "merchant", merchant="@anna"),
    getting("bad_id", "payment", "/v1/payments/pay_1"),
    getting("bad_id", "customer", "/v1/customers/{shop}"),
    getting("bad_id", "party", "/v1/payments", party="somebody"),
    posting("bad_id", "owner", "/v1/withdrawals", {"owner": "bank", "amount": 1, "currency": "CNY"}),
    paying("unknown_currency", "currency", currency="yuan"),
    paying("unknown_currency", "currency", currency="XXX"),
    posting("unknown_currency", "currencies", "/v1/customers", CUSTOMER | {"currencies": ["CNY", "DEM"]}),
    getting("unknown_currency", "currency", "/v1/customers/{anna}/statement", currency="XTS"),
    paying("amount_not_positive", "amount", amount=0),
    paying("amount_not_positive", "amount", amount=-1),
    paying("amount_too_large", "amount", amount=limits.MAX_AMOUNT + 1),
    paying("amount_too_large", "amount", amount=10**30),
    paying("amount_not_integer", "amount", amount=12.5),
    posting("amount_not_integer", "amount", "/v1/top-ups", TOP_UP | {"amount": 0.001}),
    paying("text_too_long", "note", note=LONG),
    posting("text_too_long", "name", "/v1/customers", CUSTOMER | {"name": LONG}),
    getting("bad_cursor", "cursor", "/v1/payments", cursor="page2"),
    getting("bad_cursor", "cursor", "/v1/customers", cursor="{anna}"),
    getting("bad_cursor", "cursor", "/v1/customers/{anna}/statement", currency="CNY", cursor="-1"),
    getting("bad_cursor", "cursor", "/v1/customers/{anna}/statement", currency="CNY", cursor="9" * 19),
    posting("idempotency_key_missing", "Idempotency-Key", "/v1/top-ups", TOP_UP, idempotency_key=None),
    posting("idempotency_key_invalid", "Idempotency-Key", "/v1/top-ups", TOP_UP, idempotency_key=""),
    posting("idempotency_key_invalid", "Idempotency-Key", "/v1/top-ups", TOP_UP, idempotency_key="k" * 201),
    posting("idempotency_key_invalid", "Idempotency-Key", "/v1/top-ups", TOP_UP, idempotency_key="a\tb"),
    posting("card_number_refused", "Idempotency-Key", "/v1/top-ups", TOP_UP, idempotency_key=CARD),
    Case("card_number_refused", None, _card_number_as_field),
    getting("card_number_refused", "customer", f"/v1/customers/{CARD}"),
    getting("card_number_refused", "currency", "/v1/customers/{anna}/statement", currency=CARD),
    posting("idempotency_key_reused", "Idempotency-Key", "/v1/top-ups", TOP_UP, idempotency_key="used"),
    # -- the flows
    posting(
        "same_party",
        "payee",
        "/v1/sends",
        {"payer": "{anna}", "payee": "{anna}", "amount": 5, "currency": "CNY"},
    ),
    paying("unknown_customer", "payer", payer=NOBODY),
    getting("unknown_customer", None, f"/v1/customers/{NOBODY}"),
    posting("unknown_customer", "customer", "/v1/top-ups", TOP_UP | {"customer": NOBODY}),
    paying("unknown_merchant", "merchant", merchant=NOBODYS_SHOP),
    getting("unknown_merchant", None, f"/v1/merchants/{NOBODYS_SHOP}"),
    posting("not_found", None, f"/v1/customers/{NOBODY}/wallets", {"currency": "CNY"}),
    getting("unknown_payment", None, f"/v1/payments/{NOTHING}"),
    getting("unknown_payment", None, f"/v1/payments/{NOTHING}/decision"),
    posting("unknown_payment", "payment", f"/v1/payments/{NOTHING}/refunds", {}),
    posting("unknown_payment", "payment", "/v1/fraud-reports", {"payment": NOTHING, "fraud": True}),
    paying("unknown_wallet", "payer", payer="@yen"),
    paying("unknown_wallet", "merchant", merchant="@yen_shop"),
    paying("unknown_wallet", "payer", currency="JPY"),
    posting("unknown_wallet", "customer", "/v1/top-ups", TOP_UP | {"currency": "JPY"}),
    getting("unknown_wallet", "currency", "/v1/customers/{anna}/statement", currency="JPY"),
    paying("unknown_qr", "qr", merchant=..., qr=NO_CODE),
    paying("qr_expired", "qr", merchant=..., qr="@qr_late"),
    paying("qr_paid", "qr", merchant=..., qr="@qr_paid", amount=200),
    paying("qr_mismatch", "amount", merchant=..., qr="@qr_fixed", amount=301),
    paying("customer_frozen", "payer", payer="@frozen"),
    paying("merchant_closed", "merchant", merchant="@closed"),
    posting("wallet_exists", "currencies", "/v1/customers/{anna}/wallets", {"currency": "CNY"}),
    posting("reference_taken", "reference", "/v1/customers", CUSTOMER | {"reference": "taken"}),
    posting("wrong_state", None, "/v1/payments/{paid}/capture", {}),
    posting("wrong_state", None, "/v1/payments/{authorized}/refunds", {}),
    posting("wrong_state", None, "/v1/payments/{authorized}/challenge", {"code": "123456"}),
    posting("exceeds_captured", "amount", "/v1/payments/{paid}/refunds", {"amount": 1001}),
    posting("exceeds_hold", "amount", "/v1/payments/{authorized}/capture", {"amount": 1001}),
    posting("challenge_failed", "code", "/v1/payments/{challenged}/challenge", {"code": "none"}),
    posting("insufficient_funds", "amount", "/v1/payments/{spent}/refunds", {}),
    getting("unknown_endpoint", None, f"/v1/webhook-endpoints/{to_typeid('whe', new_id())}/deliveries"),
    posting("unknown_delivery", None, f"/v1/webhook-deliveries/{to_typeid('whd', new_id())}/replay", {}),
    posting(
        "webhook_url_refused", "url", "/v1/webhook-endpoints", {"url": "http://127.0.0.1/", "topics": ["*"]}
    ),
]

TEXTS = [
    *(("/v1/payments", field) for field in ("payer", "merchant", "reference", "note", "device", "ip")),
    *(("/v1/sends", field) for field in ("note", "device", "ip")),
    *(("/v1/customers", field) for field in ("name", "reference")),
    *(("/v1/merchants", field) for field in ("name", "category", "reference")),
    ("/v1/top-ups", "instruction"),
    ("/v1/withdrawals", "instruction"),
    ("/v1/payments/{paid}/refunds", "reason"),
    ("/v1/payments/{challenged}/challenge", "code"),
    ("/v1/merchants/{shop}/qr-codes", "reference"),
    ("/v1/webhook-endpoints", "url"),
]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/payments": {"payer": "{anna}", "merchant": "{shop}", "amount": FINE, "currency": "CNY"},
    "/v1/sends": {"payer": "{anna}", "payee": "{ben}", "amount": FINE, "currency": "CNY"},
    "/v1/customers": CUSTOMER,
    "/v1/merchants": CUSTOMER | {"category": "cafe"},
    "/v1/top-ups": TOP_UP,
    "/v1/withdrawals": {"owner": "{anna}", "amount": 5, "currency": "CNY"},
    "/v1/payments/{paid}/refunds": {"amount": 5},
    "/v1/payments/{challenged}/challenge": {},
    "/v1/merchants/{shop}/qr-codes": {"currency": "CNY"},
    "/v1/webhook-endpoints": {"topics": ["*"]},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def looking(module_database: Database) -> AsyncIterator[Admin]:
    async with await psycopg.AsyncConnection.connect(
        module_database.admin_url, autocommit=True
    ) as connection:
        yield connection


# Kept although the answer is a refusal: the answer itself, the count of wrong codes, and keys made by the cases.
_BESIDES = {"store.idempotency", "payments.challenges", "access.api_keys", "audit.events", "payments.samples"}


async def _everything(admin: Admin) -> dict[str, str]:
    """A fingerprint of every table."""
    cursor = await admin.execute(
        "SELECT schemaname || '.' || tablename FROM pg_tables"
        " WHERE schemaname IN ('ledger', 'payments', 'parties', 'risk', 'store', 'access', 'audit')"
    )
    tables = {row[0] for row in await cursor.fetchall()} - _BESIDES
    found = {}
    for table in tables:
        cursor = await admin.execute(
            f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} AS t".encode()
        )
        row = await cursor.fetchone()
        found[table] = str(row)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
async def test_a_bad_input_has_its_code_and_changes_nothing(house: House, looking: Admin, case: Case) -> None:
    before = await _everything(looking)
    status, code, field = problem_of(await case.cause(house))
    assert (status, code, field) == (PROBLEMS[case.code][0], case.code, case.field)
    assert await _everything(looking) == before


@pytest.mark.parametrize("number", [CARD, "４１１１１１１１１１１１１１１１", "ref 5500-0000-0000-0004."])
@pytest.mark.parametrize(("path", "field"), TEXTS)
async def test_a_card_number_in_any_text_is_refused(
    house: House, looking: Admin, path: str, field: str, number: str
) -> None:
    before = await _everything(looking)
    response = await posting("", field, path, BODIES[path] | {field: number}).cause(house)
    assert problem_of(response) == (422, "card_number_refused", field)
    assert number not in response.text
    assert await _everything(looking) == before


# -- codes whose cause is no input alone

ELSEWHERE = {
    **dict.fromkeys(
        ("unknown_signal", "wrong_signal_state"), "tests/db/test_warnings.py: the API has no signals"
    ),
    **dict.fromkeys(
        ("unknown_login", "login_not_asked", "login_answered"),
        "tests/flow/test_api_logins.py: needs a history",
    ),
    **dict.fromkeys(
        (
            "unknown_plan",
            "plan_mistaken",
            "plan_state",
            "plan_not_rehearsed",
            "plan_not_approved",
            "too_many_plans",
            "unknown_freeze",
        ),
        "tests/db/test_plans.py: the API plans nothing",
    ),
    "challenge_exhausted": "tests/flow/test_api_money.py: a payment's failure after the last wrong code",
    "expired": "tests/flow/test_api_money.py: a payment's failure when nobody came",
    "refused_by_reviewer": "tests/flow/test_api_money.py: a payment's failure after a person's no",
    "rejected_by_bank": "tests/flow/test_api_money.py: a payment's failure after the bank's no",
    "daily_limit_exceeded": "tests/flow/test_api_money.py: a payment's failure",
    "denied_by_risk": "tests/flow/test_api_money.py: a payment's failure",
    "too_many_wallets": "tests/flow/test_api_parties.py",
    "too_many_endpoints": "tests/db/test_webhooks.py",
    "too_many_lookups": "tests/flow/test_api_parties.py: needs a minute of searches",
    "security_code_refused": "tests/flow/test_api_parties.py",
    **dict.fromkeys(
        ("customer_erased", "legal_hold", "no_legal_hold", "money_in_wallets", "payments_open"),
        "tests/db/test_erasure.py: the API erases nobody",
    ),
    "not_given": "tests/db/test_reveal.py: the API reveals nothing",
    "personal_data_refused": "tests/db/test_console_customers.py: a person in the console",
    "overloaded": "tests/flow/test_api_door.py: needs a full queue",
    "unavailable": "tests/flow/test_api_door.py: needs a database that is away",
    "under_maintenance": "tests/db/test_processes.py: needs a process that drains",
    "internal": "tests/flow/test_api_door.py: no input causes it",
    "link_used": "tests/db/test_access.py: a page of the console, not of the API",
    "session_ended": "tests/db/test_access.py: a page of the console, not of the API",
    **dict.fromkeys(
        ("unknown_alert", "wrong_alert_state", "unknown_silence"),
        "tests/db/test_alerts.py: pages and commands, not the API",
    ),
    "address_refused": "tests/unit/test_access.py: the caller's network is not the input's",
    "approval_needed": "tests/flow/test_api_approvals.py",
    "approval_refused": "tests/flow/test_api_approvals.py",
    "too_many_approvals": "tests/db/test_approvals.py",
    "unknown_proposal": "tests/db/test_rule_changes.py",
    "backtest_missing": "tests/db/test_rule_changes.py",
    **dict.fromkeys(
        ("approval_unknown", "approval_decided", "approval_expired", "approval_changed", "own_approval"),
        "tests/db/test_approvals.py: a person's press in the console",
    ),
    **dict.fromkeys(
        (
            "unknown_person",
            "person_exists",
            "not_oneself",
            "same_roles",
            "two_admin_roles",
            "reason_missing",
            "not_here_yet",
        ),
        "tests/db/test_people.py and test_console_entrance.py: staff in the console",
    ),
    **dict.fromkeys(
        ("sign_in_failed", "sign_in_busy", "too_many_tries", "weak_password", "wrong_code", "not_fresh"),
        "tests/db/test_entrance.py: people sign in to the console, not to the API",
    ),
    **dict.fromkeys(
        ("has_factors", "too_many_passkeys", "passkey_refused", "provider_failed"),
        "tests/db/test_passkeys.py, test_provider.py and test_console_entrance.py",
    ),
    **dict.fromkeys(
        ("unknown_run", "run_state", "run_open"), "tests/db/test_runs.py: runs are the console's and till's"
    ),
    **dict.fromkeys(
        ("unknown_report", "report_reviewed", "unknown_task"),
        "tests/db/test_reports.py: people read reports in the console and with till",
    ),
    **dict.fromkeys(("grant_ended", "grant_exhausted"), "tests/db/test_grants.py: a person in the console"),
    **dict.fromkeys(
        ("unknown_case", "case_state", "case_claimed", "case_not_claimed", "case_open"),
        "tests/db/test_cases.py: people work cases in the console and with till",
    ),
    **dict.fromkeys(
        ("too_many_backtests", "unknown_backtest"),
        "tests/db/test_risk_backtests.py: people ask for backtests",
    ),
    **dict.fromkeys(
        ("unknown_model", "bad_model", "model_role", "too_many_challengers", "nothing_to_undo"),
        "tests/db/test_risk_registry.py: people handle models with till and in the console",
    ),
}


async def test_every_code_is_caused_by_a_case_or_has_its_place() -> None:
    here = {case.code for case in CASES}
    assert here | set(ELSEWHERE) == set(PROBLEMS)
    assert here.isdisjoint(ELSEWHERE)

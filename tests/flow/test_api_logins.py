"""Logins over HTTP: what is asked of whom, answers that count, and the timeline that joins everything."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.support import platform
from tests.support.api import Api, calling, problem_of
from tillkeeper.base.clock import ManualClock
from tillkeeper.store import Store

PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.71 Mobile Safari/537.36"
FAR = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
HOME: dict[str, Any] = {"ip": "36.5.7.9", "user_agent": PHONE, "device": "phone-1"}
ABROAD: dict[str, Any] = {"ip": "45.9.1.2", "user_agent": FAR, "device": "laptop-9"}


@pytest.fixture
async def api(store: Store, tmp_path: Path) -> AsyncIterator[Api]:
    async with calling(store, ManualClock(datetime(2026, 11, 2, 12, tzinfo=UTC)), tmp_path) as caller:
        yield caller


@pytest.fixture
async def guarded(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """With the rules that come with the package."""
    ours = files("tillkeeper.risk").joinpath("rules.toml").read_text("utf-8")
    monkeypatch.setattr(platform, "_RULES", ours)
    async with calling(store, ManualClock(datetime(2026, 11, 2, 12, tzinfo=UTC)), tmp_path) as caller:
        yield caller


async def login(api: Api, customer: str, *, succeeded: bool = True, **how: Any) -> dict[str, Any]:
    response = await api.post("/v1/logins", {"customer": customer, "succeeded": succeeded} | how)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def settle(api: Api, customer: str, times: int = 3) -> None:
    """Let a customer become known: the first login is asked again, and passes."""
    first = await login(api, customer, **HOME)
    assert (await api.post(f"/v1/logins/{first['id']}/answer", {"passed": True})).status_code == 201
    for _ in range(times):
        assert (await login(api, customer, **HOME))["outcome"] == "allow"


async def test_the_first_login_is_asked_again_and_counts_once_it_passed(api: Api) -> None:
    ada = await api.customer("ada")
    first = await login(api, ada, **HOME)
    assert first["outcome"] == "ask_again"
    assert first["reasons"][0]["name"] == "no_history"
    assert (first["country"], first["network"]) == ("CN", "Chinanet")
    assert (await login(api, ada, **HOME))["outcome"] == "ask_again", "nobody proved anything yet"
    answered = await api.post(f"/v1/logins/{first['id']}/answer", {"passed": True})
    assert answered.json()["passed"] is True
    assert (await login(api, ada, **HOME))["outcome"] == "allow"


async def test_a_stranger_with_the_right_password_is_asked_again_and_changes_no_habit(api: Api) -> None:
    ada = await api.customer("ada")
    await settle(api, ada)
    thief = await login(api, ada, **ABROAD)
    assert thief["outcome"] in {"ask_again", "block"}
    assert {reason["name"] for reason in thief["reasons"]} >= {"new_country", "new_device", "new_system"}
    again = await login(api, ada, **ABROAD)
    assert again["score"] >= thief["score"] - 0.01
    assert (await login(api, ada, **HOME))["outcome"] == "allow"


async def test_failed_logins_are_kept_and_never_become_a_habit(api: Api) -> None:
    ada = await api.customer("ada")
    await settle(api, ada)
    for _ in range(3):
        await login(api, ada, succeeded=False, **ABROAD)
    assert (await login(api, ada, **ABROAD))["outcome"] != "allow"


async def test_one_key_one_login(api: Api) -> None:
    ada = await api.customer("ada")
    body = {"customer": ada, "succeeded": True, **HOME}
    first = await api.post("/v1/logins", body, idempotency_key="once")
    assert (await api.post("/v1/logins", body, idempotency_key="once")).content == first.content
    other = await api.post("/v1/logins", body | {"succeeded": False}, idempotency_key="once")
    assert problem_of(other)[:2] == (409, "idempotency_key_reused")
    page = await api.get(f"/v1/customers/{ada}/timeline")
    assert len(page.json()["data"]) == 1
    assert (
        problem_of(await api.post("/v1/logins", body, idempotency_key=None))[1] == "idempotency_key_missing"
    )


async def test_what_cannot_be_answered_says_why(api: Api) -> None:
    ada = await api.customer("ada")
    unknown = await api.post("/v1/logins/lgn_00000000000000000000000001/answer", {"passed": True})
    assert problem_of(unknown) == (404, "unknown_login", "login")
    first = await login(api, ada, **HOME)
    path = f"/v1/logins/{first['id']}/answer"
    assert (await api.post(path, {"passed": False})).status_code == 201, "the next try may pass"
    assert (await api.post(path, {"passed": True})).status_code == 201
    assert problem_of(await api.post(path, {"passed": True}))[:2] == (409, "login_answered")
    allowed = await login(api, ada, **HOME)
    assert (
        problem_of(await api.post(f"/v1/logins/{allowed['id']}/answer", {"passed": True}))[1]
        == "login_not_asked"
    )


async def test_bad_input_names_the_field_and_changes_nothing(api: Api) -> None:
    ada, shop = await api.customer("ada"), await api.merchant("shop")
    nobody = await api.post("/v1/logins", {"customer": "cus_" + "0" * 25 + "1", "succeeded": True})
    assert problem_of(nobody) == (404, "unknown_customer", "customer")
    merchant = await api.post("/v1/logins", {"customer": shop.replace("mer_", "cus_"), "succeeded": True})
    assert problem_of(merchant)[1] == "unknown_customer"
    late = await api.post("/v1/logins", {"customer": ada, "succeeded": True, "at": "2027-11-02T00:00:00Z"})
    assert problem_of(late) == (422, "invalid_value", "at")
    odd = await api.post("/v1/settings-changes", {"customer": ada, "kind": "shoe"})
    assert problem_of(odd)[::2] == (422, "kind")
    card = await api.post("/v1/logins", {"customer": ada, "succeeded": True, "device": "4111111111111111"})
    assert problem_of(card)[1:] == ("card_number_refused", "device")
    assert (await api.get(f"/v1/customers/{ada}/timeline")).json() == {"data": [], "next_cursor": None}


async def test_missing_or_strange_addresses_and_programs_are_habits_too(api: Api) -> None:
    ada = await api.customer("ada")
    strange: dict[str, Any] = {"ip": "10.0.0.7", "user_agent": "4111 1111 1111 1111 toaster"}
    first = await login(api, ada, **strange)
    assert (first["network"], first["country"]) == ("private", None)
    await api.post(f"/v1/logins/{first['id']}/answer", {"passed": True})
    assert (await login(api, ada, **strange))["outcome"] == "allow"
    assert (await login(api, ada))["score"] > (await login(api, ada, **strange))["score"]


async def test_the_timeline_joins_logins_settings_payments_and_what_they_turned_out_to_be(api: Api) -> None:
    ada, shop = await api.customer("ada"), await api.merchant("shop")
    await settle(api, ada, 1)
    changed = await api.post(
        "/v1/settings-changes", {"customer": ada, "kind": "password", "device": "laptop-9"}
    )
    assert changed.status_code == 201
    payment = await api.pay(ada, shop, device="phone-1")
    await api.post("/v1/fraud-reports", {"payment": payment["id"], "fraud": True})
    whole = (await api.get(f"/v1/customers/{ada}/timeline")).json()["data"]
    assert [(each["kind"], each["what"]) for each in whole] == [
        ("payment", "payment"),
        ("setting", "password"),
        ("login", "succeeded"),
        ("login", "succeeded"),
    ]
    assert whole[0]["id"] == payment["id"]
    assert (whole[0]["fraud"], whole[0]["new_device"]) == (True, False)
    assert whole[0]["known_at"] is not None
    assert whole[1]["new_device"] is True
    assert (whole[3]["answer"], whole[3]["new_device"], whole[3]["browser"]) == (True, True, "Chrome Mobile")
    paged, cursor = [], None
    while True:
        page = (
            await api.get(f"/v1/customers/{ada}/timeline", limit=1, **({"cursor": cursor} if cursor else {}))
        ).json()
        paged += page["data"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert paged == whole
    assert problem_of(await api.get(f"/v1/customers/{ada}/timeline", cursor="cur_x"))[1] == "bad_cursor"


async def test_a_login_may_be_told_of_later(api: Api) -> None:
    ada = await api.customer("ada")
    at = (api.platform.clock.now() - timedelta(days=3)).isoformat()
    assert (await login(api, ada, at=at, **HOME))["at"].startswith("2026-10-30T12:00:00")


async def test_passwords_tried_out_from_one_address_are_blocked(guarded: Api) -> None:
    api = guarded
    folk = [await api.customer(f"c{n}") for n in range(6)]
    tried = [await login(api, each, succeeded=False, **ABROAD) for each in folk * 2]
    assert tried[0]["outcome"] != "block"
    assert tried[-1]["outcome"] == "block"
    assert "stuffing_address" in {reason["name"] for reason in tried[-1]["reasons"]}
    lucky = await login(api, folk[0], **ABROAD)
    assert lucky["outcome"] == "block", "the right password at last"


async def test_takeover_then_cash_out_is_one_rule(guarded: Api) -> None:
    api = guarded
    ada, eve, shop = await api.customer("ada"), await api.customer("eve"), await api.merchant("shop")
    await settle(api, ada)
    await api.pay(ada, shop, device="phone-1", ip="36.5.7.9")
    send = {"payer": ada, "payee": eve, "amount": 5_000, "currency": "CNY"}
    changed = {"customer": ada, "kind": "password", **{name: ABROAD[name] for name in ("ip", "device")}}

    async def risk_of(body: dict[str, Any]) -> set[str]:
        response = await api.post("/v1/sends", body)
        assert response.status_code == 201, response.text
        return {reason["rule"] for reason in response.json()["reasons"]}

    assert "takeover_cash_out" not in await risk_of(send | {"device": "phone-1"})
    assert isinstance(api.platform.clock, ManualClock)
    api.platform.clock.advance(3600)
    thief = await login(api, ada, **ABROAD)
    assert (thief["outcome"], (await api.post("/v1/settings-changes", changed)).status_code) == (
        "ask_again",
        201,
    )
    mallory = await api.customer("mallory")
    for _ in range(2):  # a try that was held makes nobody a friend
        assert "takeover_cash_out" in await risk_of(send | {"payee": mallory, "device": ABROAD["device"]})
    assert "takeover_cash_out" in await risk_of(send | {"payee": await api.customer("mule")}), (
        "no device given"
    )
    # A friend of old, and whoever is paid with the phone that was there before, stay open.
    assert "takeover_cash_out" not in await risk_of(send)
    assert "takeover_cash_out" not in await risk_of(
        send | {"payee": await api.customer("x"), "device": "phone-1"}
    )

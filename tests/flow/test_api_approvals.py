"""Large refunds and withdrawals over HTTP: asked, agreed to by a person, carried out once for one idempotency key."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import Api, calling, problem_of
from tests.support.people import signed_in
from tillkeeper import access
from tillkeeper.access import Approval, approvals
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import from_typeid
from tillkeeper.faces.api import orders
from tillkeeper.payments import REFUND, WITHDRAWAL
from tillkeeper.store import Store

FLOOR = 3_000
DEEDS = approvals.deeds(REFUND, WITHDRAWAL)


@pytest.fixture
async def api(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Api]:
    async with calling(store, clock, tmp_path, four_eyes_amount=FLOOR) as made:
        yield made


async def answer(api: Api, asked: httpx.Response, *, give: bool = True) -> None:
    """A person's word on what a refused request asked for."""
    public = asked.json()["approval"]
    async with api.platform.store.tx("decide") as tx:
        found = await approvals.find(tx, from_typeid("apr", public))
        assert found is not None
        session = signed_in("anna", api.platform.clock)
        done = await approvals.decide(
            tx, DEEDS, found.id, found.digest, session, api.platform.clock, give=give
        )
    assert isinstance(done, Approval)


def needed(response: httpx.Response) -> bool:
    """Whether a second person is asked for; the problem names the approval."""
    body = response.json()
    found = bool(body.get("code") == "approval_needed")
    if found:
        assert response.status_code == 403
        assert body["approval"].startswith("apr_")
        assert body["approval"] in body["detail"]
    return found


async def paid(api: Api, amount: int) -> str:
    if "anna" not in api.people:
        await api.customer("anna")
        await api.merchant("shop")
    return str((await api.pay(api.people["anna"], api.people["shop"], amount))["id"])


async def refund(api: Api, payment: str, key: str, amount: int | None = None) -> httpx.Response:
    body: dict[str, Any] = {} if amount is None else {"amount": amount}
    return await api.post(f"/v1/payments/{payment}/refunds", body, idempotency_key=key)


async def test_a_large_refund_waits_for_a_person(api: Api) -> None:
    payment = await paid(api, 9_000)
    first = await refund(api, payment, "k1", FLOOR)
    assert needed(first)
    assert (
        await refund(api, payment, "k1", FLOOR)
    ).json() == first.json()  # the same question, the key is free
    await answer(api, first)
    done = await refund(api, payment, "k1", FLOOR)
    assert (done.status_code, done.json()["refunded"]) == (200, FLOOR)
    assert (
        await refund(api, payment, "k1", FLOOR)
    ).content == done.content  # a repetition, not another refund
    again = await refund(api, payment, "k2", FLOOR)
    assert needed(again)
    assert again.json()["approval"] != first.json()["approval"]


async def test_small_refunds_pass_and_what_is_left_counts(api: Api) -> None:
    small, large = await paid(api, FLOOR - 1), await paid(api, FLOOR)
    assert (await refund(api, small, "k1")).json()["state"] == "refunded"
    assert needed(await refund(api, large, "k2"))
    assert (await refund(api, large, "k3", FLOOR - 1)).json()["refunded"] == FLOOR - 1
    assert (await refund(api, large, "k2")).json()["state"] == "refunded"  # one fen is left


async def test_what_changed_must_be_asked_anew(api: Api) -> None:
    payment = await paid(api, 9_000)
    first = await refund(api, payment, "k1", FLOOR)
    await answer(api, first)
    await refund(api, payment, "k2", 100)
    second = await refund(api, payment, "k1", FLOOR)
    assert needed(second)
    assert second.json()["approval"] != first.json()["approval"]


async def test_a_no_is_told(api: Api) -> None:
    payment = await paid(api, 9_000)
    first = await refund(api, payment, "k1", FLOOR)
    await answer(api, first, give=False)
    assert problem_of_approval(await refund(api, payment, "k1", FLOOR)) == "approval_refused"


def problem_of_approval(response: httpx.Response) -> str:
    assert response.status_code == 403
    return str(response.json()["code"])


async def test_a_refund_that_cannot_be_asks_nobody(api: Api) -> None:
    payment = await paid(api, 5_000)
    assert problem_of(await refund(api, payment, "k1", 6_000))[1] == "exceeds_captured"
    held = await paid(api, 200_000)
    assert problem_of(await refund(api, held, "k2", FLOOR))[1] == "wrong_state"
    assert problem_of(await refund(api, held, "k3"))[1] == "wrong_state"
    async with api.platform.store.tx("look") as tx:
        assert await approvals.open_ones(tx, api.platform.clock, None, 10) == []


async def test_an_approval_survives_a_crash_before_the_turn(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await paid(api, 9_000)
    first = await refund(api, payment, "k1", FLOOR)
    await answer(api, first)

    async def crash(*_: Any) -> None:
        raise RuntimeError("planted")

    with monkeypatch.context() as planted:
        planted.setattr(orders, "_ordered", crash)
        assert (await refund(api, payment, "k1", FLOOR)).status_code == 500
    assert needed(await refund(api, payment, "k2", FLOOR))  # it is used up for the other key
    done = await refund(api, payment, "k1", FLOOR)
    assert (done.status_code, done.json()["refunded"]) == (200, FLOOR)


async def test_the_turn_sees_what_changed_between_approval_and_refund(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await paid(api, 9_000)
    first = await refund(api, payment, "k1", FLOOR)
    await answer(api, first)
    ordered = orders._ordered

    async def outrun(*given: Any) -> Any:
        monkeypatch.undo()
        assert (await refund(api, payment, "k2", 100)).status_code == 200
        return await ordered(*given)

    monkeypatch.setattr(orders, "_ordered", outrun)
    late = await refund(api, payment, "k1", FLOOR)
    assert problem_of(late)[:2] == (409, "approval_changed")


async def test_a_large_withdrawal_waits_for_a_person(api: Api) -> None:
    await api.customer("anna")
    body = {"owner": api.people["anna"], "amount": FLOOR, "currency": "CNY"}
    first = await api.post("/v1/withdrawals", body, idempotency_key="k1")
    assert needed(first)
    other = await api.post("/v1/withdrawals", body | {"amount": FLOOR + 1}, idempotency_key="k1")
    assert needed(other)
    elsewhere = await api.post("/v1/withdrawals", body | {"instruction": "late"}, idempotency_key="k1")
    assert needed(elsewhere)
    await answer(api, first)
    stranger = await api.new_key()
    theirs = await api.post("/v1/withdrawals", body, idempotency_key="k1", authorization=f"Bearer {stranger}")
    assert needed(theirs)  # another key's approval is not theirs
    done = await api.post("/v1/withdrawals", body, idempotency_key="k1")
    assert (done.status_code, done.json()["state"]) == (201, "pending")
    assert (await api.post("/v1/withdrawals", body, idempotency_key="k1")).content == done.content
    assert needed(await api.post("/v1/withdrawals", body, idempotency_key="k2"))
    small = await api.post("/v1/withdrawals", body | {"amount": FLOOR - 1}, idempotency_key="k3")
    assert small.status_code == 201


async def test_a_frozen_owner_asks_nobody(api: Api) -> None:
    await api.customer("anna")
    body = {"owner": api.people["anna"], "amount": FLOOR, "currency": "CNY"}
    await answer(api, await api.post("/v1/withdrawals", body, idempotency_key="k1"))
    await api.post(f"/v1/customers/{api.people['anna']}/freeze")
    assert problem_of(await api.post("/v1/withdrawals", body, idempotency_key="k1"))[1] == "customer_frozen"


async def test_no_argument_of_a_request_approves(api: Api) -> None:
    payment = await paid(api, 9_000)
    for more in ({"approved": True}, {"approval": "apr_1"}, {"approved_by": "anna"}):
        said = await api.post(f"/v1/payments/{payment}/refunds", {"amount": FLOOR} | more)
        assert problem_of(said)[1] == "unknown_field"
    assert not access.policies().permitted("Service", access.SCOPES) & {"approval.decide", "payment.review"}


async def test_a_refund_of_what_is_gone_is_refused_for_good_under_its_key(api: Api) -> None:
    """Found by a storm: a refusal at the door was not kept, so the key was free for another request."""
    payment = await paid(api, FLOOR - 1)
    await api.post(f"/v1/payments/{payment}/refunds")
    refused = await api.post(f"/v1/payments/{payment}/refunds", idempotency_key="gone")
    assert problem_of(refused)[1] == "wrong_state"
    again = await api.post(f"/v1/payments/{payment}/refunds", idempotency_key="gone")
    assert again.content == refused.content
    other = await api.post(f"/v1/payments/{payment}/refunds", {"reason": "x"}, idempotency_key="gone")
    assert problem_of(other)[1] == "idempotency_key_reused"


async def test_what_is_captured_while_nothing_was_left_takes_two_people(api: Api) -> None:
    """A refund of "all" found nothing to give back; a capture in that very moment must not make it a large one."""
    anna, shop = await api.customer("anna"), await api.merchant("shop")
    held = await api.pay(anna, shop, FLOOR, capture="manual")
    refused = await api.post(f"/v1/payments/{held['id']}/refunds")
    assert problem_of(refused)[1] == "wrong_state"
    await api.post(f"/v1/payments/{held['id']}/capture")
    assert needed(await api.post(f"/v1/payments/{held['id']}/refunds"))

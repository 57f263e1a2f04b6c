"""Four eyes over HTTP, form by form: who asked, who answers, what was shown, what happens in between."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.support.desk import Colleague, Console, console
from tests.support.people import signed_in
from tests.support.shop import HELD, Shop, open_shop
from tillkeeper import access
from tillkeeper.access import Approval, approvals
from tillkeeper.base import limits
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.payments import REFUND, refund_of
from tillkeeper.payments import payment as find_payment
from tillkeeper.store import Store
from tillkeeper.vault import Vault

LARGE = HELD + 1


@pytest.fixture
async def shop(store: Store, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as opened:
        yield opened


@pytest.fixture
async def desk(store: Store, vault: Vault) -> AsyncIterator[Console]:
    async with console(store, vault, four_eyes_amount=LARGE) as opened:
        yield opened


async def hold(shop: Shop, amount: int = LARGE) -> str:
    payer, payee = await shop.customer("Ann"), await shop.merchant("Cafe")
    return str((await shop.pay(payer, payee, amount))["id"])


async def ask(colleague: Colleague, payment: str, reason: str = "payer called") -> str:
    answer = await colleague.post(f"/held/{payment}", verdict="release", reason=reason)
    return str(answer.headers.get("location"))


async def waiting(desk: Console) -> Approval:
    async with desk.store.tx("waiting") as tx:
        (found,) = await approvals.open_ones(tx, desk.clock, None, 10)
    return found


def address(asked: Approval) -> str:
    return f"/approvals/{approvals.approval_id(asked)}"


async def give(colleague: Colleague, asked: Approval, **form: Any) -> Any:
    form = {"verdict": "give", "digest": asked.digest.hex(), "comment": "seen"} | form
    return await colleague.post(address(asked), **form)


async def state_of(store: Store, payment: str) -> str:
    async with store.tx("state") as tx:
        found = await find_payment(tx, from_typeid("pay", payment))
    assert found is not None
    return found.state


async def test_one_asks_another_gives(desk: Console, shop: Shop) -> None:
    anna, ben = await desk.sign_in("anna"), await desk.sign_in("ben")
    payment = await hold(shop)
    assert await ask(anna, payment) == "/held?notice=asked"
    assert await ask(ben, payment, "known habit") == "/held?notice=asked"  # one question is enough
    asked = await waiting(desk)
    assert (asked.asked_by, asked.subject, asked.reason) == ("anna", payment, "payer called")
    own = await give(anna, asked)
    assert own.status_code == 403
    assert "nobody decides about what they asked for" in own.text
    assert await state_of(shop.store, payment) == "in_review"
    page = (await ben.get("/approvals")).text
    assert asked.digest.hex() in page
    assert "CN¥1,000.01" in page
    assert (await give(ben, asked)).headers["location"] == "/approvals?notice=carried_out"
    assert await state_of(shop.store, payment) == "succeeded"
    assert (await give(ben, asked)).status_code == 409


async def test_a_payment_below_the_bound_takes_one(desk: Console, shop: Shop) -> None:
    anna = await desk.sign_in("anna")
    payment = await hold(shop, LARGE - 1)
    assert await ask(anna, payment) == "/held?notice=released"
    assert await state_of(shop.store, payment) == "succeeded"


async def test_refusing_takes_one(desk: Console, shop: Shop) -> None:
    anna = await desk.sign_in("anna")
    payment = await hold(shop)
    answer = await anna.post(f"/held/{payment}", verdict="refuse", reason="stolen")
    assert answer.headers["location"] == "/held?notice=refused"
    assert await state_of(shop.store, payment) == "declined"


async def test_of_two_who_answer_at_once_one_counts(desk: Console, shop: Shop) -> None:
    anna = await desk.sign_in("anna")
    payment = await hold(shop)
    await ask(anna, payment)
    asked = await waiting(desk)
    others = [await desk.sign_in(name) for name in ("ben", "carl", "dora")]
    codes = await asyncio.gather(*(give(each, asked) for each in others))
    assert sorted(each.status_code for each in codes) == [303, 409, 409]
    async with shop.store.tx("moves") as tx:
        moves = await tx.value(
            b"SELECT count(*) FROM payments.moves WHERE payment = %(id)s", {"id": from_typeid("pay", payment)}
        )
    assert moves == 1


async def test_what_the_page_did_not_show_is_not_given(desk: Console, shop: Shop) -> None:
    anna, ben = await desk.sign_in("anna"), await desk.sign_in("ben")
    payment = await hold(shop)
    await ask(anna, payment)
    asked = await waiting(desk)
    for digest in ("", "00" * 32, "zz", asked.digest.hex()[:-2]):
        assert (await give(ben, asked, digest=digest)).status_code == 409, digest
    for wrong in ({"verdict": "maybe"}, {"comment": "x" * 201}, {"comment": "4111 1111 1111 1111"}):
        assert (await give(ben, asked, **wrong)).status_code == 422, wrong
    assert (await give(ben, asked, csrf="x" * 52)).status_code == 403
    elsewhere = await ben.post(
        address(asked), {"sec-fetch-site": "cross-site"}, verdict="give", digest=asked.digest.hex()
    )
    assert elsewhere.status_code == 403
    assert (await ben.post("/approvals/apr_1", verdict="give")).status_code == 404
    unknown = to_typeid("apr", UUID(int=asked.id.int ^ 1))
    assert (await ben.post(f"/approvals/{unknown}", verdict="give")).status_code == 404
    assert (await waiting(desk)).state == "waiting"
    assert await state_of(shop.store, payment) == "in_review"


async def test_what_was_ended_between_the_answer_and_the_deed_is_done_once(desk: Console, shop: Shop) -> None:
    anna, ben, carl = [await desk.sign_in(name) for name in ("anna", "ben", "carl")]
    payment = await hold(shop)
    await ask(anna, payment)
    asked = await waiting(desk)
    deeds = desk.application.state["desk"].deeds
    async with desk.store.tx("answer, and then the power is gone") as tx:
        by = signed_in("ben", desk.clock)
        assert isinstance(
            await approvals.decide(tx, deeds, asked.id, asked.digest, by, desk.clock, give=True), Approval
        )
    given = await waiting(desk)
    assert given.state == "given"
    page = (await carl.get("/approvals")).text
    assert f"{address(asked)}/carry-out" in page
    assert (await anna.post(f"{address(asked)}/carry-out")).status_code == 403
    # The power goes again, when the payment is released and the approval not yet closed.
    async with desk.store.tx("lost") as tx:
        deed = deeds["payment.release"]
        terms = msgspec.json.decode(given.terms, type=deed.terms)
        assert await deed.carry_out(tx, given, terms) is None
    assert await state_of(shop.store, payment) == "succeeded"
    done = await ben.post(f"{address(asked)}/carry-out")
    assert done.headers["location"] == "/approvals?notice=carried_out"
    again = await carl.post(f"{address(asked)}/carry-out")
    assert again.headers["location"] == "/approvals?notice=carried_out"


async def test_a_programs_question_is_given_and_left_to_it(desk: Console, shop: Shop) -> None:
    ben, support = await desk.sign_in("ben", ["operator"]), await desk.sign_in("sue", ["support"])
    payment = from_typeid("pay", await hold(shop, 2_000))
    async with desk.store.tx("ask") as tx:
        paid = await find_payment(tx, payment)
        assert paid is not None
        program = access.Asker("key:shop", payment, "203.0.113.9")
        asked = await approvals.ask(tx, REFUND, refund_of(paid, 1_000, "broken"), program, desk.clock)
    assert isinstance(asked, Approval)
    page = (await support.get("/approvals")).text
    assert "Decided by:" in page
    assert re.search(r"key:shop.*by a service key", page, re.DOTALL)
    assert (await give(support, asked)).status_code == 403
    assert (await give(ben, asked)).headers["location"] == "/approvals?notice=given"
    assert (await waiting(desk)).state == "given"
    assert "Whoever asked goes on." in (await ben.get("/approvals")).text


async def test_a_no_and_a_question_taken_back(desk: Console, shop: Shop) -> None:
    anna, ben = await desk.sign_in("anna"), await desk.sign_in("ben")
    payment = await hold(shop)
    await ask(anna, payment)
    first = await waiting(desk)
    assert (await give(ben, first, verdict="refuse")).headers["location"] == "/approvals?notice=denied"
    await ask(ben, payment)
    second = await waiting(desk)
    assert second.id != first.id
    assert (await anna.post(f"{address(second)}/withdraw")).status_code == 403
    assert (await ben.post(f"{address(second)}/withdraw")).headers[
        "location"
    ] == "/approvals?notice=withdrawn"
    assert (await ben.post(f"{address(second)}/withdraw")).status_code == 409
    assert (await give(anna, second)).status_code == 409
    assert await state_of(shop.store, payment) == "in_review"
    page = (await anna.get("/approvals")).text
    assert "Nothing waits" in page
    assert "taken back" in page


async def test_the_list_of_the_past_goes_on(desk: Console, shop: Shop) -> None:
    anna, payment = await desk.sign_in("anna"), await hold(shop)
    for _ in range(limits.PAGE_DEFAULT + 2):
        await ask(anna, payment)
        await anna.post(f"{address(await waiting(desk))}/withdraw")
    page = (await anna.get("/approvals")).text
    assert page.count("taken back") == limits.PAGE_DEFAULT
    older = page.partition("/approvals?before=")[2].partition('"')[0]
    page = (await anna.get(f"/approvals?before={older}")).text
    assert page.count("taken back") == 2
    assert (await anna.get("/approvals?before=nonsense")).status_code == 200

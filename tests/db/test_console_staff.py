"""The staff's pages over HTTP: inviting, roles, suspending; and that nobody makes up a second person for themselves."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.desk import HOME, Console, console
from tests.support.people import somebody
from tillkeeper import access, audit
from tillkeeper.access.entrance import factors
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.store import Store
from tillkeeper.vault import Vault


@pytest.fixture
async def here(store: Store, vault: Vault, clock: ManualClock) -> AsyncIterator[Console]:
    async with console(store, vault, clock) as opened:
        yield opened


async def test_inviting_makes_a_person_without_roles_and_a_link(
    store: Store, clock: ManualClock, here: Console
) -> None:
    boss = await here.sign_in("boss", ["system_admin"])
    page = await boss.post("/staff", person="Nora", name="Nora N.")
    token = re.findall(rf'<code class="secret">{HOME}/sign-in\?token=([a-z2-7]+)</code>', page.text)[0]
    async with store.tx("test") as tx:
        made = await access.person(tx, "nora")
        assert made is not None
        assert (made.name, made.roles) == ("Nora N.", frozenset())
        told = [(each.actor, each.action) for each in await audit.of(tx, "nora")]
    assert ("boss", "person.invited") in told
    faults: list[tuple[dict[str, Any], str]] = [
        ({"person": "nora"}, "Somebody has or had this handle"),
        ({"person": "no ra"}, "A handle has"),
        ({"person": "dora", "name": "x" * 201}, "That name is too long"),
        ({"person": "dora", "name": "4111 1111 1111 1111"}, "card number"),
    ]
    for form, words in faults:
        assert words in (await boss.post("/staff", **form)).text
    again = await boss.post("/staff/nora/invitation")
    assert '<code class="secret">' in again.text
    assert (await here.client.post("/sign-in", data={"token": token})).headers["location"] == "/account"
    async with store.tx("test") as tx:
        await factors.make_recovery_codes(tx, "nora", clock, origin="")
    refused = await boss.post("/staff/nora/invitation")
    assert (refused.status_code, "only be made on the machine" in refused.text) == (409, True)


async def test_nobody_is_given_a_link_to_somebody_with_roles(
    store: Store, clock: ManualClock, here: Console
) -> None:
    async with store.tx("test") as tx:
        await somebody(tx, "zoe", clock, ["security"])  # came by a link, and set up nothing
    boss = await here.sign_in("boss", ["system_admin"])
    assert "/staff/zoe/invitation" not in (await boss.get("/staff/zoe")).text
    refused = await boss.post("/staff/zoe/invitation")
    assert (refused.status_code, "token=" in refused.text) == (409, False)


async def test_suspending_and_signing_out_from_the_staffs_page(
    store: Store, clock: ManualClock, here: Console
) -> None:
    boss, anna = await here.sign_in("boss", ["system_admin"]), await here.sign_in("anna")
    guard = await here.sign_in("guard", ["security"])
    assert (await guard.post("/staff/anna/sessions/end")).status_code == 303
    assert (await anna.get("/account")).status_code == 303
    anna = await here.sign_in("anna")
    assert (await guard.post("/staff/anna/suspend")).status_code == 403
    assert (await boss.post("/staff/anna/suspend")).headers["location"] == "/staff/anna?notice=suspended"
    assert (await anna.get("/account")).status_code == 303
    assert "Let them in again" in (await boss.get("/staff/anna")).text
    assert (await boss.post("/staff/anna/reinstate")).headers["location"] == "/staff/anna?notice=reinstated"
    assert (await boss.post("/staff/boss/suspend")).status_code == 403
    assert (await boss.get("/staff/ghost")).status_code == 404
    clock.advance(limits.CONFIRMED_SECONDS)
    assert (await boss.post("/staff/anna/suspend")).headers["location"].startswith("/confirm")


async def test_roles_take_a_second_person(store: Store, clock: ManualClock, here: Console) -> None:
    await here.sign_in("anna", ["support"])
    giver = await here.sign_in("giver", ["security_admin"])
    second = await here.sign_in("second", ["security"])
    assert (await second.post("/staff/anna/roles", role="operator", reason="x")).status_code == 403
    for form, words in (
        ({"role": "support", "reason": "x"}, "These are the roles they have"),
        ({"role": "operator", "reason": " "}, "Write a reason"),
        ({"role": ["system_admin", "audit_admin"], "reason": "x"}, "exclude each other"),
        ({"role": "operator", "reason": "cvv 123"}, "security code"),
    ):
        answer = await giver.post("/staff/anna/roles", **form)
        assert words in answer.text, form
    asked = await giver.post("/staff/anna/roles", role=["operator", "support"], reason="covers the desk")
    assert asked.headers["location"] == "/approvals?notice=asked"
    async with store.tx("test") as tx:
        (question,) = await access.approvals.open_ones(tx, clock, None, 10)
        assert (await access.person(tx, "anna")).roles == {"support"}  # type: ignore[union-attr]
    public = access.approvals.approval_id(question)
    page = (await second.get("/approvals")).text
    digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', page)[0]
    await second.post(f"/approvals/{public}", verdict="give", digest=digest, comment="fine")
    async with store.tx("test") as tx:
        anna = await access.person(tx, "anna")
        told = [(each.actor, each.action) for each in await audit.of(tx, "anna")]
    assert anna is not None
    assert anna.roles == {"operator", "support"}
    assert ("giver", "roles.changed") in told
    assert (await giver.post("/staff/giver/roles", role="operator", reason="me")).status_code == 403

"""The team: who is made, changed, suspended, and what the audit trail says of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.support.people import link_for, somebody
from tillkeeper import access, audit
from tillkeeper.access import OpenedSession, Session, Visitor
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.store import Store, Tx


async def refused(store: Store, act: Callable[[Tx], Any]) -> Refusal:
    with pytest.raises(Refused) as raised:
        async with store.tx("test") as tx:
            await act(tx)
    return raised.value.refusal


async def acts(store: Store, subject: str) -> list[tuple[str, str, str]]:
    async with store.tx("test") as tx:
        return [(event.actor, event.action, event.reason) for event in await audit.of(tx, subject)]


async def signed_in(store: Store, clock: ManualClock, person: str) -> OpenedSession:
    async with store.tx("test") as tx:
        opened = await access.open_session(tx, await link_for(tx, person, clock), clock)
    assert isinstance(opened, OpenedSession)
    return opened


async def test_somebody_new_has_a_handle_for_ever(store: Store, clock: ManualClock) -> None:
    async with store.tx("test") as tx:
        assert not await access.is_anybody(tx)
        made = await access.add_person(
            tx, "anna", "  Anna   Schmidt ", ["support", "operator"], clock, actor="cli"
        )
    assert (made.name, made.active) == ("Anna Schmidt", True)
    assert made.roles == {"operator", "support"}
    async with store.tx("test") as tx:
        assert await access.is_anybody(tx)
        assert await access.person(tx, "anna") == made
        assert await access.person(tx, "nobody") is None
        assert await access.people(tx) == [made]
    assert await acts(store, "anna") == [("cli", "person.invited", "operator support")]
    again = await refused(store, lambda tx: access.add_person(tx, "anna", "", [], clock, actor="cli"))
    assert again.code == "person_exists"


@pytest.mark.parametrize(
    ("person", "name", "roles", "field"),
    [
        ("Anna", "", [], "person"),
        ("", "x", [], "person"),
        ("-anna", "", [], "person"),
        ("an na", "", [], "person"),
        ("a" * 65, "x", [], "person"),
        ("anna", "x" * (limits.MAX_TEXT + 1), [], "name"),
        ("anna", "Anna\x07", [], "name"),
        ("anna", "", ["king"], "roles"),
        ("anna", "", ["system_admin", "audit_admin"], "roles"),
    ],
)
async def test_who_cannot_be(
    store: Store, clock: ManualClock, person: str, name: str, roles: list[str], field: str
) -> None:
    refusal = await refused(store, lambda tx: access.add_person(tx, person, name, roles, clock, actor="cli"))
    assert (refusal.code, refusal.field) == ("invalid_value", field)


async def test_roles_count_from_the_next_click_on(store: Store, clock: ManualClock) -> None:
    opened = await signed_in(store, clock, "anna")
    async with store.tx("test") as tx:
        changed = await access.set_roles(tx, "anna", ["auditor"], "carl", origin="10.0.0.7")
        assert changed.roles == {"auditor"}
        await access.set_roles(tx, "anna", ["auditor"], "carl")  # no change, no entry
    async with store.tx("test") as tx:
        found = await access.session(tx, opened.cookie, clock)
    assert isinstance(found, Session)
    assert found.roles == {"auditor"}
    told = [each for each in await acts(store, "anna") if each[1] == "roles.changed"]
    assert told == [
        ("carl", "roles.changed", "operator risk_analyst support security auditor developer -> auditor")
    ]


async def test_new_roles_void_the_links_made_before(store: Store, clock: ManualClock) -> None:
    async with store.tx("test") as tx:
        await somebody(tx, "nora", clock, [])
        link = await access.sign_in_link(tx, "nora", clock, invitation=True)
        await access.set_roles(tx, "nora", ["support"], "carl")
        assert isinstance(await access.open_session(tx, link, clock), Refusal)


async def test_nobody_changes_themselves_and_no_admin_is_two(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    async with store.tx("test") as tx:
        await somebody(tx, "anna", clock, ["system_admin"])
    for act in (
        lambda tx: access.set_roles(tx, "anna", ["operator"], "anna"),
        lambda tx: access.suspend(tx, "anna", clock, actor="anna"),
        lambda tx: access.reinstate(tx, "anna", actor="anna"),
    ):
        assert (await refused(store, act)).code == "not_oneself"
    both = await refused(store, lambda tx: access.set_roles(tx, "anna", access.ADMIN_ROLES, "carl"))
    assert both.field == "roles"
    unknown = await refused(store, lambda tx: access.set_roles(tx, "ghost", ["operator"], "carl"))
    assert unknown.code == "unknown_person"
    with pytest.raises(psycopg.errors.CheckViolation):  # and not even past the program
        await admin.execute("UPDATE access.people SET roles = '{system_admin,security_admin}'")


async def test_who_is_suspended_is_out_at_once_and_stays_out(store: Store, clock: ManualClock) -> None:
    opened, other = await signed_in(store, clock, "anna"), await signed_in(store, clock, "bert")
    async with store.tx("test") as tx:
        link = await access.sign_in_link(tx, "anna", clock)
    async with store.tx("test") as tx:
        await access.suspend(tx, "anna", clock, actor="carl", reason="left the company")
    async with store.tx("test") as tx:
        assert isinstance(await access.session(tx, opened.cookie, clock), Refusal)
        assert isinstance(await access.session(tx, other.cookie, clock), Session)
        assert isinstance(await access.open_session(tx, link, clock), Refusal)
        by_passkey = await access.begin_session(tx, "anna", "passkey", clock, Visitor(), confirmed=True)
        assert isinstance(by_passkey, Refusal)
    assert (await refused(store, lambda tx: access.sign_in_link(tx, "anna", clock))).code == "unknown_person"
    async with store.tx("test") as tx:
        await access.reinstate(tx, "anna", actor="carl")
        await access.reinstate(tx, "anna", actor="carl")
        assert isinstance(await access.session(tx, opened.cookie, clock), Refusal)
        assert isinstance(await access.open_session(tx, link, clock), Refusal)
        assert await access.sign_in_link(tx, "anna", clock)
    told = [each[:2] for each in await acts(store, "anna")]
    assert told.count(("carl", "person.suspended")) == told.count(("carl", "person.reinstated")) == 1


async def test_a_person_is_signed_out_everywhere_but_here(store: Store, clock: ManualClock) -> None:
    here, *elsewhere = [await signed_in(store, clock, "anna") for _ in range(3)]
    async with store.tx("test") as tx:
        link = await access.sign_in_link(tx, "anna", clock)
        assert await access.end_sessions_of(tx, "anna", clock, actor="anna", but=here.session) == 2
        assert await access.end_sessions_of(tx, "anna", clock, actor="anna", but=here.session) == 0
    async with store.tx("test") as tx:
        assert [each.id for each in await access.list_sessions(tx, clock, "anna")] == [here.session.id]
        assert all([isinstance(await access.session(tx, each.cookie, clock), Refusal) for each in elsewhere])
        assert isinstance(await access.open_session(tx, link, clock), Refusal)


async def test_an_invitation_waits_for_days_a_link_for_minutes(store: Store, clock: ManualClock) -> None:
    async with store.tx("test") as tx:
        await somebody(tx, "anna", clock, [])
        invitation = await access.sign_in_link(tx, "anna", clock, actor="carl", invitation=True)
        link = await access.sign_in_link(tx, "anna", clock)
    clock.advance(limits.INVITATION_SECONDS - 1)
    async with store.tx("test") as tx:
        assert isinstance(await access.open_session(tx, link, clock), Refusal)
        opened = await access.open_session(tx, invitation, clock, Visitor("10.0.0.7", "Firefox"))
    assert isinstance(opened, OpenedSession)
    session = opened.session
    assert (session.opened_by, session.origin, session.browser) == ("link", "10.0.0.7", "Firefox")
    assert session.confirmed_at == clock.now()
    assert session.roles == frozenset()


async def test_a_factor_is_fresh_for_five_minutes(store: Store, clock: ManualClock) -> None:
    opened = await signed_in(store, clock, "anna")
    clock.advance(limits.CONFIRMED_SECONDS - 1)
    assert access.is_fresh(opened.session, clock)
    clock.advance(1)
    assert not access.is_fresh(opened.session, clock)
    async with store.tx("test") as tx:
        await access.confirm_session(tx, opened.session.id, clock)
        found = await access.session(tx, opened.cookie, clock)
    assert isinstance(found, Session)
    assert access.is_fresh(found, clock)


async def test_of_two_who_take_one_handle_one_gets_it(store: Store, clock: ManualClock) -> None:
    async def take() -> bool:
        try:
            async with store.tx("test") as tx:
                await access.add_person(tx, "anna", "", [], clock, actor="cli")
        except Refused:
            return False
        return True

    assert sorted(await asyncio.gather(*(take() for _ in range(4)))) == [False, False, False, True]


async def test_who_lacks_a_second_factor_is_named(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    async with store.tx("test") as tx:
        for person, roles in (
            ("anna", ["support"]),
            ("bert", ["support"]),
            ("carl", ["support"]),
            ("dora", []),
        ):
            await somebody(tx, person, clock, roles)
        await somebody(tx, "emil", clock, ["support"])
        await access.suspend(tx, "emil", clock, actor="anna")
    await admin.execute(
        "INSERT INTO access.passkeys VALUES ('\\x01', 'bert', 'phone', '\\x02', 0, now(), NULL);"
        " INSERT INTO access.totp VALUES ('carl', '\\x03', now(), NULL, 0)"
    )
    async with store.tx("test") as tx:
        assert await access.people_without_second_factor(tx) == ["anna", "carl"]
    await admin.execute("UPDATE access.totp SET proved_at = now()")
    async with store.tx("test") as tx:
        assert await access.people_without_second_factor(tx) == ["anna"]

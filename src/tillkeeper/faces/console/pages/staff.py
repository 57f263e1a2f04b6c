"""The team: who is in it, inviting, roles, suspending, signing people out.

Whoever invites gives no role, and whoever gives roles needs a second person: nobody makes up a colleague alone.
"""

from typing import Any, Final
from urllib.parse import quote

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.access import Approval, Person, Thing
from tillkeeper.access.entrance import factors
from tillkeeper.base import limits
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.console.desk import (
    Desk,
    Page,
    TheDesk,
    Web,
    go_to,
    origin_of,
    person_of,
    session_in,
    site_of,
    typed,
)
from tillkeeper.store import Tx

HERE: Final = "/staff"


async def the_person(request: Web, _: Desk) -> Thing:
    """Whom the address names, for the door."""
    return access.somebody(request.path_params["person"])


async def the_persons_session(request: Web, _: Desk) -> Thing:
    """Any session of whom the address names, for the door."""
    return access.own_session("any", request.path_params["person"])


@get(HERE, action="people.view")
async def staff(request: Web, desk: TheDesk) -> Page:
    """Everybody."""
    return await _list(request, desk)


@post(HERE, action="people.invite", fresh=True, status_code=200)
async def invite(request: Web, desk: TheDesk) -> Page:
    """Somebody new, without roles, and the link for them, shown this once."""
    form = await request.form()
    handle, name = typed(form, "person").lower(), typed(form, "name")
    try:
        async with desk.store.tx("console invite") as tx:
            me, origin = person_of(request), origin_of(request)
            made = await access.add_person(tx, handle, name, (), desk.clock, actor=me, origin=origin)
            token = await access.sign_in_link(tx, handle, desk.clock, actor=me, invitation=True)
    except Refused as error:
        return await _list(request, desk, error.refusal)
    return await _link(request, desk, made, token)


@get("/staff/{person:str}", action="people.view")
async def one(request: Web, desk: TheDesk, person: FromPath[str]) -> Page:
    """One person."""
    return await _one(request, desk, person)


@post("/staff/{person:str}/invitation", action="people.manage", thing=the_person, fresh=True, status_code=200)
async def invite_again(request: Web, desk: TheDesk, person: FromPath[str]) -> Page:
    """Another link for somebody without roles who never came: whoever holds it is that person, for four eyes too."""
    async with desk.store.tx("console invite again") as tx:
        found, has = await access.person(tx, person), await factors.of(tx, person)
        if found is None:
            raise NotFoundException
        token = None
        if found.active and _is_nobody_yet(found, has):
            token = await access.sign_in_link(
                tx, person, desk.clock, actor=person_of(request), invitation=True
            )
    if token is None:
        return await _one(request, desk, person, Refusal("has_factors"))
    return await _link(request, desk, found, token)


@post("/staff/{person:str}/roles", action="people.set_roles", thing=the_person, fresh=True)
async def ask_for_roles(request: Web, desk: TheDesk, person: FromPath[str]) -> Page:
    """Ask a second person whether somebody shall be these roles; they are as soon as that person agrees."""
    form = await request.form()
    wanted = tuple(role for role in access.ROLES if role in form.getall("role", []))
    reason = typed(form, "reason")
    if len(frozenset(wanted) & access.ADMIN_ROLES) > 1:
        return await _one(request, desk, person, Refusal("two_admin_roles"))
    if not 0 < len(reason) <= limits.MAX_TEXT:
        return await _one(request, desk, person, Refusal("reason_missing"))
    if (refusal := forbidden(reason)) is not None:
        return await _one(request, desk, person, refusal)
    async with desk.store.tx("console ask for roles") as tx:
        asked = await _ask(tx, desk, request, person, wanted, reason)
    if isinstance(asked, Refusal):
        return await _one(request, desk, person, asked)
    return go_to("/approvals?notice=asked")


@post("/staff/{person:str}/suspend", action="people.manage", thing=the_person, fresh=True)
async def suspend(request: Web, desk: TheDesk, person: FromPath[str]) -> Page:
    """Close the door to somebody, at once."""
    return await _changed(request, desk, person, suspended=True)


@post("/staff/{person:str}/reinstate", action="people.manage", thing=the_person, fresh=True)
async def reinstate(request: Web, desk: TheDesk, person: FromPath[str]) -> Page:
    """Open it again."""
    return await _changed(request, desk, person, suspended=False)


@post("/staff/{person:str}/sessions/end", action="session.end", thing=the_persons_session)
async def end_sessions(request: Web, desk: TheDesk, person: FromPath[str]) -> Page:
    """Sign somebody out everywhere."""
    async with desk.store.tx("console end sessions of") as tx:
        await access.end_sessions_of(
            tx, person, desk.clock, actor=person_of(request), origin=origin_of(request)
        )
    return go_to(f"{_at(person)}?notice=session_ended")


async def _ask(
    tx: Tx, desk: Desk, request: Web, person: str, wanted: tuple[str, ...], reason: str
) -> Approval | Refusal:
    found = await access.person(tx, person)
    if found is None:
        raise NotFoundException
    if _is_nobody_yet(found, await factors.of(tx, person)):
        return Refusal("not_here_yet")
    before = tuple(role for role in access.ROLES if role in found.roles)
    if wanted == before:
        return Refusal("same_roles")
    terms = access.RoleChange(person, wanted, before)
    who = access.approvals.asker(session_in(request), origin_of(request))
    return await access.approvals.ask(tx, access.ROLE_CHANGE, terms, who, desk.clock, reason)


async def _changed(request: Web, desk: Desk, person: str, *, suspended: bool) -> Page:
    me, origin = person_of(request), origin_of(request)
    try:
        async with desk.store.tx("console suspend") as tx:
            if suspended:
                await access.suspend(tx, person, desk.clock, actor=me, origin=origin)
            else:
                await access.reinstate(tx, person, actor=me, origin=origin)
    except Refused as error:
        return await _one(request, desk, person, error.refusal)
    return go_to(f"{_at(person)}?notice={'suspended' if suspended else 'reinstated'}")


async def _list(request: Web, desk: Desk, refusal: Refusal | None = None) -> Page:
    async with desk.store.tx("console staff") as tx:
        context: dict[str, Any] = {
            "people": await access.people(tx),
            "has": await factors.of_all(tx),
            "here_now": {each.person for each in await access.list_sessions(tx, desk.clock)},
        }
    problem = None
    if refusal is not None:
        problem = f"bad_{refusal.field}" if refusal.code == "invalid_value" else refusal.code
    context |= {"roles": access.ROLES, "problem": problem}
    return await desk.page(request, "staff.html", context, refusal.status if refusal else 200)


async def _one(request: Web, desk: Desk, person: str, refusal: Refusal | None = None) -> Page:
    async with desk.store.tx("console one of the staff") as tx:
        found = await access.person(tx, person)
        if found is None:
            raise NotFoundException
        has, sessions = await factors.of(tx, person), await access.list_sessions(tx, desk.clock, person)
    session, policies = session_in(request), access.policies()
    thing, any_session = access.somebody(person), access.own_session("any", person)
    context = {
        "person": found,
        "has": has,
        "sessions": sessions,
        "roles": access.ROLES,
        "manages": policies.judge(session, "people.manage", thing).allowed,
        "gives_roles": policies.judge(session, "people.set_roles", thing).allowed,
        "ends_sessions": policies.judge(session, "session.end", any_session).allowed,
        "never_came": _is_nobody_yet(found, has),
        "problem": refusal.code if refusal else None,
        "at": _at(person),
    }
    return await desk.page(request, "staff_member.html", context, refusal.status if refusal else 200)


async def _link(request: Web, desk: Desk, person: Person, token: str) -> Page:
    link = f"{site_of(request).origin}/sign-in?token={token}"
    days = limits.INVITATION_SECONDS // 86400
    return await desk.page(request, "invited.html", {"person": person, "link": link, "days": days})


def _is_nobody_yet(person: Person, has: factors.Factors) -> bool:
    """Whether somebody invited has not come yet, as far as anybody can tell."""
    return not person.roles and has == factors.Factors()


def _at(person: str) -> str:
    return f"{HERE}/{quote(person, safe='@')}"

"""Purpose grants: one's own in force, for reviewers everybody's; each can be ended early."""

from litestar import get, post
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, go_to, origin_of, person_of, session_in
from tillkeeper.faces.console.pages.payments import id_from


async def grant_in(request: Web, desk: Desk) -> access.Thing | None:
    """The grant that an address names, for the door to judge."""
    try:
        id_ = from_typeid("grt", request.path_params["public_id"])
    except BadIdError:
        return None
    async with desk.store.tx("console grant") as tx:
        found = await access.grants.find_grant(tx, id_)
    return access.grants.thing(found) if found else None


@get("/grants", action="grant.view")
async def grants(request: Web, desk: TheDesk) -> Page:
    """What is in force, the newest first."""
    session = session_in(request)
    everybodys = access.policies().judge(session, "grant.view_all").allowed
    async with desk.store.tx("console grants") as tx:
        found = await access.grants.grants_of(tx, None if everybodys else session.person, desk.clock)
    judge = access.policies().judge
    rows = [(each, judge(session, "grant.end", access.grants.thing(each)).allowed) for each in found]
    return await desk.page(request, "grants.html", {"rows": rows, "everybodys": everybodys})


@post("/grants/{public_id:str}/end", action="grant.end", thing=grant_in)
async def end(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """No more looks under it."""
    async with desk.store.tx("console grant ends") as tx:
        await access.grants.end_grant(
            tx, id_from("grt", public_id), desk.clock, actor=person_of(request), origin=origin_of(request)
        )
    return go_to("/grants?notice=grant_ended")

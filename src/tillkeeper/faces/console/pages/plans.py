"""Maintenance plans: the list, and a plan's page with its rehearsal, who agreed, what stands in the way, and its run."""

from typing import Any, Final
from uuid import UUID

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.base import limits
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import (
    Desk,
    Page,
    TheDesk,
    Web,
    go_to,
    origin_of,
    person_of,
    session_in,
    typed,
)
from tillkeeper.faces.console.pages.payments import cursor, id_from
from tillkeeper.maintenance import plans as filed
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.plans import Filed
from tillkeeper.maintenance.steps import KINDS
from tillkeeper.monitoring import MEASURES
from tillkeeper.store import Tx

HERE: Final = "/plans"
_PAST: Final[tuple[filed.PlanState, ...]] = ("done", "expired", "withdrawn")


@get(HERE, action="plan.view")
async def plans(request: Web, desk: TheDesk) -> Page:
    """What is planned, the newest first; then what came to an end."""
    before = cursor(request.query_params.get("before"), filed.PREFIX)
    async with desk.store.tx("console plans") as tx:
        await filed.expire_late(tx, desk.clock)
        open_ones = [] if before else await filed.listed(tx, limit=limits.PLANS_OPEN)
        past = await filed.listed(tx, _PAST, before, limits.PAGE_DEFAULT + 1)
        answers = {each.id: await _allowed(tx, desk, each) for each in open_ones if each.state == "approved"}
    shown = past[: limits.PAGE_DEFAULT]
    context = {
        "open_ones": open_ones,
        "answers": answers,
        "past": shown,
        "further": shown[-1].public_id if len(past) > len(shown) else None,
        "later": before is not None,
    }
    return await desk.page(request, "plans.html", context)


@get(HERE + "/{public_id:str}", action="plan.view")
async def plan(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One plan, and how far it has come."""
    return await _one(request, desk, public_id)


@get(HERE + "/{public_id:str}/file", action="plan.view")
async def file(desk: TheDesk, public_id: FromPath[str]) -> Response[bytes]:
    """The plan as TOML, for `till plan check` and for next time."""
    async with desk.store.tx("console plan file") as tx:
        found = await plan_in(tx, public_id)
    name = f'attachment; filename="{public_id}.toml"'
    text = filed.write_plan(found.plan).encode()
    return Response(text, media_type="application/toml", headers={"content-disposition": name})


@post(HERE + "/{public_id:str}/submit", action="plan.write")
async def submit(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """A draft is ready."""
    async with desk.store.tx("console submit plan") as tx:
        said = await filed.submit_draft(
            tx, _id(public_id), person_of(request), KINDS, desk.clock, origin=origin_of(request)
        )
    return await _after(request, desk, public_id, said, "plan_submitted")


@post(HERE + "/{public_id:str}/withdraw", action="plan.write")
async def withdraw(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Take a plan back."""
    async with desk.store.tx("console withdraw plan") as tx:
        said = await filed.withdraw(
            tx, _id(public_id), person_of(request), desk.clock, origin=origin_of(request)
        )
    return await _after(request, desk, public_id, said, "plan_withdrawn")


@post(HERE + "/{public_id:str}/rehearse", action="plan.rehearse")
async def rehearse(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Have it rehearsed by the agent."""
    async with desk.store.tx("console rehearse plan") as tx:
        said = await filed.order_rehearsal(
            tx, _id(public_id), person_of(request), desk.clock, origin=origin_of(request)
        )
    return await _after(request, desk, public_id, said, "rehearsal_asked")


@post(HERE + "/{public_id:str}/ask", action="plan.write")
async def ask(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Ask a second person again, where a question was refused or ran out."""
    who = access.approvals.asker(session_in(request), origin_of(request))
    async with desk.store.tx("console ask about plan") as tx:
        said = await filed.ask_approval(tx, _id(public_id), who, desk.clock)
    return await _after(request, desk, public_id, said, "plan_asked")


@post(HERE + "/{public_id:str}/override", action="plan.write", fresh=True)
async def override(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Ask a second person to let it begin although the calendar says no."""
    reason = typed(await request.form(), "reason")
    if not 0 < len(reason) <= limits.MAX_TEXT:
        return await _one(request, desk, public_id, Refusal("reason_missing"))
    who = access.approvals.asker(session_in(request), origin_of(request))
    async with desk.store.tx("console ask for override") as tx:
        said = await filed.ask_override(tx, _id(public_id), reason, who, desk.clock)
    return await _after(request, desk, public_id, said, "plan_asked")


@post(HERE + "/{public_id:str}/start", action="plan.start", fresh=True)
async def start(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Have it carried out."""
    async with desk.store.tx("console start plan") as tx:
        said = await runs.start(tx, _id(public_id), person_of(request), desk.clock, origin=origin_of(request))
    if isinstance(said, Refusal):
        return await _one(request, desk, public_id, said)
    return go_to(f"/runs/{said.public}")


async def plan_in(tx: Tx, public_id: str) -> Filed:
    """The plan that an address names. Raises NotFoundException."""
    found = await filed.get(tx, _id(public_id))
    if found is None:
        raise NotFoundException
    return found


def _id(public_id: str) -> UUID:
    return id_from(filed.PREFIX, public_id)


async def _after(request: Web, desk: Desk, public_id: str, said: Any, notice: str) -> Page:
    if isinstance(said, Refusal):
        return await _one(request, desk, public_id, said)
    return go_to(f"{HERE}/{public_id}?notice={notice}")


async def _one(request: Web, desk: Desk, public_id: str, refusal: Refusal | None = None) -> Page:
    async with desk.store.tx("console plan") as tx:
        await filed.expire_late(tx, desk.clock)
        found = await plan_in(tx, public_id)
        rehearsals = await filed.rehearsals_of(tx, found.digest)
        context: dict[str, Any] = {
            "p": found,
            "rehearsals": rehearsals,
            "last": rehearsals[0] if rehearsals else None,
            "order": await filed.last_order(tx, found.id),
            "answer": await _allowed(tx, desk, found),
            "overrides": await filed.overrides_of(tx, found.id),
            "questions": await access.approvals.about(tx, found.public_id, limits.PAGE_DEFAULT),
            "runs": await runs.list_runs(tx, plan=found.id, rehearsal=None),
        }
    waiting = [
        each
        for each in context["questions"]
        if each.state == "waiting" and each.expires_at > desk.clock.now()
    ]
    context |= {
        "asked": next((each for each in waiting if each.deed == filed.APPROVE.name), None),
        "override_asked": next((each for each in waiting if each.deed == filed.OVERRIDE.name), None),
        "seconds": filed.expected_seconds(found.plan, context["last"]),
        "kinds": KINDS,
        "measures": MEASURES,
        "problem": refusal,
        "mistakes": filed.check(found.plan, KINDS, desk.clock.now()) if found.state == "draft" else [],
    }
    return await desk.page(request, "plan.html", context, refusal.status if refusal else 200)


async def _allowed(tx: Tx, desk: Desk, found: Filed) -> filed.Answer:
    return await filed.may_run(tx, found, desk.calendar, desk.zone, desk.clock)

"""Payments that wait for a person: the queue, and the verdict."""

from typing import Final
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.access import Approval
from tillkeeper.base import limits
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import (
    Desk,
    Page,
    TheDesk,
    Web,
    go_to,
    origin_of,
    own_path,
    person_of,
    typed,
)
from tillkeeper.faces.console.names import names_of, parties_in
from tillkeeper.faces.console.pages.decision import read_decision
from tillkeeper.faces.console.pages.payments import cursor, id_from, releases_of
from tillkeeper.payments import ProblemView, browse, release_of
from tillkeeper.payments import payment as find_payment
from tillkeeper.payments import problem as problem_of
from tillkeeper.payments.commands import Review
from tillkeeper.store import Answer

_DONE: Final = 200


@get("/held", action="held.view")
async def held(request: Web, desk: TheDesk) -> Page:
    """The queue, the longest waiting first."""
    after = cursor(request.query_params.get("after"))
    async with desk.store.tx("console held") as tx:
        rows = await browse.held(tx, after, limits.PAGE_DEFAULT + 1)
        shown = rows[: limits.PAGE_DEFAULT]
        names = await names_of(tx, desk.vault, parties_in(shown))
        renderer = desk.renderer(request)
        decisions = {row.id: await read_decision(tx, row.id, renderer) for row in shown}
        releases = await releases_of(tx, desk, [row.id for row in shown])
    context = {
        "rows": shown,
        "names": names,
        "decisions": decisions,
        "releases": releases,
        "next": to_typeid("pay", shown[-1].id) if len(rows) > len(shown) else None,
        "problem": None,
    }
    return await desk.page(request, "held.html", context)


@post("/held/{public_id:str}", action="payment.review", fresh=True)
async def verdict(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Release or refuse one held payment; the reason is kept with it. Releasing a large one asks a second person."""
    payment = id_from("pay", public_id)
    form = await request.form()
    release = form.get("verdict") == "release"
    reason, back = typed(form, "reason"), f"/payments/{public_id}"
    after = typed(form, "back")  # whoever works a case goes on with it
    after = after if after.startswith("/cases/") and own_path(after) == after else "/held"
    if problem := _mistake(str(form.get("verdict")), reason):
        return await desk.page(request, "problem.html", {"problem": problem, "detail": "", "back": back}, 422)
    if release and (asked := await _ask(request, desk, payment, reason)):
        if isinstance(asked, Refusal):
            return await _not_done(request, desk, problem_of(asked), back)
        return go_to(f"{after}?notice=asked")
    command = Review(payment, release, person_of(request), reason, origin=origin_of(request))
    answer = await desk.till.submit(command)
    if answer.status != _DONE:
        return await _not_done(request, desk, answer, back)
    return go_to(f"{after}?notice={'released' if release else 'refused'}")


async def _ask(request: Web, desk: Desk, payment: UUID, reason: str) -> Approval | Refusal | None:
    """Ask a second person for the release of a large payment; None for one that a single person may release."""
    asker = access.Asker(person_of(request), None, origin_of(request))
    async with desk.store.tx("console four eyes") as tx:
        found = await find_payment(tx, payment)
        if found is None or found.amount < desk.four_eyes_amount:
            return None
        public = to_typeid("pay", payment)
        if waiting := (await releases_of(tx, desk, [payment])).get(public):
            return waiting  # a colleague asked before: one question is enough
        deed, terms = desk.deeds["payment.release"], release_of(found, reason)
        return await access.approvals.ask(tx, deed, terms, asker, desk.clock, reason)


def _mistake(verdict: str, reason: str) -> str | None:
    """What is wrong with a verdict as it was typed."""
    if verdict not in {"release", "refuse"} or not 0 < len(reason) <= limits.MAX_TEXT:
        return "reason_needed"
    refusal = forbidden(reason)
    return refusal.code if refusal else None


async def _not_done(request: Web, desk: Desk, answer: Answer, back: str) -> Page:
    problem = msgspec.json.decode(answer.body, type=ProblemView)
    context = {"problem": problem.code, "detail": problem.detail, "back": back}
    return await desk.page(request, "problem.html", context, answer.status)

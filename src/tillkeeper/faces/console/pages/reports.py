"""Reports of maintenance: what was done, who has reviewed it, and what is still to be done about it."""

import base64
import hashlib
from functools import cache

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper.base import limits
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import (
    HTML,
    Desk,
    Page,
    TheDesk,
    Web,
    go_to,
    origin_of,
    person_of,
    typed,
)
from tillkeeper.faces.console.pages.payments import cursor, id_from
from tillkeeper.maintenance import reports as kept
from tillkeeper.maintenance.reports import Document, Listed
from tillkeeper.store import Tx


@get("/reports", action="report.view")
async def reports(request: Web, desk: TheDesk) -> Page:
    """What nobody has reviewed stands out; beside it what is to be done."""
    before = cursor(request.query_params.get("before"), kept.PREFIX)
    async with desk.store.tx("console reports") as tx:
        found = await kept.listed(tx, before, limits.PAGE_DEFAULT + 1)
        tasks = [] if before else await kept.open_tasks(tx)
    shown = found[: limits.PAGE_DEFAULT]
    context = {
        "rows": shown,
        "tasks": tasks,
        "words": _words(request, desk),
        "further": to_typeid(kept.PREFIX, shown[-1].id) if len(found) > len(shown) else None,
        "later": before is not None,
    }
    return await desk.page(request, "reports.html", context)


@get("/reports/{public_id:str}", action="report.view")
async def report(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One report in short, its review, and its tasks; the whole of it is a page of its own."""
    async with desk.store.tx("console report") as tx:
        listed, document = await _report(tx, public_id)
        tasks = await kept.tasks_of(tx, listed.id)
    context = {"row": listed, "d": document, "tasks": tasks, "words": _words(request, desk)}
    return await desk.page(request, "report.html", context)


@get("/reports/{public_id:str}/page", action="report.view")
async def whole(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """The report as it is filed and printed. It is drawn from what was signed, with a style sheet of its own."""
    async with desk.store.tx("console report page") as tx:
        _, document = await _report(tx, public_id)
    language = desk.renderer(request).texts.language
    drawn = kept.draw(document, language, "")
    return Response(drawn, media_type=HTML, headers={"content-security-policy": _policy()})


@get("/reports/{public_id:str}/file", action="report.view")
async def file(desk: TheDesk, public_id: FromPath[str]) -> Response[bytes]:
    """The signed file, for `till report verify`."""
    async with desk.store.tx("console report file") as tx:
        listed, _ = await _report(tx, public_id)
        found = await kept.file_of(tx, listed.id)
    assert found is not None
    name = f'attachment; filename="{public_id}.json"'
    return Response(found, media_type="application/json", headers={"content-disposition": name})


@post("/reports/{public_id:str}/review", action="report.review")
async def review(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Say that one has read it."""
    remark = typed(await request.form(), "remark")
    if not remark or len(remark) > limits.MAX_TEXT:
        refusal = Refusal("invalid_value" if remark else "reason_missing")
        return await _problem(request, desk, refusal, f"/reports/{public_id}")
    async with desk.store.tx("console report review") as tx:
        said = await kept.review(
            tx,
            id_from(kept.PREFIX, public_id),
            person_of(request),
            remark,
            desk.clock,
            origin=origin_of(request),
        )
    if said is not None:
        return await _problem(request, desk, said, f"/reports/{public_id}")
    return go_to(f"/reports/{public_id}?notice=reviewed")


@post("/tasks/{public_id:str}/done", action="report.review")
async def done(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """A task is done."""
    async with desk.store.tx("console task") as tx:
        said = await kept.finish_task(
            tx,
            id_from(kept.TASK_PREFIX, public_id),
            person_of(request),
            desk.clock,
            origin=origin_of(request),
        )
    if isinstance(said, Refusal):
        return await _problem(request, desk, said, "/reports")
    return go_to(f"/reports/{to_typeid(kept.PREFIX, said.report)}?notice=task_done")


@post("/tasks/{public_id:str}/plan", action="plan.write")
async def plan(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Make the next plan's draft of a task, with one press."""
    id_ = id_from(kept.TASK_PREFIX, public_id)
    async with desk.store.tx("console task plan") as tx:
        found = await kept.find_task(tx, id_)
        if found is None:
            raise NotFoundException
        goal = _words(request, desk)(f"item.{found.code}", detail=found.detail).unescape()
        said = await kept.plan_task(tx, id_, goal, person_of(request), desk.clock, origin=origin_of(request))
    if isinstance(said, Refusal):
        return await _problem(request, desk, said, "/reports")
    return go_to(f"/plans/{said.public_id}")


async def _report(tx: Tx, public_id: str) -> tuple[Listed, Document]:
    listed = await kept.find(tx, id_from(kept.PREFIX, public_id))
    file_ = await kept.file_of(tx, listed.id) if listed else None
    if listed is None or file_ is None:
        raise NotFoundException
    return listed, kept.document_of(file_)


def _words(request: Web, desk: Desk) -> kept.Words:
    """The words of reports in the browser's language."""
    return kept.Words(desk.renderer(request).texts.language, str(desk.zone))


@cache
def _policy() -> str:
    """The one style sheet that a report has, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(kept.style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


async def _problem(request: Web, desk: Desk, refusal: Refusal, back: str) -> Page:
    context = {"problem": refusal.code, "detail": refusal.detail, "back": back}
    return await desk.page(request, "problem.html", context, refusal.status)

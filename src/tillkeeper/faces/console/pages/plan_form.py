"""A plan as a form: begun from a template, another plan or nothing; steps are added and moved without any script."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from litestar import get, post

from tillkeeper import monitoring
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console import planform
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, go_to, origin_of, person_of
from tillkeeper.faces.console.pages.plans import HERE, plan_in
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Filed, Mistake, Plan
from tillkeeper.maintenance.steps import KINDS

_OVERRUNS: Final = ("pause", "undo", "finish")
_EXPECTS: Final = ("nothing", "slower", "interruption")


@get("/plan-form", action="plan.write")
async def new(request: Web, desk: TheDesk) -> Page:
    """An empty form, a template's (`template`), or another plan's (`like`): a draft's goes on where it was."""
    query, replaces = request.query_params, ""
    form = {"owner": person_of(request)}
    templates = plans.templates()
    if (name := query.get("template", "")) in templates:
        made = plans.read_plan(templates[name], desk.zone)
        form = planform.fill_form(made, KINDS, desk.zone) | {"owner": person_of(request)}
    elif like := query.get("like"):
        async with desk.store.tx("console plan like") as tx:
            found = await plan_in(tx, like)
        form = planform.fill_form(found.plan, KINDS, desk.zone)
        replaces = found.public_id if found.state == "draft" else ""
        form |= {name: query[name] for name in ("plan_window.begin", "plan_window.end") if name in query}
    return await _form(request, desk, form, replaces, [])


@post("/plan-form", action="plan.write")
async def change(request: Web, desk: TheDesk) -> Page:
    """Add, move or take away a step; keep the draft; or submit it."""
    form = {name: str(value).replace("\0", "") for name, value in (await request.form()).items()}
    replaces, deed = form.pop("replaces", ""), form.pop("deed", "")
    form.pop("csrf", None)
    verb, _, place = deed.partition(".")
    numbers = planform.places(form, "steps")
    if verb == "add" and form.get("kind") in KINDS:
        form = planform.with_step(form, KINDS[form["kind"]])
    elif verb == "remove" and place.isdigit():
        form = planform.without(form, int(place))
    elif verb == "up" and place.isdigit() and int(place) in numbers[1:]:
        form = planform.moved(form, int(place), numbers[numbers.index(int(place)) - 1])
    elif verb in {"keep", "submit"}:
        return await _keep(request, desk, form, replaces, submitted=verb == "submit")
    return await _form(request, desk, form, replaces, [])


async def _keep(request: Web, desk: Desk, form: dict[str, str], replaces: str, *, submitted: bool) -> Page:
    given, mistakes = planform.read_form(form, KINDS, desk.zone)
    made = planform.plan_of(given)
    if isinstance(made, Mistake):
        mistakes.append(made)
    elif submitted:
        mistakes += plans.check(made, KINDS, desk.clock.now())
    if mistakes or isinstance(made, Mistake):
        return await _form(request, desk, form, replaces, mistakes)
    said = await _filed(request, desk, made, replaces, submitted=submitted)
    if isinstance(said, Refusal):
        return await _form(request, desk, form, replaces, [], said)
    notice = "plan_submitted" if submitted else "plan_kept"
    return go_to(f"{HERE}/{said.public_id}?notice={notice}")


async def _filed(request: Web, desk: Desk, made: Plan, replaces: str, *, submitted: bool) -> Filed | Refusal:
    person, origin = person_of(request), origin_of(request)
    try:
        before = from_typeid(plans.PREFIX, replaces) if replaces else None
    except BadIdError:
        return Refusal("unknown_plan")
    async with desk.store.tx("console keep plan") as tx:
        kept = await plans.draft(tx, made, person, desk.clock, origin=origin, replaces=before)
        if isinstance(kept, Refusal) or not submitted:
            return kept
        return await plans.submit_draft(tx, kept.id, person, KINDS, desk.clock, origin=origin)


def _beside(mistakes: Sequence[Mistake], steps: Sequence[int], rails: Sequence[int]) -> dict[str, str]:
    """What is said beside each input, in the order of the form; of several mistakes of one the first."""
    found: dict[str, str] = {}
    for each in mistakes:
        place = planform.input_of(each.field, steps, rails)
        found.setdefault(place, each.said.removeprefix(f"{each.field}: "))
    return found


async def _form(
    request: Web,
    desk: Desk,
    form: Mapping[str, str],
    replaces: str,
    mistakes: list[Mistake],
    refusal: Refusal | None = None,
) -> Page:
    steps, rails = planform.places(form, "steps"), planform.rail_places(form)
    used = [place for place in rails if form.get(f"guardrails.{place}.measure")]
    context: dict[str, Any] = {
        "form": form,
        "replaces": replaces,
        "steps": [(place, form[f"steps.{place}.kind"]) for place in steps if f"steps.{place}.kind" in form],
        "rails": rails,
        "fields": {name: planform.fields_of(kind) for name, kind in KINDS.items()},
        "kinds": KINDS,
        "purposes": {name: planform.purpose_of(kind) for name, kind in KINDS.items()},
        "measures": monitoring.MEASURES,
        "templates": list(plans.templates()),
        "overruns": _OVERRUNS,
        "expects": _EXPECTS,
        "mistakes": _beside(mistakes, steps, used),
        "problem": refusal,
        "section": "plans",
    }
    status = 422 if mistakes else refusal.status if refusal else 200
    return await desk.page(request, "plan_form.html", context, status)

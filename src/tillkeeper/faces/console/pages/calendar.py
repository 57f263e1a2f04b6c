"""When maintenance may run: the calendar as a picture, freezes, and windows proposed from the platform's own traffic."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from litestar import get, post
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.base import limits
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console import weeks
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
from tillkeeper.faces.console.pages.payments import id_from
from tillkeeper.faces.console.pages.plans import plan_in
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.backups import Backups

_SHOWN_DAYS: Final = 35


@get("/calendar", action="plan.view")
async def calendar(request: Web, desk: TheDesk) -> Page:
    """Five weeks: when a run may be, and what denies."""
    return await _calendar(request, desk)


@post("/freezes", action="calendar.freeze", fresh=True)
async def freeze(request: Web, desk: TheDesk) -> Page:
    """Forbid every run between two moments."""
    form = await request.form()
    begins, ends = (_moment(typed(form, name), desk) for name in ("begins", "ends"))
    if begins is None or ends is None:
        return await _calendar(request, desk, Refusal("invalid_value", field="ends"), form)
    async with desk.store.tx("console freeze") as tx:
        said = await plans.freeze(
            tx, begins, ends, typed(form, "reason"), person_of(request), desk.clock, origin=origin_of(request)
        )
    if isinstance(said, Refusal):
        return await _calendar(request, desk, said, form)
    return go_to("/calendar?notice=frozen_time")


@post("/freezes/{public_id:str}/lift", action="calendar.freeze", fresh=True)
async def lift(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Ask a second person to end a freeze early."""
    reason = typed(await request.form(), "reason")
    who = access.approvals.asker(session_in(request), origin_of(request))
    async with desk.store.tx("console lift freeze") as tx:
        said = await plans.ask_lift(tx, id_from(plans.FREEZE_PREFIX, public_id), reason, who, desk.clock)
    if isinstance(said, Refusal):
        return await _calendar(request, desk, said)
    return go_to("/approvals?notice=asked")


@get("/plans/{public_id:str}/window", action="plan.view")
async def window(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Windows proposed for a plan, and why: the week's traffic as a picture."""
    good = await Backups(desk.store).latest_good()
    drill = good.drill.rto_seconds if good is not None and good.drill is not None else 0.0
    async with desk.store.tx("console suggest window") as tx:
        found = await plan_in(tx, public_id)
        known, proposed = await plans.suggest_window(
            tx, found.plan, desk.calendar, desk.zone, desk.clock, drill
        )
        seconds = plans.expected_seconds(found.plan, await plans.rehearsal_of(tx, found.digest))
    words = desk.renderer(request).texts
    context = {
        "p": found,
        "traffic": known,
        "proposed": proposed,
        "seconds": seconds,
        "picture": weeks.heat(known, proposed, desk.zone, words("proposal.picture")),
        "links": [_query(each, desk) for each in proposed],
        "days": plans.calendar.DAYS,
        "hours_known": len(known.known),
    }
    return await desk.page(request, "plan_window.html", context)


async def _calendar(request: Web, desk: Desk, refusal: Refusal | None = None, form: Any = None) -> Page:
    now = desk.clock.now()
    first = desk.midnight(now).astimezone(UTC)
    within = plans.Span(first, first + timedelta(days=_SHOWN_DAYS))
    async with desk.store.tx("console calendar") as tx:
        rules = await plans.rules_at(tx, desk.calendar, desk.zone, now)
        waiting = await access.approvals.open_about(
            tx, plans.LIFT.name, [plans.freeze_id(each) for each in rules.freezes], desk.clock
        )
        open_ones = await plans.listed(tx, limit=limits.PLANS_OPEN)
    free = plans.calendar.free(rules, None, within)
    denials = plans.calendar.denials(rules, within)
    label = desk.renderer(request).texts("calendar.picture")
    context = {
        "days": weeks.days(free, denials, first, _SHOWN_DAYS, desk.zone, label),
        "today": now.astimezone(desk.zone).date(),
        "calendar": desk.calendar,
        "freezes": [each for each in rules.freezes if each.ends > now],
        "freeze_ids": {each.id: plans.freeze_id(each) for each in rules.freezes},
        "lifting": waiting,
        "planned": _by_day(open_ones, desk),
        "answer": plans.may_begin(rules, None, 0, now),
        "problem": refusal,
        "section": "plans",
        "form": {name: typed(form, name) for name in ("begins", "ends", "reason")} if form else {},
    }
    return await desk.page(request, "calendar.html", context, refusal.status if refusal else 200)


def _by_day(found: list[plans.Filed], desk: Desk) -> dict[Any, list[plans.Filed]]:
    """Plans with a window of their own, by the business day on which it begins."""
    by_day: dict[Any, list[plans.Filed]] = {}
    for each in found:
        if each.plan.window is not None:
            by_day.setdefault(each.plan.window.begin.astimezone(desk.zone).date(), []).append(each)
    return by_day


def _moment(text: str, desk: Desk) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=desk.zone).astimezone(UTC)
    except ValueError:
        return None


def _query(each: plans.Suggestion, desk: Desk) -> str:
    begin, end = (
        moment.astimezone(desk.zone).strftime("%Y-%m-%dT%H:%M") for moment in (each.begin, each.end)
    )
    return f"plan_window.begin={begin}&plan_window.end={end}"

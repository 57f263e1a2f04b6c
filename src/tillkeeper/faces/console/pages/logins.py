"""The watch over logins: outcomes over time, networks that fail, the riskiest; and one customer's timeline."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import parties
from tillkeeper.base import limits
from tillkeeper.base.ids import to_typeid
from tillkeeper.faces.console import charts
from tillkeeper.faces.console.desk import Page, TheDesk, Web
from tillkeeper.faces.console.names import names_of
from tillkeeper.faces.console.pages.payments import cursor, id_from
from tillkeeper.faces.console.pages.risk import SPANS, span_of
from tillkeeper.faces.console.render import Renderer
from tillkeeper.risk.logins import OUTCOMES, Moment, reason_words, timeline, watch
from tillkeeper.risk.logins.watch import Slot

SLOTS: Final = 48
_NETWORKS: Final = 12
_RISKIEST: Final = 15
_STAFF: Final = 10
_TONES: Final = {"allow": "main", "ask_again": "wait", "block": "deny"}


@get("/logins", action="login.view")
async def logins(request: Web, desk: TheDesk) -> Page:
    """Does somebody try to get in who should not?"""
    span, since, now = span_of(request, desk.clock.now())
    renderer = desk.renderer(request)
    async with desk.store.tx("console logins") as tx:
        slots = await watch.outcomes(tx, since, SPANS[span] / SLOTS)
        networks = await watch.by_network(tx, since, _NETWORKS)
        riskiest = await watch.riskiest(tx, since, _RISKIEST)
        answers = await watch.answered(tx, since)
        staff = await watch.staff(tx, _STAFF)
        names = await names_of(tx, desk.vault, [each.customer for each in riskiest])
    total = sum(each.count for each in slots)
    context = {
        "span": span,
        "spans": SPANS,
        "ticks": renderer.ticks(since, now),
        "total": total,
        "partial": total >= limits.LOGIN_WATCH_ROWS,
        "failed": sum(each.failed for each in slots),
        "by_outcome": {name: sum(each.count for each in slots if each.outcome == name) for name in OUTCOMES},
        **_curve(slots, since, now, renderer),
        "networks": [each for each in networks if each.failed],
        "riskiest": riskiest,
        "answers": answers,
        "staff": staff,
        "names": names,
        "reasons": reasons_in(renderer),
    }
    return await desk.page(request, "logins.html", context)


@get("/timeline/{public_id:str}", action="login.view")
async def history(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One customer's logins, devices, settings, payments and payouts in one list, the newest first."""
    id_ = id_from("cus", public_id)
    before = cursor(request.query_params.get("before"), "mom")
    async with desk.store.tx("console timeline") as tx:
        if id_ not in await parties.customers(tx, desk.vault, [id_]):
            raise NotFoundException
        found = await timeline(tx, id_, before, limits.PAGE_DEFAULT + 1)
        shown = found[: limits.PAGE_DEFAULT]
        names = await names_of(tx, desk.vault, {id_, *(each.payee for each in shown if each.payee)})
    context = {
        "customer": id_,
        "public_id": public_id,
        "moments": shown,
        "older": to_typeid("mom", shown[-1].id) if len(found) > len(shown) else None,
        "later": before is not None,
        "names": names,
        "tone": tone,
        "reasons": reasons_in(desk.renderer(request)),
    }
    return await desk.page(request, "timeline.html", context)


def tone(moment: Moment) -> str:
    """How an entry looks: bad where something was stopped, failed or fraud; wait where somebody was asked."""
    if moment.fraud or moment.outcome in ("block", "deny") or moment.what == "failed":
        return "bad"
    if moment.outcome in ("ask_again", "challenge", "hold"):
        return "wait"
    return "good" if moment.kind == "login" else "quiet"


def _curve(slots: Sequence[Slot], since: datetime, until: datetime, renderer: Renderer) -> dict[str, Any]:
    """Logins over time by outcome, the mild ones below."""
    width: timedelta = (until - since) / SLOTS
    layers = []
    for name in OUTCOMES:
        counts = [0] * SLOTS
        for each in slots:
            if each.outcome == name:
                counts[min(max((each.at - since) // width, 0), SLOTS - 1)] += each.count
        layers.append((_TONES[name], counts))
    plot, top = charts.columns(layers, renderer.texts("logins.over_time"))
    return {"plot": plot, "top": top}


def reasons_in(renderer: Renderer) -> Any:
    """How reasons are written in the page's language."""
    language = renderer.texts.language.partition("-")[0]

    def written(names: Iterable[str]) -> list[str]:
        return [reason_words(name, language) for name in names]

    return written

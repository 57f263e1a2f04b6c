"""Early warning: what leaves its band, attacks as they begin, and the short-lived rules a machine proposes against them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.console.desk import Page, TheDesk, Web, go_to, person_of, typed
from tillkeeper.faces.console.names import Named, names_of
from tillkeeper.faces.console.pages.payments import id_from
from tillkeeper.faces.console.pages.proposals import problem, try_on_history
from tillkeeper.faces.console.pages.risk import rules_in_force
from tillkeeper.faces.console.render import Renderer
from tillkeeper.risk import BadRulesError, warning
from tillkeeper.risk.warning import Signal

HERE: Final = "/signals"
_STALE: Final = timedelta(seconds=limits.ALERT_STALE_SECONDS)
_PARTIES: Final = frozenset({"customer", "merchant"})
_LISTED: Final = {"customer": "customer", "merchant": "payee", "device": "device", "ip": "ip"}
"""What a signal is about, as lists name it."""


@get(HERE, action="risk.view")
async def signals(request: Web, desk: TheDesk) -> Page:
    """Does something happen that should not? Then what was, and what was done about it."""
    now = desk.clock.now()
    async with desk.store.tx("console signals") as tx:
        board = await warning.board(tx, now)
        about = [id_ for each in (*board.open, *board.past) if (id_ := _party(each.signal)) is not None]
        names = await names_of(tx, desk.vault, about)
        rules = await rules_in_force(tx)
    context = {
        "board": board,
        "stale": board.looked_at is None or now - board.looked_at > _STALE,
        "capacity": rules.alerts_a_day if rules else limits.ALERTS_A_DAY,
        **in_words(desk.renderer(request), names),
    }
    return await desk.page(request, "signals.html", context)


@post(HERE + "/{public_id:str}/propose", action="rules.write")
async def propose(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Propose the rules in force with the machine's rule among them."""
    signal, reason = id_from(warning.PREFIX, public_id), typed(await request.form(), "reason")
    try:
        async with desk.store.tx("console signal") as tx:
            made = await warning.propose(tx, signal, person_of(request), reason, desk.clock)
    except Refused as error:
        return await problem(request, desk, error.refusal, HERE)
    except BadRulesError as error:
        return await problem(request, desk, Refusal("invalid_value", str(error), "rules"), HERE)
    if isinstance(made, Refusal):
        return await problem(request, desk, made, HERE)
    await try_on_history(desk, made.source, person_of(request))
    return go_to(f"/rules/proposals/{risk.proposal_id(made.id)}?notice=rules_proposed")


@post(HERE + "/{public_id:str}/close", action="rules.write")
async def close(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Say that it is dealt with, or is nothing."""
    signal, reason = id_from(warning.PREFIX, public_id), typed(await request.form(), "reason")
    async with desk.store.tx("console signal") as tx:
        said = await warning.close(tx, signal, person_of(request), reason, desk.clock)
    if isinstance(said, Refusal):
        return await problem(request, desk, said, HERE)
    return go_to(f"{HERE}?notice=signal_closed")


def in_words(renderer: Renderer, names: dict[UUID, Named]) -> dict[str, Callable[[Signal], Any]]:
    """How signals are written in the page's language."""
    language = "zh" if renderer.texts.language.startswith("zh") else "en"

    def about(signal: Signal) -> Named:
        """What it is about, and the page of that, if it has one."""
        word = warning.about_in_words(signal.about_kind, language)
        id_ = _party(signal)
        if id_ in names:
            return names[id_]
        href = f"/rules/{signal.about}" if signal.about_kind == "rule" else ""
        return Named(f"{word} {signal.about}".strip(), "", href)

    def listing(signal: Signal) -> str:
        """The form that blocks what it is about, filled in; "" where that is nothing a list can name."""
        entity = _LISTED.get(signal.about_kind)
        if entity is None:
            return ""
        party = _party(signal)
        key = to_typeid("cus" if entity == "customer" else "mer", party) if party else signal.about
        return urlencode({"list": "block", "entity": entity, "key": key})

    return {
        "listing": listing,
        "title": lambda signal: warning.kind_in_words(signal.kind, language),
        "said": lambda signal: warning.said(signal, language),
        "about": about,
        "public": lambda signal: to_typeid(warning.PREFIX, signal.id),
    }


def _party(signal: Signal) -> UUID | None:
    """The customer or merchant that a signal is about, if it is about one."""
    if signal.about_kind not in _PARTIES:
        return None
    try:
        return UUID(signal.about)
    except ValueError:
        return None

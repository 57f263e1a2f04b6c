"""Alerts: what fires and who looks after it, what is silenced, what should be and what is left of its budget, what was."""

from collections.abc import Callable
from typing import Final, NamedTuple

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, go_to, origin_of, person_of, typed
from tillkeeper.faces.console.figures import written
from tillkeeper.faces.console.pages.payments import id_from
from tillkeeper.faces.console.texts import Texts
from tillkeeper.monitoring import MEASURES, alerting
from tillkeeper.monitoring.alerting import Alert, AlertEvent, Objective, Rule, RuleBook, browse

TheBook = NamedDependency[RuleBook]
"""What is watched, as a handler asks for it."""

HOURS: Final = (1, 4, 24, 72, 168)


class Firing(NamedTuple):
    """An open alert with its rule (None: it is no longer in the rule book) and its past."""

    alert: Alert
    rule: Rule | Objective | None
    events: list[AlertEvent]


@get("/alerts", action="alert.view")
async def alerts(request: Web, desk: TheDesk, book: TheBook) -> Page:
    """Does anything need somebody now? Then everything that is watched."""
    async with desk.store.tx("console alerts") as tx:
        board = await browse.board(tx, book, desk.clock)
    texts = desk.renderer(request).texts
    context = {
        "board": board,
        "firing": [_with_rule(each, book, board) for each in board.alerts],
        "past": [_with_rule(each, book, board) for each in board.past],
        "loud": sum(each.state == "firing" for each in board.alerts),
        "burns": alerting.BURNS,
        "unknown": sum(each.verdict == "unknown" for each in board.rules),
        "reading": _reading(book, texts),
        "hours": HOURS,
    }
    return await desk.page(request, "alerts.html", context)


@post("/alerts/{public_id:str}/acknowledge", action="alert.handle")
async def acknowledge(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Say that one looks after it."""
    async with desk.store.tx("console alert") as tx:
        said = await alerting.acknowledge(
            tx, id_from(alerting.PREFIX, public_id), person_of(request), desk.clock, origin_of(request)
        )
    if isinstance(said, Refusal):
        return await _problem(request, desk, said)
    return go_to("/alerts?notice=alert_acknowledged")


@post("/alerts/silences", action="alert.handle")
async def silence(request: Web, desk: TheDesk, book: TheBook) -> Page:
    """Tell nobody of a rule, or of one instance, for some hours."""
    form = await request.form()
    hours, rule, labels = typed(form, "hours"), typed(form, "rule"), typed(form, "labels") or None
    if not hours.isdecimal() or len(hours) > 4:
        return await _problem(request, desk, Refusal("invalid_value", "hours, as a whole number", "hours"))
    async with desk.store.tx("console silence") as tx:
        said = await alerting.silence(
            tx,
            book,
            rule,
            labels,
            int(hours) * 3600,
            typed(form, "reason"),
            person_of(request),
            desk.clock,
            origin_of(request),
        )
    if isinstance(said, Refusal):
        return await _problem(request, desk, said)
    return go_to("/alerts?notice=alert_silenced")


@post("/alerts/silences/{public_id:str}/end", action="alert.handle")
async def end_silence(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """People are told again."""
    async with desk.store.tx("console silence") as tx:
        said = await alerting.end_silence(
            tx,
            id_from(alerting.SILENCE_PREFIX, public_id),
            person_of(request),
            desk.clock,
            origin_of(request),
        )
    if said is not None:
        return await _problem(request, desk, said)
    return go_to("/alerts?notice=alert_unsilenced")


def _with_rule(alert: Alert, book: RuleBook, board: browse.Board) -> Firing:
    return Firing(alert, book.find(alert.rule), board.events.get(alert.id, []))


def _reading(book: RuleBook, texts: Texts) -> Callable[[str, float | None], str]:
    """How a rule's value is written: with the unit of its measure. An objective's is how fast its budget burns."""

    def reading(name: str, value: float | None) -> str:
        rule = book.find(name)
        if value is None:
            return "–"
        if isinstance(rule, Objective):
            return f"{alerting.figure(value)}×"
        measure = MEASURES.get(getattr(rule, "measure", ""))
        return written(value, measure.unit if measure else "", texts)

    return reading


async def _problem(request: Web, desk: Desk, refusal: Refusal) -> Page:
    context = {"problem": refusal.code, "detail": refusal.detail, "back": "/alerts"}
    return await desk.page(request, "problem.html", context, refusal.status)

"""Backtests: asked for here, done by the agent, shown as they go and as what they found."""

from datetime import timedelta
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.console import trials
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, go_to, person_of, typed
from tillkeeper.faces.console.pages.payments import id_from
from tillkeeper.faces.console.pages.proposals import problem
from tillkeeper.faces.console.pages.rule_form import FORM_BYTES, differences, page, read_draft
from tillkeeper.faces.console.render import Renderer
from tillkeeper.risk import RuleSet, backtest, declared
from tillkeeper.risk import browse as risks
from tillkeeper.risk.backtest import Question, Report

HERE: Final = "/rules/backtests"
PREFIX: Final = "bkt"
SPANS: Final = {"week": 7, "month": 30, "quarter": 91}
"""Days before now that a backtest may look at."""
_OPEN: Final = frozenset({"asked", "running"})


@get(HERE, action="rules.view")
async def backtests(request: Web, desk: TheDesk) -> Page:
    """What was tried, the newest first."""
    async with desk.store.tx("console backtests") as tx:
        listed = await backtest.latest(tx, limits.BACKTESTS_SHOWN)
    context = {"listed": [(each, f"{HERE}/{to_typeid(PREFIX, each.id)}") for each in listed]}
    return await desk.page(request, "backtests.html", context)


@post(HERE, action="rules.write", request_max_body_size=FORM_BYTES)
async def ask(request: Web, desk: TheDesk) -> Page:
    """Have rules, or a model, tried on past payments, beside what is in force."""
    form = await request.form()
    text, model, span = str(form.get("rules", "")), typed(form, "model"), typed(form, "span")
    if span not in SPANS or (model and not (model.isascii() and model.isdigit() and len(model) < 10)):
        return await problem(request, desk, Refusal("invalid_value", ", ".join(SPANS), "span"), HERE)
    async with desk.store.tx("console features") as tx:
        draft = read_draft(text, await declared.catalogue(tx)) if text else None
    if draft is not None and draft.rules is None:
        async with desk.store.tx("console rules") as tx:
            return await page(request, desk, draft, (await risks.rule_sets(tx))[:1])
    try:
        question = await _question(
            desk, draft.text if draft else None, int(model) if model else None, SPANS[span]
        )
        async with desk.store.tx("console backtest") as tx:
            id_ = await backtest.ask(tx, question, person_of(request), desk.clock.now())
    except Refused as error:
        return await problem(request, desk, error.refusal, HERE)
    return go_to(f"{HERE}/{to_typeid(PREFIX, id_)}")


@get(HERE + "/{public_id:str}", action="rules.view")
async def one(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One backtest: how far it is, or what it found."""
    async with desk.store.tx("console backtest") as tx:
        found = await backtest.one(tx, id_from(PREFIX, public_id))
        if found is None:
            raise NotFoundException
        proposals = {each.source: risk.proposal_id(each.id) for each in reversed(await risk.proposals(tx))}
        active = await risk.activations(tx, 1)
    in_force, rules = active[0].source if active else None, risk.stored_rules(found.rules)
    context: dict[str, Any] = {
        "b": found,
        "public_id": public_id,
        "going": found.state in _OPEN,
        "proposal": proposals.get(found.rules),
        "in_force": found.rules == in_force,
        "text": found.rules,
        **differences(found.base_rules or in_force, rules),
    }
    if found.report is not None:
        context |= _report(found.report, rules, desk.renderer(request))
    return await desk.page(request, "backtest.html", context)


async def _question(desk: Desk, rules: str | None, model: int | None, days: int) -> Question:
    """What is asked: from so many days ago, or from where history begins. Raises Refused."""
    usual = await backtest.question_of(desk.store, desk.clock, rules, model)
    since = usual.to_at - timedelta(days=days)
    return msgspec.structs.replace(usual, from_at=since)


def _report(report: Report, rules: RuleSet, renderer: Renderer) -> dict[str, Any]:
    """What a report shows."""
    return {
        **trials.brief(report, rules, renderer),
        "ids": _known_payment,
        **trials.pictures(report, renderer),
    }


def _known_payment(text: str) -> str | None:
    """The page of a payment that a report names; None for rows of a file."""
    return f"/payments/{text}" if text.startswith("pay_") else None

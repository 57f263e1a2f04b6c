"""Proposals of rules: what they would change, what they would have done to past payments, and the way into force."""

from typing import Any, Final

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import access, risk
from tillkeeper.base import limits
from tillkeeper.base.discretion import gossip
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.console import trials
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
from tillkeeper.faces.console.pages.rule_form import FORM_BYTES, differences, page, read_draft
from tillkeeper.faces.rule_deeds import ACTIVATE, change_of
from tillkeeper.risk import Proposal, backtest, declared
from tillkeeper.risk import browse as risks
from tillkeeper.store import Tx

HERE: Final = "/rules/proposals"


@post(HERE, action="rules.write", request_max_body_size=FORM_BYTES)
async def propose(request: Web, desk: TheDesk) -> Page:
    """Keep a text as a proposal; it decides nothing before two people agree."""
    form = await request.form()
    reason = typed(form, "reason")
    async with desk.store.tx("console rules") as tx:
        draft = read_draft(str(form.get("rules", "")), await declared.catalogue(tx))
        active = (await risks.rule_sets(tx))[:1]
    if draft.rules is None:
        return await page(request, desk, draft, active)
    if (mistake := reason_missing(reason)) is not None:
        return await page(request, desk, draft, active, problem=mistake, reason=reason)
    try:
        async with desk.store.tx("console proposal") as tx:
            made = await risk.propose(tx, draft.text, person_of(request), reason, desk.clock)
    except Refused as error:
        return await page(request, desk, draft, active, problem=error.refusal, reason=reason)
    await try_on_history(desk, draft.text, person_of(request))
    return go_to(f"{HERE}/{risk.proposal_id(made.id)}?notice=rules_proposed")


@get(HERE + "/{public_id:str}", action="rules.view")
async def proposal(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One proposal."""
    async with desk.store.tx("console proposal") as tx:
        found = await _found(tx, public_id)
        active = await risk.activations(tx, 1)
        base = await _source(tx, found.base)
        asked = await access.approvals.open_about(tx, ACTIVATE.name, [public_id], desk.clock)
        tried, history = await backtest.of_rules(tx, found.source), await risk.has_history(tx)
        done = await backtest.one(tx, found.backtest) if found.backtest else None
    rules = risk.stored_rules(found.source)
    context: dict[str, Any] = {
        "p": found,
        "public_id": public_id,
        "rules": rules.rules,
        **differences(base, rules),
        "outdated": bool(active) and not found.active_since and active[0].rule_set != found.base,
        "asked": asked.get(public_id),
        "tried": tried,
        "untried": history and found.backtest is None,
        "r": None,
    }
    if done is not None and done.report is not None:
        context |= trials.brief(done.report, rules, desk.renderer(request))
        context["changed"] = {each.name for each in context["differences"]}
    return await desk.page(request, "proposal.html", context)


@post(HERE + "/{public_id:str}/activate", action="rules.write")
async def activate(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Ask a second person to put it in force."""
    reason = typed(await request.form(), "reason")
    back = f"{HERE}/{public_id}"
    if (mistake := reason_missing(reason)) is not None:
        return await problem(request, desk, mistake, back)
    asker = access.approvals.asker(session_in(request), origin_of(request))
    async with desk.store.tx("console four eyes") as tx:
        terms = change_of(await _found(tx, public_id))
        asked = await access.approvals.ask(tx, ACTIVATE, terms, asker, desk.clock, reason)
    if isinstance(asked, Refusal):
        return await problem(request, desk, asked, back)
    return go_to(f"{back}?notice=asked")


async def try_on_history(desk: Desk, rules: str, person: str) -> None:
    """Have rules tried on past payments, if they never were. Where that cannot be asked, their page says what is missing."""
    async with desk.store.tx("console proposal") as tx:
        if await backtest.of_rules(tx, rules) is not None:
            return
    try:
        question = await backtest.question_of(desk.store, desk.clock, rules)
        async with desk.store.tx("console proposal") as tx:
            await backtest.ask(tx, question, person, desk.clock.now())
    except Refused:  # no payment yet, or too many wait
        return


def reason_missing(reason: str) -> Refusal | None:
    """What is wrong with a reason, if anything: reasons stay for ever, so they name nobody."""
    if not 0 < len(reason) <= limits.MAX_TEXT:
        return Refusal("reason_missing", f"1 to {limits.MAX_TEXT} characters", "reason")
    return gossip(reason, "reason")


async def problem(request: Web, desk: Desk, refusal: Refusal, back: str) -> Page:
    """The page that says why nothing was done."""
    context = {"problem": refusal.code, "detail": refusal.detail, "back": back}
    return await desk.page(request, "problem.html", context, refusal.status)


async def _found(tx: Tx, public_id: str) -> Proposal:
    found = await risk.proposal(tx, id_from(risk.PROPOSAL_PREFIX, public_id))
    if found is None:
        raise NotFoundException
    return found


async def _source(tx: Tx, version: int | None) -> str | None:
    """The text of a rule set; None for none, and for one that is too old to be listed."""
    return next(
        (each.source for each in await risk.activations(tx, limits.PAGE_MAX) if each.rule_set == version),
        None,
    )

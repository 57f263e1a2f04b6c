"""The rules that decide: the active set, its hits, its text, and what each rule hit last."""

from datetime import timedelta
from string import Formatter
from typing import Final

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.clock import from_us
from tillkeeper.faces.console.desk import Page, TheDesk, Web
from tillkeeper.faces.console.names import names_of, parties_in
from tillkeeper.payments import browse
from tillkeeper.risk import Rule
from tillkeeper.risk import browse as risks
from tillkeeper.risk.browse import RuleSetRow
from tillkeeper.risk.logins import watch

_PROPOSALS: Final = 10
_TRIPS: Final = 10
_LOGINS: Final = timedelta(days=30)
"""How far back hits of rules about logins are counted."""


@get("/rules", action="rules.view")
async def rules(request: Web, desk: TheDesk) -> Page:
    """A rule set, the active one unless another version is asked for."""
    async with desk.store.tx("console rules") as tx:
        sets = await risks.rule_sets(tx)
        hits = await risks.hits(tx)
        proposals = await risk.proposals(tx, _PROPOSALS)
        silent = {each.rule: each for each in await risk.mutes(tx, desk.clock.now()) if not each.entity}
        trips = await risk.trips(tx, _TRIPS)
        state = await risk.engine_state(tx)
        login_hits = await watch.rule_hits(tx, desk.clock.now() - _LOGINS)
    shown = _chosen(sets, request.query_params.get("version"))
    rules = risk.stored_rules(shown.source).rules if shown else ()
    language = desk.renderer(request).texts.language
    context = {
        "sets": sets,
        "shown": shown,
        "rules": [(rule, in_general(rule, language)) for rule in rules],
        "hits": hits,
        "login_hits": login_hits,
        "proposals": [(each, risk.proposal_id(each.id)) for each in proposals],
        "silent": silent,
        "trips": [(trip, from_us(trip.at_us)) for trip, _ in trips],
        "engine": state,
    }
    return await desk.page(request, "rules.html", context)


@get("/rules/{name:str}", action="rules.view")
async def rule(request: Web, desk: TheDesk, name: FromPath[str]) -> Page:
    """One rule as it decides now, or did last, and the payments it hit last: receipts and cases lead here for years."""
    async with desk.store.tx("console rule") as tx:
        sets = await risks.rule_sets(tx)
        found, last = _newest(sets, name)
        hits = await risks.hits(tx)
        login_hits = await watch.rule_hits(tx, desk.clock.now() - _LOGINS)
        muted = next((m for m in await risk.mutes(tx, desk.clock.now()) if m.rule == name), None)
        rows = await browse.find_payments(tx, await risks.hit_by(tx, name, limits.PAGE_DEFAULT))
        names = await names_of(tx, desk.vault, parties_in(rows))
    reason = in_general(found, desk.renderer(request).texts.language)
    context = {
        "rule": found,
        "reason": reason,
        "hits": hits,
        "login_hits": login_hits.get(name, 0),
        "muted": muted,
        "until": from_us(found.until_us) if found.until_us is not None else None,
        "rows": rows,
        "names": names,
        "gone": None if last == sets[0] else last,
    }
    return await desk.page(request, "rule.html", context)


def _newest(sets: list[RuleSetRow], name: str) -> tuple[Rule, RuleSetRow]:
    """A rule of that name from the newest set that has one. Raises NotFoundException."""
    for row in sets:
        for each in risk.stored_rules(row.source).rules:
            if each.name == name:
                return each, row
    raise NotFoundException


def _chosen(sets: list[RuleSetRow], version: str | None) -> RuleSetRow | None:
    if version is None:
        return sets[0] if sets else None
    for each in sets:
        if str(each.version) == version:
            return each
    raise NotFoundException


def in_general(rule: Rule, language: str) -> str:
    """A rule's reason with the names of the values it speaks of, where a decision has the values."""
    chinese = language.startswith("zh")
    meanings = {name: f"‹{each.zh if chinese else each.en}›" for name, each in risk.FEATURES.items()}
    text = rule.reason("zh" if chinese else "en")
    own = {name: f"‹{name}›" for _, name, _, _ in Formatter().parse(text) if name}
    return text.format_map(own | meanings)

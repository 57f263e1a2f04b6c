"""The rules that decide: the active set, its hits, its text, and what each rule hit last."""

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

_PROPOSALS: Final = 10
_TRIPS: Final = 10


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
    shown = _chosen(sets, request.query_params.get("version"))
    rules = risk.stored_rules(shown.source).rules if shown else ()
    language = desk.renderer(request).texts.language
    context = {
        "sets": sets,
        "shown": shown,
        "rules": [(rule, in_general(rule, language)) for rule in rules],
        "hits": hits,
        "proposals": [(each, risk.proposal_id(each.id)) for each in proposals],
        "silent": silent,
        "trips": [(trip, from_us(trip.at_us)) for trip, _ in trips],
        "engine": state,
    }
    return await desk.page(request, "rules.html", context)


@get("/rules/{name:str}", action="rules.view")
async def rule(request: Web, desk: TheDesk, name: FromPath[str]) -> Page:
    """One rule of the active set, and the payments it hit last."""
    async with desk.store.tx("console rule") as tx:
        active = (await risks.rule_sets(tx))[:1]
        found = [each for row in active for each in risk.stored_rules(row.source).rules if each.name == name]
        if not found:
            raise NotFoundException
        hits = await risks.hits(tx)
        rows = await browse.find_payments(tx, await risks.hit_by(tx, name, limits.PAGE_DEFAULT))
        names = await names_of(tx, desk.vault, parties_in(rows))
    reason = in_general(found[0], desk.renderer(request).texts.language)
    context = {"rule": found[0], "reason": reason, "hits": hits, "rows": rows, "names": names}
    return await desk.page(request, "rule.html", context)


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

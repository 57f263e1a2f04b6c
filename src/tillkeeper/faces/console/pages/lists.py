"""Lists and silence: who is blocked, trusted or watched, which rules are silent; all of it ends, and all of it is on record."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from litestar import get, post

from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, go_to, person_of, typed
from tillkeeper.faces.console.names import names_of
from tillkeeper.faces.console.pages.proposals import problem, reason_missing
from tillkeeper.risk import Listing, Mute, overview

HERE: Final = "/lists"
LISTS: Final = ("block", "trust", "watch")
ENTITIES: Final = {"customer": "cus", "payee": "mer", "device": "", "ip": ""}
HOURS: Final = (1, 4, 24, 72, 168, 720)
"""How long an entry may last; 0, for ever, only for block and watch."""


@get(HERE, action="rules.view")
async def lists(request: Web, desk: TheDesk) -> Page:
    """Who is treated otherwise than the rules say, until when, and why."""
    now, sought = desk.clock.now(), typed(request.query_params, "find")
    async with desk.store.tx("console lists") as tx:
        found = await overview.listed(tx, now, _inside(sought), limits.PAGE_DEFAULT + 1)
        entries = found[: limits.PAGE_DEFAULT]
        silent = await risk.mutes(tx, now)
        rules = [rule.name for rule in await _rules(tx)]
        named = [(each.entity, each.key) for each in entries] + [(each.entity, each.key) for each in silent]
        parties = [UUID(key) for entity, key in named if entity in {"customer", "payee"}]
        names = {str(id_): each for id_, each in (await names_of(tx, desk.vault, parties)).items()}
    context = {
        "entries": entries,
        "sought": sought,
        "further": len(found) > len(entries),
        "most": limits.PAGE_DEFAULT,
        "silent": silent,
        "names": names,
        "rules": rules,
        "lists": LISTS,
        "entities": list(ENTITIES),
        "hours": HOURS,
        "chosen": {key: request.query_params.get(key, "") for key in ("list", "entity", "key", "rule")},
    }
    return await desk.page(request, "lists.html", context)


@post(HERE, action="rules.write")
async def add(request: Web, desk: TheDesk) -> Page:
    """Put one on a list, or silence a rule."""
    form = await request.form()
    given = {name: typed(form, name) for name in ("deed", "list", "entity", "key", "rule", "hours", "reason")}
    if (mistake := reason_missing(given["reason"])) is not None:
        return await problem(request, desk, mistake, HERE)
    try:
        async with desk.store.tx("console lists") as tx:
            await _put(tx, desk, given, person_of(request))
    except Refused as error:
        return await problem(request, desk, error.refusal, HERE)
    return go_to(f"{HERE}?notice=list_changed")


@post(HERE + "/end", action="rules.write")
async def end(request: Web, desk: TheDesk) -> Page:
    """End an entry, or a silence."""
    form = await request.form()
    rule, entity, key = typed(form, "rule"), typed(form, "entity"), typed(form, "key")
    who, why = person_of(request), typed(form, "reason")
    if (mistake := reason_missing(why)) is not None:
        return await problem(request, desk, mistake, HERE)
    async with desk.store.tx("console lists") as tx:
        if rule:
            done = await risk.unmute(tx, rule, entity, key, who, why, desk.clock)
        else:
            done = await risk.take_off_list(tx, typed(form, "list"), entity, key, who, why, desk.clock)
    if not done:
        return await problem(request, desk, Refusal("wrong_state", "it has ended already"), HERE)
    return go_to(f"{HERE}?notice=list_changed")


async def _put(tx: Any, desk: Desk, given: dict[str, str], who: str) -> None:
    """Raises Refused."""
    now = desk.clock.now()
    hours = int(given["hours"]) if given["hours"].isascii() and given["hours"].isdigit() else -1
    if hours not in (0, *HOURS):
        raise Refused(Refusal("invalid_value", ", ".join(map(str, HOURS)), "hours"))
    until = now + timedelta(hours=hours) if hours else None
    entity = given["entity"]
    key = _key(entity, given["key"])
    if given["deed"] != "mute":
        await risk.put_on_list(
            tx, Listing(given["list"], entity, key, until, given["reason"], who, now), desk.clock
        )
        return
    if given["rule"] not in [rule.name for rule in await _rules(tx)]:
        raise Refused(Refusal("invalid_value", "a rule in force", "rule"))
    if until is None:
        raise Refused(Refusal("invalid_value", "silence ends by itself", "hours"))
    await risk.mute(
        tx, Mute(given["rule"], entity if key else "", key, until, given["reason"], who, now), desk.clock
    )


def _inside(text: str) -> str:
    """What lists keep of an id outside; anything else as it is."""
    for each in ("cus", "mer"):
        try:
            return str(from_typeid(each, text))
        except BadIdError:
            continue
    return text


def _key(entity: str, text: str) -> str:
    """What a list keeps: the id inside of a customer or merchant, a device or address as it is. Raises Refused."""
    prefix = ENTITIES.get(entity, "")
    if not prefix or not text:
        return text[: limits.LIST_KEY + 1]
    if (inside := _inside(text)) != text:
        return inside
    raise Refused(Refusal("invalid_value", f"an id of the form {prefix}_…", "key"))


async def _rules(tx: Any) -> tuple[risk.Rule, ...]:
    """The rules in force."""
    active = await risk.activations(tx, 1)
    return risk.stored_rules(active[0].source).rules if active else ()

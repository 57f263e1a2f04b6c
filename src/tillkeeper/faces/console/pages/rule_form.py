"""The rule editor: a text, checked with its faults by line, and what it would change."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from litestar import get, post
from litestar.exceptions import NotFoundException

from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web
from tillkeeper.faces.console.render import Renderer
from tillkeeper.faces.console.rulediff import changes, heads
from tillkeeper.risk import BadRulesError, Catalogue, Fault, RuleSet, declared
from tillkeeper.risk import browse as risks
from tillkeeper.risk.browse import RuleSetRow

HERE: Final = "/rules/edit"
FORM_BYTES: Final = 3 * limits.MAX_RULES_TEXT + limits.MAX_BODY_BYTES
"""A form writes most characters that are no letters as three."""


class Draft(NamedTuple):
    """A text that somebody writes, and what is to be said of it. `rules` is None while it has faults, or was not checked."""

    text: str
    rules: RuleSet | None = None
    faults: tuple[Fault, ...] = ()


@get(HERE, action="rules.write")
async def new(request: Web, desk: TheDesk) -> Page:
    """The rules in force, or those of another version, to be changed."""
    async with desk.store.tx("console rules") as tx:
        sets = await risks.rule_sets(tx)
    wanted = request.query_params.get("version")
    chosen = next((each for each in sets if wanted in (None, str(each.version))), None)
    if chosen is None and wanted is not None:
        raise NotFoundException
    return await page(request, desk, Draft(chosen.source if chosen else ""), sets[:1])


@post(HERE, action="rules.write", request_max_body_size=FORM_BYTES)
async def check(request: Web, desk: TheDesk) -> Page:
    """Say what is wrong with the text, or what it would change."""
    form = await request.form()
    async with desk.store.tx("console rules") as tx:
        draft = read_draft(str(form.get("rules", "")), await declared.catalogue(tx))
        active = (await risks.rule_sets(tx))[:1]
    return await page(request, desk, draft, active)


def read_draft(text: str, catalogue: Catalogue) -> Draft:
    """Read a text as a browser sends it; `catalogue`: what rules may read. Nothing in it is believed before it was checked whole."""
    source = text.replace("\r\n", "\n").replace("\0", "").rstrip() + "\n"
    try:
        return Draft(source, risk.read_rules(source, "rules.toml", catalogue))
    except BadRulesError as error:
        return Draft(source, None, error.faults)


async def page(request: Web, desk: Desk, draft: Draft, active: Sequence[RuleSetRow], **more: Any) -> Page:
    """The editor around a text."""
    lines = draft.text.split("\n")
    context = {
        "text": draft.text,
        "lines": len(lines),
        "base": active[0].version if active else None,
        "checked": draft.rules is not None,
        "rules": draft.rules.rules if draft.rules else (),
        "faults": [
            (fault, lines[fault.line - 1].strip() if fault.line <= len(lines) else "")
            for fault in draft.faults
        ],
        **differences(active[0].source if active else None, draft.rules),
        "features": meanings(desk.renderer(request)),
        "problem": None,
        "reason": "",
        **more,
    }
    return await desk.page(request, "rule_form.html", context, 422 if draft.faults else 200)


def differences(before: str | None, after: RuleSet | None) -> dict[str, Any]:
    """What a rule set would change of the text in force; nothing where either is missing."""
    if before is None or after is None:
        return {"differences": [], "head_differences": ()}
    old = risk.stored_rules(before)
    return {"differences": changes(old, after), "head_differences": heads(old, after)}


def meanings(renderer: Renderer) -> list[tuple[str, str]]:
    """Every feature that a rule may read, in words."""
    chinese = renderer.texts.language.startswith("zh")
    return [(name, each.zh if chinese else each.en) for name, each in risk.FEATURES.items()]

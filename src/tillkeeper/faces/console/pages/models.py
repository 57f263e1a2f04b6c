"""Models: who decides, who challenges, how they compare on live payments, where each comes from; and what can be done."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import access, risk
from tillkeeper.base import limits
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.console import charts
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
from tillkeeper.faces.console.render import Renderer
from tillkeeper.faces.model_deeds import PROMOTE, promotion_of
from tillkeeper.risk import declared
from tillkeeper.risk.models import (
    BadModelError,
    Comparison,
    Figures,
    InForce,
    ModelRow,
    Scorer,
    acts,
    compare,
    in_force,
    newest,
    open_model,
    registry,
    with_own,
)
from tillkeeper.store import Tx

FIGURES: Final = ("ap", "recall", "card_precision", "auc", "brier")
_COMPARED: Final = timedelta(days=30)
_DELAY: Final = timedelta(days=7)
_ACTS: Final = 20
_TOLD: Final = 15  # features of the card's picture
_REASON_MOST: Final = limits.MAX_TEXT

Act = Callable[[Tx, str, str], Awaitable[InForce]]
"""What a form does: in a transaction, by a person, for a reason. Raises Refused."""


class Row(NamedTuple):
    """A model in force with what it did on live payments, as far as that is known."""

    model: ModelRow
    figures: Figures | None
    stopped: int = 0
    caught: int = 0


@get("/models", action="risk.view")
async def models(request: Web, desk: TheDesk) -> Page:
    """Which model decides, and would another do better?"""
    async with desk.store.tx("console models") as tx:
        now = await in_force(tx)
        listed = await newest(tx, now)
        done = await acts(tx, _ACTS)
        state = await risk.engine_state(tx)
        compared = await _compared(tx, desk, now)
    context = {
        "now": now,
        "rows": _rows(listed, compared),
        "listed": listed,
        "compared": compared,
        "compared_days": _COMPARED.days,
        "delay_days": _DELAY.days,
        "acts": done,
        "engine": state,
        "behind": state is not None and state.champion != now.champion,
        "figures": FIGURES,
        "best": _best(compared),
    }
    return await desk.page(request, "models.html", context)


@get("/models/{public_id:str}", action="risk.view")
async def model(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One model: its card, what it reads, whether its probabilities are true; and what can be done with it."""
    renderer, version = desk.renderer(request), _version(public_id)
    async with desk.store.tx("console model") as tx:
        found = next((each for each in await newest(tx, await in_force(tx)) if each.version == version), None)
        if found is None:
            found = await _older(tx, version)
        blob, known = await registry.load(tx, version), await declared.catalogue(tx)
        asked = await access.approvals.open_about(tx, PROMOTE.name, [str(version)], desk.clock)
    scorer, fault = await asyncio.to_thread(_open, blob, known)
    context: dict[str, Any] = {
        "m": found,
        "scorer": scorer,
        "fault": fault,
        "figures": FIGURES,
        "asked": asked.get(str(version)),
    }
    if scorer is not None:
        context |= _pictures(scorer, renderer)
    return await desk.page(request, "model.html", context)


@post("/models/{public_id:str}/challenge", action="model.manage")
async def challenge(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Let it score every payment without effect."""

    async def act(tx: Tx, person: str, reason: str) -> InForce:
        return await registry.challenge(tx, public_id, person, desk.clock, reason)

    return await _do(request, desk, act, "model_challenges")


@post("/models/{public_id:str}/retire", action="model.manage")
async def retire(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Take it out of force."""

    async def act(tx: Tx, person: str, reason: str) -> InForce:
        return await registry.retire(tx, public_id, person, desk.clock, reason)

    return await _do(request, desk, act, "model_retired")


@post("/models/{public_id:str}/promote", action="model.manage")
async def promote(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Ask a second person to let it decide."""
    reason = typed(await request.form(), "reason")
    if (mistake := _mistake(reason)) is not None:
        return await _problem(request, desk, mistake)
    asker = access.approvals.asker(session_in(request), origin_of(request))
    try:
        async with desk.store.tx("console four eyes") as tx:
            terms = promotion_of(await registry.find(tx, public_id), await in_force(tx))
            asked = await access.approvals.ask(tx, PROMOTE, terms, asker, desk.clock, reason)
    except Refused as error:
        return await _problem(request, desk, error.refusal)
    if isinstance(asked, Refusal):
        return await _problem(request, desk, asked)
    return go_to(f"/models/{public_id}?notice=asked")


@post("/models/undo", action="model.manage")
async def undo(request: Web, desk: TheDesk) -> Page:
    """Take the newest promotion back, alone and at once."""

    async def act(tx: Tx, person: str, reason: str) -> InForce:
        return await registry.undo(tx, person, desk.clock, reason)

    return await _do(request, desk, act, "model_undone")


async def _do(request: Web, desk: Desk, act: Act, notice: str) -> Page:
    reason = typed(await request.form(), "reason")
    if (mistake := _mistake(reason)) is not None:
        return await _problem(request, desk, mistake)
    try:
        async with desk.store.tx("console model") as tx:
            await act(tx, person_of(request), reason)
    except Refused as error:
        return await _problem(request, desk, error.refusal)
    except BadModelError as error:
        return await _problem(request, desk, Refusal("bad_model", str(error), "model"))
    return go_to(f"/models?notice={notice}")


def _mistake(reason: str) -> Refusal | None:
    if 0 < len(reason) <= _REASON_MOST:
        return None
    return Refusal("invalid_value", f"1 to {_REASON_MOST} characters", "reason")


async def _problem(request: Web, desk: Desk, refusal: Refusal) -> Page:
    context = {"problem": refusal.code, "detail": refusal.detail, "back": "/models"}
    return await desk.page(request, "problem.html", context, refusal.status)


async def _compared(tx: Tx, desk: Desk, now: InForce) -> Comparison | None:
    """Champion and challengers on the same live payments; None while nobody challenges."""
    fraud = [version for version in (now.champion, *now.challengers) if version is not None]
    if not now.challengers:
        return None
    at = desk.clock.now()
    return await compare(tx, fraud, at - _COMPARED, at, _DELAY)


def _rows(listed: Sequence[ModelRow], compared: Comparison | None) -> list[Row]:
    """Models in force: the champion, then challengers, then the one for anomalies."""
    did = {each.model: each for each in compared.standings} if compared else {}
    order = ("champion", "challenger", "anomaly")
    found = []
    for each in sorted((one for one in listed if one.role), key=lambda one: order.index(one.role)):
        standing = did.get(each.version)
        found.append(
            Row(each, standing.figures, standing.stopped, standing.caught) if standing else Row(each, None)
        )
    return found


def _best(compared: Comparison | None) -> dict[str, int]:
    """By figure the model that does it best, where two or more were measured."""
    found: dict[str, int] = {}
    for name in FIGURES:
        measured = [
            (getattr(each.figures, name), each.model)
            for each in (compared.standings if compared else ())
            if getattr(each.figures, name) is not None
        ]
        values = {f"{value:.3f}" for value, _ in measured}  # as they are shown
        if len(values) > 1:
            found[name] = (min if name == "brier" else max)(measured)[1]
    return found


def _version(text: str) -> int:
    """A model's number in an address. Raises NotFoundException for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFoundException
    return int(text)


async def _older(tx: Tx, version: int) -> ModelRow:
    """A model that is too old for the list. Raises NotFoundException."""
    try:
        return await registry.find(tx, str(version))
    except Refused:
        raise NotFoundException from None


def _open(blob: bytes, known: risk.Catalogue) -> tuple[Scorer | None, str]:
    """A stored model, or why it cannot be read."""
    try:
        return open_model(blob, known), ""
    except BadModelError as error:
        return None, str(error)


def _pictures(scorer: Scorer, renderer: Renderer) -> dict[str, Any]:
    """Whether probabilities are true, and which features tell most."""
    card, known = scorer.card, with_own(scorer.own)
    label = renderer.texts("models.calibration_label")
    most = max((share for _, share in card.importance), default=0.0)
    return {
        "card": card,
        "calibration": charts.reliability(card.reliability, label) if card.reliability else None,
        "told": [
            (name, meaning(name, renderer, known), share, round(1000 * share / most) if most else 0)
            for name, share in card.importance[:_TOLD]
        ],
        "own": [(each.name, meaning(each.name, renderer, known)) for each in scorer.own],
        "further": max(len(card.importance) - _TOLD, 0),
    }


def meaning(name: str, renderer: Renderer, known: Mapping[str, risk.Feature]) -> str:
    """A feature in the page's language; a name that is not known stands for itself."""
    feature = known.get(name)
    if feature is None:
        return name
    return feature.zh if renderer.texts.language.startswith("zh") else feature.en

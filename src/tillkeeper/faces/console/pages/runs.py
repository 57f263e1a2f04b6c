"""Runs of maintenance plans: all of them, and one as it goes, with what a person can do about it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Stream

from tillkeeper.base import limits
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal
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
from tillkeeper.faces.console.live import TICK_SECONDS
from tillkeeper.faces.console.pages.overview import streamed
from tillkeeper.faces.console.pages.payments import cursor, id_from
from tillkeeper.faces.console.render import Renderer
from tillkeeper.maintenance import runs as kept
from tillkeeper.maintenance.runs import ENDS, RunView, Wish
from tillkeeper.monitoring import MEASURES, Measured, measure

PREFIX: Final = "run"
LIVE_PARTS: Final = ("run_clock", "run_headline", "run_figures", "run_steps", "run_lights", "run_events")
_PING_TICKS: Final = 10
_RATE_SECONDS: Final = 5.0
_EVENTS: Final = 40
_WISHES: Final[Mapping[str, Wish]] = {"resume": "resume", "abort": "abort", "undo": "undo"}
ALLOWED: Final[Mapping[str, tuple[Wish, ...]]] = {
    "waiting": ("pause", "abort"),
    "running": ("pause", "abort"),
    "paused": ("resume", "abort"),
    "succeeded": ("undo",),
    "failed": ("undo",),
}
"""What a page offers in each state."""


@get("/runs", action="run.view")
async def runs(request: Web, desk: TheDesk) -> Page:
    """All runs, rehearsals with them, the latest first."""
    before = cursor(request.query_params.get("before"), PREFIX)
    async with desk.store.tx("console runs") as tx:
        found = await kept.list_runs(tx, rehearsal=None, before=before, limit=limits.PAGE_DEFAULT + 1)
        goals = await kept.goals(tx, [each.id for each in found])
    shown = found[: limits.PAGE_DEFAULT]
    further = to_typeid(PREFIX, shown[-1].id) if len(found) > len(shown) else None
    context = {"rows": shown, "goals": goals, "further": further, "later": before is not None}
    return await desk.page(request, "runs.html", context)


@get("/runs/{public_id:str}", action="run.view")
async def run(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One run as it stands."""
    context = await _context(desk, desk.renderer(request), id_from(PREFIX, public_id))
    return await desk.page(request, "run.html", context)


@get("/runs/{public_id:str}/live", action="run.view")
async def live(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Stream:
    """Its live parts as server-sent events."""
    parts = _parts(desk, desk.renderer(request), id_from(PREFIX, public_id))
    return streamed(desk, session_in(request), "run.view", parts)


@post("/runs/{public_id:str}/pause", action="run.steer")
async def pause(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Have it rest. Asks for no second factor: whoever sees something wrong must not be held up."""
    return await _steer(request, desk, public_id, "pause")


@post("/runs/{public_id:str}/steer", action="run.steer", fresh=True)
async def steer(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Let it go on, stop it, or have it undone."""
    wish = _WISHES.get(typed(await request.form(), "wish"))
    if wish is None:
        return await _problem(request, desk, Refusal("invalid_value", "resume, abort or undo"), public_id)
    return await _steer(request, desk, public_id, wish)


async def _steer(request: Web, desk: Desk, public_id: str, wish: Wish) -> Page:
    reason = typed(await request.form(), "reason")[: limits.MAX_TEXT]
    if refusal := gossip(reason, "reason"):
        return await _problem(request, desk, refusal, public_id)
    async with desk.store.tx("console run") as tx:
        said = await kept.command(
            tx,
            id_from(PREFIX, public_id),
            wish,
            person_of(request),
            desk.clock,
            reason=reason,
            origin=origin_of(request),
        )
    if isinstance(said, Refusal):
        return await _problem(request, desk, said, public_id)
    return go_to(f"/runs/{public_id}")


async def _parts(desk: Desk, renderer: Renderer, run_: UUID) -> AsyncGenerator[bytes, None]:
    """What changed, every second, until nothing more will."""
    yield b"retry: 2000\n\n"
    known: dict[str, str] = {}
    quiet = 0
    while True:
        context = await _context(desk, renderer, run_)
        quiet += 1
        for name in LIVE_PARTS:
            html = renderer.render(f"live/{name}.html", context)
            if known.get(name) != html:
                known[name], quiet = html, 0
                yield f"event: {name}\ndata: {json.dumps(html, ensure_ascii=False)}\n\n".encode()
        if quiet >= _PING_TICKS:
            quiet = 0
            yield b": still here\n\n"
        await asyncio.sleep(TICK_SECONDS)


async def _context(desk: Desk, renderer: Renderer, run_: UUID) -> dict[str, Any]:
    async with desk.store.tx("console run") as tx:
        seen = await kept.view(tx, run_)
        if seen is None:
            raise NotFoundException
        rate = await measure(tx, "payments.rate", _RATE_SECONDS, desk.clock)
        success = await measure(tx, "payments.success_rate", limits.RUN_WIDEN_SECONDS, desk.clock)
    return context_of(seen, rate, success, renderer) | {"at": desk.clock.now()}


def context_of(seen: RunView, rate: Measured, success: Measured, renderer: Renderer) -> dict[str, Any]:
    """What the templates read."""
    language = renderer.texts.language
    events = [each for each in reversed(seen.events) if each.kind != "step_saved"][:_EVENTS]
    return {
        "v": seen,
        "public": to_typeid(PREFIX, seen.run.id),
        "plan_id": to_typeid("pln", seen.run.plan),
        "over": seen.run.state in ENDS,
        "rate": rate,
        "success": success,
        "measures": {name: each.words[language] for name, each in MEASURES.items()},
        "events": events,
        "wishes": () if seen.run.rehearsal else ALLOWED.get(seen.run.state, ()),
        "done_steps": sum(step.state in {"done", "kept"} for step in seen.steps),
    }


async def _problem(request: Web, desk: Desk, refusal: Refusal, public_id: str) -> Page:
    context = {"problem": refusal.code, "detail": refusal.detail, "back": f"/runs/{public_id}"}
    return await desk.page(request, "problem.html", context, refusal.status)

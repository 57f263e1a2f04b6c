"""The status page as an application: one page for everybody, and the same as JSON. It reads nothing but what the keeper saw."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from zoneinfo import ZoneInfo

from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.faces.status.keeper import Keeper
from tillkeeper.faces.status.view import View, view_of
from tillkeeper.faces.status.words import Scribe, language_of, statics, zone_of
from tillkeeper.monitoring.alerting import RuleBook

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "public, max-age=5",
    "vary": "accept-language",
}

Web = Request[Any, Any, State]


class Page:
    """What a visitor gets. `usual`: the business time zone (IANA name)."""

    def __init__(self, keeper: Keeper, book: RuleBook, clock: Clock, usual: str) -> None:
        self._keeper = keeper
        self._book = book
        self._clock = clock
        self.usual = usual

    def view(self, zone: str) -> View:
        """The page now, its days counted in a time zone."""
        keeper, now = self._keeper, self._clock.now()
        return view_of(keeper.seen, keeper.lost_since, self._book, now, ZoneInfo(zone))


def create_status(keeper: Keeper, book: RuleBook, clock: Clock, timezone: str) -> Litestar:
    """The status page over a keeper, which looks for as long as the application lives."""

    @asynccontextmanager
    async def living(_: Litestar) -> AsyncIterator[None]:
        async with keeper.running():
            yield

    return Litestar(
        [_html, _json, _static],
        exception_handlers={HTTPException: _refuse},
        lifespan=[living],
        state=State({"page": Page(keeper, book, clock, timezone)}),
        request_max_body_size=limits.MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )


@get("/")
async def _html(request: Web) -> Response[str]:
    """The page."""
    page: Page = request.app.state["page"]
    query = request.query_params
    language = language_of(query.get("lang"), request.headers.get("accept-language", ""))
    zone = zone_of(query.get("zone"), page.usual)
    text = Scribe(language, zone, page.usual).page(page.view(zone))
    return Response(text, media_type="text/html", headers=_HEADERS)


@get("/status.json")
async def _json(request: Web) -> Response[Mapping[str, Any]]:
    """The same for programs; times are UTC."""
    page: Page = request.app.state["page"]
    headers = _HEADERS | {"access-control-allow-origin": "*"}
    return Response(as_json(page.view(page.usual)), headers=headers)


@get("/static/{digest:str}/{name:str}")
async def _static(digest: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A file that never changes under its address."""
    found = statics().get(name)
    if found is None or found.url != f"/static/{digest}/{name}":
        return Response(b"", status_code=404, media_type="text/plain", headers=_HEADERS)
    headers = _HEADERS | {"cache-control": "public, max-age=31536000, immutable"}
    return Response(found.content, media_type=found.media_type, headers=headers)


def _refuse(_: Web, error: HTTPException) -> Response[str]:
    return Response("", media_type="text/plain", status_code=error.status_code, headers=_HEADERS)


def as_json(view: View) -> dict[str, Any]:
    """The page for programs. `state` of a part is `unknown` whenever it is not known now; `last_known` is how it was then."""
    return {
        "state": view.state,
        "at": view.now,
        "seen_at": view.seen_at,
        "measured": not view.blind and view.lost_since is None,
        "database_lost_since": view.lost_since,
        "components": [
            {
                "name": part.name,
                "state": part.state,
                "last_known": part.known,
                "since": part.since,
                "days": [
                    {
                        "day": day.day,
                        "down_seconds": day.down,
                        "limited_seconds": day.degraded,
                        "seen_seconds": day.seen,
                    }
                    for day in part.days
                    if day.seen
                ],
            }
            for part in view.parts
        ],
        "incidents": [
            {
                "component": each.component,
                "text": {
                    "en": [words.en for words in each.words],
                    "zh-CN": [words.zh for words in each.words],
                },
                "begun_at": each.begun_at,
                "ended_at": each.ended_at,
            }
            for each in (*view.incidents, *view.past)
        ],
        "maintenance": [
            {
                "state": each.state,
                "words": each.words,
                "begins": each.begins,
                "ends": each.ends,
                "spare_until": each.spare_until,
                "begun_at": each.begun_at,
                "ended_at": each.ended_at,
                "downtime_seconds": each.downtime_seconds,
            }
            for each in (*view.maintenance, *view.maintained)
        ],
    }

"""What every page works with, and how a page becomes a response."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_303_SEE_OTHER

from tillkeeper.access import Session, Visitor
from tillkeeper.base.clock import Clock
from tillkeeper.faces.console import texts
from tillkeeper.faces.console.live import Live
from tillkeeper.faces.console.render import Renderer
from tillkeeper.faces.console.statics import Static
from tillkeeper.payments import Till, browse
from tillkeeper.store import Store
from tillkeeper.vault import Vault

HTML: Final = "text/html"
SESSION_COOKIE: Final = "till_session"
LANGUAGE_COOKIE: Final = "till_language"
THEME_COOKIE: Final = "till_theme"
THEMES: Final = ("auto", "light", "dark")
NOTICES: Final = frozenset({"released", "refused", "signed_out"})

# In this order: most of them claim to be their neighbours too.
_BROWSERS: Final = {
    "Edg/": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS: Final = {"iPhone": "iOS", "iPad": "iOS", "Android": "Android", "Windows": "Windows", "Mac OS": "macOS",
                   "Linux": "Linux"}  # fmt: skip

Web = Request[Any, Any, Any]
Page = Response[str]


@dataclass(frozen=True, slots=True)
class Desk:
    """The console's parts, made once."""

    store: Store
    clock: Clock
    zone: ZoneInfo
    renderers: Mapping[str, Renderer]
    statics: Mapping[str, Static]
    live: Live
    till: Till
    vault: Vault

    def renderer(self, request: Web) -> Renderer:
        """The renderer of the browser's language."""
        wanted = request.cookies.get(LANGUAGE_COOKIE)
        return self.renderers[texts.choose(wanted, request.headers.get("accept-language", ""))]

    async def page(self, request: Web, template: str, context: Mapping[str, Any], status: int = 200) -> Page:
        """A whole page, with the frame around it."""
        renderer = self.renderer(request)
        frame = await self._frame(request)
        return Response(renderer.render(template, frame | dict(context)), media_type=HTML, status_code=status)

    async def _frame(self, request: Web) -> dict[str, Any]:
        session = session_of(request)
        waiting = 0
        if session is not None:
            async with self.store.tx("console frame") as tx:
                waiting, _ = await browse.held_size(tx)
        return {
            "session": session,
            "theme": theme_of(request),
            "themes": THEMES,
            "now": self.clock.now(),
            "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "section": request.url.path.split("/")[1],
            "waiting": waiting,
            "waiting_most": browse.HELD_COUNTED,
            "notice": notice if (notice := request.query_params.get("notice")) in NOTICES else None,
        }

    def midnight(self, moment: datetime) -> datetime:
        """The start of the business day of a moment."""
        return moment.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)


TheDesk = NamedDependency[Desk]
"""The desk, as a handler asks for it."""


def session_of(request: Web) -> Session | None:
    """The session of a request that passed the door; None on pages for everybody."""
    found = request.state.get("session")
    return found if isinstance(found, Session) else None


def person_of(request: Web) -> str:
    """Who acts."""
    session = session_of(request)
    assert session is not None  # the door let nobody else through
    return session.person


def origin_of(request: Web) -> str:
    """Where the browser is, for the audit."""
    return request.client.host if request.client else ""


def visitor_of(request: Web) -> Visitor:
    """Where somebody comes from, for the list of their sessions."""
    return Visitor(origin_of(request), browser_of(request.headers.get("user-agent", "")))


def browser_of(agent: str) -> str:
    """A browser's name for itself in two words; "" when it says nothing known."""
    words = [
        next((name for sign, name in signs.items() if sign in agent), "") for signs in (_BROWSERS, _SYSTEMS)
    ]
    return " · ".join(filter(None, words))


def theme_of(request: Web) -> str:
    """auto, light or dark."""
    wanted = request.cookies.get(THEME_COOKIE, "auto")
    return wanted if wanted in THEMES else "auto"


def go_to(path: str) -> Page:
    """Answer a form: the browser gets the next page with GET."""
    return Response("", media_type=HTML, status_code=HTTP_303_SEE_OTHER, headers={"location": path})


def typed(given: Mapping[str, Any], field: str) -> str:
    """What somebody typed in a field, without space around it and without the one character PostgreSQL cannot keep."""
    return str(given.get(field, "")).replace("\0", "").strip()


def lead_to(request: Web, path: str) -> Page:
    """Another page. Scripts follow a redirect by themselves and would put that page into this one."""
    if request.headers.get("hx-request") == "true":
        return Response("", media_type=HTML, headers={"hx-redirect": path})
    return go_to(path)


def own_path(path: str) -> str:
    """A path to come back to; anything that could leave this site becomes the first page."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if safe else "/"

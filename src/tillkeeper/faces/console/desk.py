"""What every page works with, and how a page becomes a response."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_303_SEE_OTHER

from tillkeeper import access
from tillkeeper.access import Session, Visitor
from tillkeeper.access.entrance import Entrance, Site
from tillkeeper.base.clock import Clock
from tillkeeper.faces.console import texts
from tillkeeper.faces.console.live import Audience, Live
from tillkeeper.faces.console.menu import MENU
from tillkeeper.faces.console.render import Renderer
from tillkeeper.faces.console.statics import Static
from tillkeeper.maintenance import notices, reports
from tillkeeper.maintenance.plans import Calendar
from tillkeeper.monitoring import alerting
from tillkeeper.parties import Lookups
from tillkeeper.payments import Till, browse
from tillkeeper.risk import cases
from tillkeeper.store import Store
from tillkeeper.vault import Vault

HTML: Final = "text/html"
SESSION_COOKIE: Final = "till_session"
CEREMONY_COOKIE: Final = "till_ceremony"
LANGUAGE_COOKIE: Final = "till_language"
THEME_COOKIE: Final = "till_theme"
THEMES: Final = ("auto", "light", "dark")
NOTICES: Final = frozenset(
    {
        "released",
        "refused",
        "signed_out",
        "asked",
        "given",
        "denied",
        "withdrawn",
        "carried_out",
        "grant_ended",
    }
    | {"factor_added", "factor_removed", "session_ended", "suspended", "reinstated", "erasure_asked"}
    | {"reviewed", "task_done"}
    | {"plan_kept", "plan_submitted", "plan_withdrawn", "rehearsal_asked", "plan_asked", "frozen_time"}
    | {"alert_acknowledged", "alert_silenced", "alert_unsilenced"}
    | {"backup_ordered", "backup_under_way"}
    | {"rules_proposed", "signal_closed", "list_changed"}
    | {"model_challenges", "model_retired", "model_undone"}
    | {
        "case_claimed",
        "case_released",
        "case_handed_over",
        "case_noted",
        "case_decided",
        "case_reopened",
        "case_listed",
    }
)

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
    live: Live[Audience]
    till: Till
    vault: Vault
    deeds: access.approvals.Deeds
    four_eyes_amount: int
    entrance: Entrance
    lookups: Lookups = field(default_factory=Lookups)
    calendar: Calendar = field(default_factory=Calendar)

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
        waiting = to_decide = unreviewed = firing = late_cases = 0
        ahead: list[notices.Notice] = []
        if session is not None:
            async with self.store.tx("console frame") as tx:
                waiting, _ = await browse.held_size(tx)
                to_decide = await access.approvals.count_open(tx, self.clock)
                unreviewed = await reports.count_unreviewed(tx)
                ahead = await notices.ahead(tx, self.clock.now())
                firing = await alerting.browse.count_firing(tx)
                late_cases = await cases.count_late(tx, self.clock.now())
        return self.bare_frame(request) | {
            "badges": {
                "approvals": ("approvals.badge", to_decide, access.approvals.COUNTED),
                "reports": ("reports.badge", unreviewed, reports.COUNTED),
                "alerts": ("alerts.badge", firing, firing),
                "cases": ("cases.badge", late_cases, late_cases),
            },
            "ahead": ahead,
            "four_eyes_amount": self.four_eyes_amount,
            "now": self.clock.now(),
            "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "section": request.url.path.split("/")[1],
            "waiting": waiting,
            "waiting_most": browse.HELD_COUNTED,
            "notice": notice if (notice := request.query_params.get("notice")) in NOTICES else None,
        }

    def bare_frame(self, request: Web) -> dict[str, Any]:
        """The frame as far as it takes no look into the database: sections without their counts."""
        session = session_of(request)
        return {
            "session": session,
            "may": access.policies().permitted("Person", session.roles) if session else frozenset(),
            "menu": MENU,
            "badges": {},
            "ahead": [],
            "waiting": 0,
            "waiting_most": 0,
            "zone": self.renderer(request).zone(self.clock.now()),
            "theme": theme_of(request),
            "themes": THEMES,
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


def session_in(request: Web) -> Session:
    """The session of a request that passed the door, on pages that are not for everybody."""
    session = session_of(request)
    assert session is not None  # the door let nobody else through
    return session


def person_of(request: Web) -> str:
    """Who acts."""
    return session_in(request).person


def site_of(request: Web) -> Site:
    """The console as the browser addressed it; the door let no other name through."""
    site: Site = request.state["site"]
    return site


def cookie_of(request: Web, name: str) -> str:
    """A secret that the browser keeps for us; "" if it keeps none."""
    return request.cookies.get(_kept_as(request, name), "")


def set_cookie(answer: Response[Any], request: Web, name: str, value: str, seconds: int) -> None:
    """Have the browser keep a secret, away from scripts and from other sites."""
    answer.set_cookie(
        key=_kept_as(request, name),
        value=value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=_is_secure(request),
    )


def forget_cookie(answer: Response[Any], request: Web, name: str) -> None:
    """Have the browser forget a secret."""
    set_cookie(answer, request, name, "", 0)


def _kept_as(request: Web, name: str) -> str:
    """By TLS under a name that browsers let no neighbour of our host and no plain page write."""
    return f"__Host-{name}" if _is_secure(request) else name


def _is_secure(request: Web) -> bool:
    return site_of(request).origin.startswith("https:")


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
    """A path to come back to; anything that could leave this site, or that no header takes, becomes the first page."""
    safe = (
        path.startswith("/") and not path.startswith(("//", "/\\")) and path.isascii() and path.isprintable()
    )
    return path if safe else "/"

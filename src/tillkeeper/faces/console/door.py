"""The door: who may come in and do what, forms only from our own pages, headers that forbid a page what it does not need.

A route declares `action=` (see access/policies), `thing=` where the action is about somebody's own thing (a function that
finds it), and `fresh=True` where it takes a second factor given within CONFIRMED_SECONDS; or `public=True`.
"""

import hmac
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from litestar import Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, NotFoundException, PermissionDeniedException
from litestar.status_codes import (
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
    HTTP_421_MISDIRECTED_REQUEST,
)

from tillkeeper import access, audit
from tillkeeper.access import Session
from tillkeeper.access.entrance import Site
from tillkeeper.base import limits
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import (
    HTML,
    SESSION_COOKIE,
    Desk,
    Page,
    Web,
    cookie_of,
    lead_to,
    origin_of,
    own_path,
    site_of,
)
from tillkeeper.faces.console.sites import Sites

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
_SECRETS: Final = frozenset(
    {"csrf", "password", "code", "answer", "token"}
)  # never shown, and stored as hashes if at all
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


async def enter(request: Web, desk: Desk, sites: Sites) -> Page | None:
    """Let a request pass (None), or answer it.

    Raises HTTPException (421) for a name that is not ours, PermissionDeniedException for a form that is not ours,
    NotFoundException for a thing that is not there.
    """
    request.state["site"] = _addressed(request, sites)
    if request.method not in _SAFE_METHODS and not _is_from_here(request):
        raise PermissionDeniedException("the form was sent from another site")
    if request.route_handler.opt.get("public"):
        return None
    cookie = cookie_of(request, SESSION_COOKIE)
    if not cookie:
        return _ask_to_sign_in(request)
    async with desk.store.tx("console session") as tx:
        session = await access.session(tx, cookie, desk.clock)
    if isinstance(session, Refusal):
        return _ask_to_sign_in(request)
    request.state["session"] = session
    if request.method not in _SAFE_METHODS:
        given = (await request.form()).get("csrf")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise PermissionDeniedException("the form's token is missing or old")
        if (said := await _never_stored(request, desk)) is not None:
            return said
    if request.method == HttpMethod.OPTIONS:  # says only which methods there are
        return None
    return await _judge(request, desk, session) or _confirm(request, desk, session)


async def _never_stored(request: Web, desk: Desk) -> Page | None:
    """The page that refuses a form with a card number, a security code or a PIN in it; a field that `personal=` names has a
    rule of its own.
    """
    spared = _SECRETS.union(request.route_handler.opt.get("personal", ()))
    for name, value in (await request.form()).items():
        if name not in spared and isinstance(value, str) and (refusal := forbidden(value)):
            back = own_path(_page_before(request).path)
            context = {"problem": refusal.code, "detail": refusal.detail, "back": back}
            return await desk.page(request, "problem.html", context, refusal.status)
    return None


def _addressed(request: Web, sites: Sites) -> Site:
    """The console as this request names it. Links, passkeys and cookies stand on this name, so it must be ours."""
    site = sites.find(request.scope["scheme"], request.headers.get("host", ""))
    if site is None:
        raise HTTPException("not our name", status_code=HTTP_421_MISDIRECTED_REQUEST)
    return site


def _is_from_here(request: Web) -> bool:
    """Whether a form was sent by a page of ours: browsers say where it comes from, one way or the other."""
    origin = request.headers.get("origin", site_of(request).origin)
    fetched = request.headers.get("sec-fetch-site", "same-origin")
    return fetched == "same-origin" and origin == site_of(request).origin


async def _judge(request: Web, desk: Desk, session: Session) -> Page | None:
    """The page that refuses what no policy allows; the one place where the console judges."""
    opt = request.route_handler.opt
    action, find = opt["action"], opt.get("thing")
    if find is None:
        if action in access.policies().permitted("Person", session.roles):
            return None
        return await refused(request, desk, session, action)
    thing = await find(request, desk)
    if thing is None:
        raise NotFoundException
    verdict = access.policies().judge(session, action, thing)
    return None if verdict.allowed else await refused(request, desk, session, action, thing, verdict.by)


async def refused(
    request: Web,
    desk: Desk,
    session: Session,
    action: str,
    thing: access.Thing = access.HOUSE,
    by: tuple[str, ...] = (),
) -> Page:
    """Say that no policy allows it, or which forbid it, and who could do it; noted in the audit trail."""
    async with desk.store.tx("console refused") as tx:
        reason, origin = (
            f"{action}: {request.method} {request.url.path}"[: limits.MAX_TEXT],
            origin_of(request),
        )
        subject = "till" if thing == access.HOUSE else f"{thing.kind.lower()} {thing.id}"
        await audit.append(tx, session.person, "policy.refused", subject, reason, origin, "refused")
    roles = {role for _, role in access.policies().permitting("Person", action, thing)}
    context = {
        "action": action,
        "by": by,
        "yours": [role for role in access.ROLES if role in session.roles],
        "theirs": [role for role in access.ROLES if role in roles],
    }
    return await desk.page(request, "refused.html", context, HTTP_403_FORBIDDEN)


def _confirm(request: Web, desk: Desk, session: Session) -> Page | None:
    """The way to a fresh second factor, and back to where the person was."""
    if not request.route_handler.opt.get("fresh") or access.is_fresh(session, desk.clock):
        return None
    here = request.url if request.method in _SAFE_METHODS else _page_before(request)
    back = own_path(here.path + (f"?{here.query}" if here.query else ""))
    return lead_to(request, f"/confirm?next={quote(back, safe='')}")


def _page_before(request: Web) -> SplitResult:
    """Where a form was sent from, as far as the browser says; the first page if what it says is no address."""
    try:
        return urlsplit(request.headers.get("referer", "/"))
    except ValueError:
        return urlsplit("/")


def _ask_to_sign_in(request: Web) -> Page:
    if request.method not in _SAFE_METHODS or request.headers.get("accept") == "text/event-stream":
        return Response("", media_type=HTML, status_code=HTTP_401_UNAUTHORIZED)
    query = f"?{request.url.query}" if request.url.query else ""
    here = quote(request.url.path + query, safe="")
    return lead_to(request, "/sign-in" if here == "%2F" else f"/sign-in?next={here}")


def put_headers(response: Page) -> Page:
    """The headers every answer carries; a handler's own are kept."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response

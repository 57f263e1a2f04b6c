"""The door: who may come in, forms only from our own pages, and headers that forbid a page what it does not need."""

import hmac
from typing import Final
from urllib.parse import quote

from litestar import Response
from litestar.exceptions import PermissionDeniedException
from litestar.status_codes import HTTP_401_UNAUTHORIZED

from tillkeeper import access
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import HTML, SESSION_COOKIE, Desk, Page, Web, lead_to

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
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


async def enter(request: Web, desk: Desk) -> Page | None:
    """Let a request pass (None), or answer it. Raises PermissionDeniedException for a form that is not ours."""
    if (
        request.method not in _SAFE_METHODS
        and request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
    ):
        raise PermissionDeniedException("the form was sent from another site")
    if request.route_handler.opt.get("public"):
        return None
    cookie = request.cookies.get(SESSION_COOKIE)
    if cookie is None:
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
    return None


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

"""Sign-in by a one-time link, sign-out, and the browser's language and theme."""

from typing import Final
from urllib.parse import parse_qs, urlsplit

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.base import limits
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console import texts
from tillkeeper.faces.console.desk import (
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    THEME_COOKIE,
    THEMES,
    Page,
    TheDesk,
    Web,
    go_to,
    own_path,
    person_of,
    session_of,
    visitor_of,
)

_YEAR: Final = 365 * 24 * 3600


@get("/sign-in", public=True)
async def sign_in(request: Web, desk: TheDesk) -> Page:
    """Ask to confirm the link: mail scanners and previews open links too, and must not use it up."""
    query = request.query_params
    context = {"token": query.get("token", ""), "next": own_path(query.get("next", "/")), "failed": False}
    return await desk.page(request, "sign_in.html", context)


@post("/sign-in", public=True)
async def open_session(request: Web, desk: TheDesk) -> Page:
    """Use the link up and remember the browser."""
    form = await request.form()
    next_path = own_path(str(form.get("next", "/")))
    async with desk.store.tx("console sign-in") as tx:
        opened = await access.open_session(
            tx, _token(str(form.get("token", ""))), desk.clock, visitor_of(request)
        )
    if isinstance(opened, Refusal):
        return await desk.page(
            request, "sign_in.html", {"token": "", "next": next_path, "failed": True}, opened.status
        )
    answer = go_to(next_path)
    answer.set_cookie(_cookie(request, SESSION_COOKIE, opened.cookie, limits.SESSION_SECONDS))
    return answer


@post("/sign-out")
async def sign_out(request: Web, desk: TheDesk) -> Page:
    """End the session here and in the database."""
    session = session_of(request)
    assert session is not None
    async with desk.store.tx("console sign-out") as tx:
        await access.end_session(tx, session.id, desk.clock, actor=person_of(request))
    answer = go_to("/sign-in?notice=signed_out")
    answer.delete_cookie(SESSION_COOKIE)
    return answer


@get("/preferences", public=True)
async def preferences(request: Web) -> Page:
    """Remember a language or a theme, and go back."""
    query = request.query_params
    answer = go_to(own_path(query.get("back", "/")))
    if (language := query.get("language")) in texts.LANGUAGES:
        answer.set_cookie(_cookie(request, LANGUAGE_COOKIE, language, _YEAR))
    if (theme := query.get("theme")) in THEMES:
        answer.set_cookie(_cookie(request, THEME_COOKIE, theme, _YEAR))
    return answer


@get("/static/{digest:str}/{name:str}", public=True, cache_control=None)
async def static(request: Web, desk: TheDesk, digest: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A file that never changes under its address."""
    found = desk.statics.get(name)
    if found is None or found.url != f"/static/{digest}/{name}":
        return Response(b"", status_code=404, media_type="text/plain")
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    if zipped:
        headers["content-encoding"] = "gzip"
    return Response(found.zipped if zipped else found.plain, media_type=found.media_type, headers=headers)


def _token(text: str) -> str:
    """The token itself, or the one in a whole link that somebody pasted."""
    return parse_qs(urlsplit(text.strip()).query).get("token", [text.strip()])[0]


def _cookie(request: Web, key: str, value: str, seconds: int) -> Cookie:
    return Cookie(
        key=key,
        value=value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )

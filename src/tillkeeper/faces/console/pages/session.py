"""Sign-out, the browser's language and theme, and the files it loads."""

from typing import Final

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.faces.console import texts
from tillkeeper.faces.console.desk import (
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    THEME_COOKIE,
    THEMES,
    Page,
    TheDesk,
    Web,
    forget_cookie,
    go_to,
    origin_of,
    own_path,
    session_in,
    site_of,
)

_YEAR: Final = 365 * 24 * 3600


@post("/sign-out", action="account.manage")
async def sign_out(request: Web, desk: TheDesk) -> Page:
    """End the session here and in the database."""
    session = session_in(request)
    async with desk.store.tx("console sign-out") as tx:
        await access.end_session(tx, session.id, desk.clock, actor=session.person, origin=origin_of(request))
    answer = go_to("/sign-in?notice=signed_out")
    forget_cookie(answer, request, SESSION_COOKIE)
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


def _cookie(request: Web, key: str, value: str, seconds: int) -> Cookie:
    return Cookie(
        key=key,
        value=value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=site_of(request).origin.startswith("https:"),
    )

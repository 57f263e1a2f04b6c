"""Pages for what goes wrong: they say what happened and what to do, never how the program looks inside."""

import logging
from typing import Final

from litestar import Response
from litestar.exceptions import HTTPException

from tillkeeper.base.ids import new_id
from tillkeeper.faces.console.desk import HTML, Desk, Page, Web, own_path
from tillkeeper.faces.console.door import put_headers
from tillkeeper.store import StoreUnavailableError, is_transient

log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 5
_KNOWN: Final = frozenset({400, 401, 403, 404, 405, 413, 421})


def refuse(request: Web, error: HTTPException) -> Page:
    """A request that cannot be answered."""
    status = error.status_code
    return _page(request, status if status in _KNOWN or status < 500 else 500, "")


def fail(request: Web, error: Exception) -> Page:
    """A fault of ours, or a database that is away."""
    if is_transient(error) or isinstance(error, StoreUnavailableError):
        return _page(request, 503, "")
    reference = new_id().hex[-12:]
    log.error(
        "console %s %s failed, reference %s", request.method, request.url.path, reference, exc_info=error
    )
    return _page(request, 500, reference)


def _page(request: Web, status: int, reference: str) -> Page:
    """Without the frame's reads, as the database may be what failed; with the way on for whoever the door let in."""
    desk: Desk = request.app.state["desk"]
    renderer = desk.renderer(request)
    known = status in _KNOWN or status in {500, 503}
    away = status == 503
    here = _here(request) if away else "/"
    context = {
        **desk.bare_frame(request),
        "here": here,
        "away": away,
        "section": "",
        "notice": None,
        "key": f"error.{status if known else 400}",
        "reference": reference,
    }
    headers = {"retry-after": str(_AGAIN_SECONDS)} if away else {}
    page = Response(
        renderer.render("error.html", context), media_type=HTML, status_code=status, headers=headers
    )
    # An address that no page has never reaches the hook that puts the headers on the others.
    return put_headers(page)


def _here(request: Web) -> str:
    """Where to try again what was only looked at; the overview after a form, which is not sent twice."""
    if request.method != "GET":
        return "/"
    return own_path(request.url.path + (f"?{request.url.query}" if request.url.query else ""))

"""The ways in: a passkey, password and code, the company's provider, a one-time link. And /confirm, for who is in."""

from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from litestar import Response, get, post

from tillkeeper import access
from tillkeeper.access import OpenedSession, Session
from tillkeeper.access.entrance import Question, factors, passkeys
from tillkeeper.base import limits
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import (
    CEREMONY_COOKIE,
    SESSION_COOKIE,
    Desk,
    Page,
    TheDesk,
    Web,
    cookie_of,
    forget_cookie,
    go_to,
    origin_of,
    own_path,
    session_in,
    set_cookie,
    site_of,
    typed,
    visitor_of,
)
from tillkeeper.risk.logins import staff

BACK: Final = "/sign-in/provider/back"
_RETRY_SECONDS: Final = {429: limits.TRIES_SECONDS, 503: 5}


@get("/sign-in", public=True)
async def sign_in(request: Web, desk: TheDesk) -> Page:
    """The ways in; for a link, the question whether to use it: mail scanners and previews open links too."""
    query = request.query_params
    return await _page(request, desk, own_path(query.get("next", "/")), query.get("token", ""))


@post("/sign-in", public=True)
async def by_link(request: Web, desk: TheDesk) -> Page:
    """Use a one-time link up."""
    form = await request.form()
    opened = await desk.entrance.by_link(_token(typed(form, "token")), visitor_of(request))
    return await _opened(request, desk, opened, own_path(typed(form, "next") or "/"))


@post("/sign-in/passkey/question", public=True, status_code=200)
async def passkey_question(request: Web, desk: TheDesk) -> Page:
    """What to put to the authenticator."""
    return answer_question(
        request, desk, await desk.entrance.ask_passkey(site_of(request), visitor_of(request))
    )


@post("/sign-in/passkey", public=True)
async def by_passkey(request: Web, desk: TheDesk) -> Page:
    """What the authenticator answered."""
    form, token = await request.form(), cookie_of(request, CEREMONY_COOKIE)
    opened = await desk.entrance.by_passkey(
        token, typed(form, "answer"), site_of(request), visitor_of(request)
    )
    return await _opened(request, desk, opened, own_path(typed(form, "next") or "/"), "passkey_failed")


@post("/sign-in/password", public=True)
async def by_password(request: Web, desk: TheDesk) -> Page:
    """A name, a password, and a code."""
    form = await request.form()
    opened = await desk.entrance.by_password(
        typed(form, "name"), str(form.get("password", "")), typed(form, "code"), visitor_of(request)
    )
    return await _opened(request, desk, opened, own_path(typed(form, "next") or "/"))


@get("/sign-in/provider", public=True)
async def leave_for_provider(request: Web, desk: TheDesk) -> Page:
    """Send the browser to the company's provider."""
    next_path = own_path(request.query_params.get("next", "/"))
    left = await leave_for(request, desk, next_path, None)
    if isinstance(left, Refusal):
        return await _page(request, desk, next_path, "", left)
    answer = go_to(left[0])
    set_cookie(answer, request, CEREMONY_COOKIE, left[1], limits.CEREMONY_SECONDS)
    return answer


@get(BACK, public=True)
async def back_from_provider(request: Web, desk: TheDesk) -> Page:
    """Whom the provider vouches for."""
    opened: tuple[OpenedSession, str] | Refusal = Refusal("provider_failed")
    if desk.entrance.provider is not None:
        token = cookie_of(request, CEREMONY_COOKIE)
        opened = await desk.entrance.by_provider(token, dict(request.query_params), visitor_of(request))
    if isinstance(opened, Refusal):
        return await _opened(request, desk, opened, "/", "provider_unknown")
    return await _opened(request, desk, opened[0], own_path(opened[1]))


@get("/confirm", action="account.manage")
async def confirm(request: Web, desk: TheDesk) -> Page:
    """Ask who is signed in for a second factor, and lead them on."""
    return await _confirm_page(request, desk, own_path(request.query_params.get("next", "/")))


@post("/confirm/question", action="account.manage", status_code=200)
async def confirm_question(request: Web, desk: TheDesk) -> Page:
    """What to put to the person's authenticator."""
    async with desk.store.tx("console confirm question") as tx:
        question = await passkeys.ask(tx, site_of(request), desk.clock, person=session_in(request).person)
    return answer_question(request, desk, question)


@post("/confirm", action="account.manage")
async def confirmed(request: Web, desk: TheDesk) -> Page:
    """The answer: of a passkey, or a code."""
    form, session, visitor = await request.form(), session_in(request), visitor_of(request)
    next_path = own_path(typed(form, "next") or "/")
    if answer := typed(form, "answer"):
        token = cookie_of(request, CEREMONY_COOKIE)
        refusal = await desk.entrance.confirm_by_passkey(session, token, answer, site_of(request), visitor)
    else:
        refusal = await desk.entrance.confirm_by_code(session, typed(form, "code"), visitor)
    if refusal is not None:
        return await _confirm_page(request, desk, next_path, refusal)
    return go_to(next_path)


async def leave_for(
    request: Web, desk: Desk, next_path: str, person: str | None
) -> tuple[str, str] | Refusal:
    """Begin an errand at the provider, for a `person` who is signed in or whoever it is: its address, and the token."""
    if desk.entrance.provider is None:
        return Refusal("provider_failed")
    back = site_of(request).origin + BACK
    return await desk.entrance.ask_provider(back, next_path, visitor_of(request), person)


def answer_question(request: Web, desk: Desk, question: Question | Refusal) -> Page:
    """A question as JSON, with its token as a cookie; or why there is none, in words."""
    if isinstance(question, Refusal):
        said = {"error": desk.renderer(request).texts.named("failure", question.code)}
        words = msgspec.json.encode(said).decode()
        return Response(words, media_type="application/json", status_code=question.status)
    answer = Response(question.options, media_type="application/json")
    set_cookie(answer, request, CEREMONY_COOKIE, question.token, limits.CEREMONY_SECONDS)
    return answer


async def _opened(
    request: Web, desk: Desk, opened: OpenedSession | Refusal, next_path: str, failed: str = ""
) -> Page:
    """Remember the browser and lead it on; or the sign-in page with what went wrong (`failed`: in other words)."""
    if isinstance(opened, Refusal):
        return await _page(request, desk, next_path, "", opened, failed)
    await _leave_before(request, desk)
    if next_path == "/" and not opened.session.roles:
        next_path = "/account"
    outcome = await _scored(request, desk, opened.session)
    if outcome == "block":
        return await _page(request, desk, next_path, "", Refusal("sign_in_failed"), failed)
    if outcome == "ask_again":
        next_path = f"/confirm?next={quote(next_path, safe='')}"
    answer = go_to(next_path)
    set_cookie(answer, request, SESSION_COOKIE, opened.cookie, limits.SESSION_SECONDS)
    forget_cookie(answer, request, CEREMONY_COOKIE)
    return answer


async def _scored(request: Web, desk: Desk, session: Session) -> str:
    """What risk thinks of this sign-in, and what follows from it for the session."""
    agent = request.headers.get("user-agent", "")
    verdict = await staff.sign_in(
        desk.store, desk.clock, desk.zone, session.person, session.opened_by, origin_of(request), agent
    )
    if verdict.outcome == "allow" or (verdict.outcome == "ask_again" and session.confirmed_at is None):
        return (
            "allow"  # whoever gave no second factor is asked for one before anything that needs it, as ever
        )
    async with desk.store.tx("console sign-in doubted") as tx:
        if verdict.outcome == "block":
            await access.end_session(
                tx, session.id, desk.clock, actor=session.person, origin=origin_of(request)
            )
        else:
            await access.doubt_session(tx, session.id)
    return verdict.outcome


async def _leave_before(request: Web, desk: Desk) -> None:
    """Whoever was signed in with this browser is so no more."""
    if not (before := cookie_of(request, SESSION_COOKIE)):
        return
    async with desk.store.tx("console signed in anew") as tx:
        old = await access.session(tx, before, desk.clock)
        if isinstance(old, Session):
            await access.end_session(tx, old.id, desk.clock, actor=old.person, origin=origin_of(request))


async def _page(
    request: Web,
    desk: Desk,
    next_path: str,
    token: str,
    refusal: Refusal | None = None,
    failed: str = "",
) -> Page:
    site, provider = site_of(request), desk.entrance.provider
    code = refusal.code if refusal else None
    context: dict[str, Any] = {
        "token": token,
        "next": next_path,
        "leave": f"/sign-in/provider?next={quote(next_path, safe='')}",
        "problem": failed if code == "sign_in_failed" and failed else code,
        "provider": provider.name if provider else None,
        "passkeys": site.takes_passkeys,
        "by_name": site.origin.replace(site.host, "localhost").replace("[", "").replace("]", ""),
    }
    return _patiently(await desk.page(request, "sign_in.html", context, refusal.status if refusal else 200))


async def _confirm_page(request: Web, desk: Desk, next_path: str, refusal: Refusal | None = None) -> Page:
    async with desk.store.tx("console confirm") as tx:
        has = await factors.of(tx, session_in(request).person)
    context = {
        "next": next_path,
        "has": has,
        "passkeys": site_of(request).takes_passkeys and has.passkeys > 0,
        "problem": refusal.code if refusal else None,
        "by_passkey": bool(refusal) and "answer" in (await request.form()),
    }
    return _patiently(await desk.page(request, "confirm.html", context, refusal.status if refusal else 200))


def _patiently(page: Page) -> Page:
    """Programs are told when to come again."""
    if (seconds := _RETRY_SECONDS.get(page.status_code or 0)) is not None:
        page.headers["retry-after"] = str(seconds)
    return page


def _token(text: str) -> str:
    """The token itself, or the one in a whole link that somebody pasted."""
    return parse_qs(urlsplit(text.strip()).query).get("token", [text.strip()])[0]

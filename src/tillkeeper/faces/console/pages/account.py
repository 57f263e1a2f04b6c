"""One's own account: passkeys, password and authenticator, recovery codes, sessions.

A factor is added by who gave one within the last minutes, or has none yet and signed in just now; taken away only by
the former.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from litestar import get, post

from tillkeeper import access
from tillkeeper.access import Person
from tillkeeper.access.entrance import factors, passkeys, totp
from tillkeeper.base import limits
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console import charts
from tillkeeper.faces.console.desk import (
    CEREMONY_COOKIE,
    Desk,
    Page,
    TheDesk,
    Web,
    browser_of,
    cookie_of,
    forget_cookie,
    go_to,
    origin_of,
    session_in,
    set_cookie,
    site_of,
    typed,
    visitor_of,
)
from tillkeeper.faces.console.pages.sign_in import answer_question, leave_for
from tillkeeper.store import Tx

HERE: Final = "/account"
_ADDED: Final = f"{HERE}?notice=factor_added"
_REMOVED: Final = f"{HERE}?notice=factor_removed"


@get(HERE, action="account.manage")
async def account(request: Web, desk: TheDesk) -> Page:
    """Everything a person can prove themselves with, and where they are signed in."""
    return await _page(request, desk)


# -- passkeys


@post("/account/passkeys/question", action="account.manage", status_code=200)
async def passkey_question(request: Web, desk: TheDesk) -> Page:
    """What to put to the new passkey's device."""
    if (away := await _not_now(request, desk)) is not None:
        return away
    async with desk.store.tx("console new passkey") as tx:
        question = await passkeys.ask_to_enrol(tx, await _me(tx, request), site_of(request), desk.clock)
    return answer_question(request, desk, question)


@post("/account/passkeys", action="account.manage")
async def add_passkey(request: Web, desk: TheDesk) -> Page:
    """Take the new passkey."""
    if (away := await _not_now(request, desk)) is not None:
        return away
    form = await request.form()
    name = typed(form, "name")[: limits.MAX_TEXT] or browser_of(request.headers.get("user-agent", ""))
    if (never := forbidden(name)) is not None:
        return await _page(request, desk, never)
    async with desk.store.tx("console add passkey") as tx:
        refusal = await passkeys.enrol(
            tx,
            session_in(request).person,
            cookie_of(request, CEREMONY_COOKIE),
            typed(form, "answer"),
            name,
            site_of(request),
            desk.clock,
            origin=origin_of(request),
        )
    if refusal is not None:
        return await _page(request, desk, refusal)
    answer = go_to(_ADDED)
    forget_cookie(answer, request, CEREMONY_COOKIE)
    return answer


@post("/account/passkeys/remove", action="account.manage", fresh=True)
async def remove_passkey(request: Web, desk: TheDesk) -> Page:
    """Forget one passkey."""
    text = typed(await request.form(), "id")
    passkey = bytes.fromhex(text) if _is_hex(text) else b""
    return await _removed(
        request, desk, lambda tx, me: passkeys.remove(tx, me, passkey, origin=origin_of(request))
    )


# -- password and authenticator


@post("/account/password", action="account.manage")
async def set_password(request: Web, desk: TheDesk) -> Page:
    """A password, new or in place of another; whoever knew the old one is signed out everywhere else."""
    if (away := await _not_now(request, desk)) is not None:
        return away
    async with desk.store.tx("console account") as tx:
        me = await _me(tx, request)
    password = str((await request.form()).get("password", ""))
    refusal = await desk.entrance.set_password(me, password, visitor_of(request))
    if refusal is not None:
        return await _page(request, desk, refusal)
    async with desk.store.tx("console password") as tx:
        here = session_in(request)
        await access.end_sessions_of(
            tx, me.person, desk.clock, actor=me.person, but=here, origin=origin_of(request)
        )
    return go_to(_ADDED)


@post("/account/password/remove", action="account.manage", fresh=True)
async def remove_password(request: Web, desk: TheDesk) -> Page:
    """Do without a password."""
    return await _removed(
        request, desk, lambda tx, me: factors.remove_password(tx, me, origin=origin_of(request))
    )


@post("/account/authenticator", action="account.manage")
async def begin_authenticator(request: Web, desk: TheDesk) -> Page:
    """A new secret for an app."""
    if (away := await _not_now(request, desk)) is not None:
        return away
    async with desk.store.tx("console new authenticator") as tx:
        await totp.begin(tx, desk.entrance.keeper, session_in(request).person, desk.clock)
    return go_to("/account/authenticator")


@get("/account/authenticator", action="account.manage")
async def new_authenticator(request: Web, desk: TheDesk) -> Page:
    """The new secret as a QR code; it waits for the app's first code. Who may not add a factor may not see it either."""
    if (away := await _not_now(request, desk)) is not None:
        return away
    return await _new_authenticator(request, desk)


@post("/account/authenticator/proof", action="account.manage")
async def prove_authenticator(request: Web, desk: TheDesk) -> Page:
    """The app's first code."""
    if (away := await _not_now(request, desk)) is not None:
        return away
    code, me = typed(await request.form(), "code"), session_in(request).person
    async with desk.store.tx("console prove authenticator") as tx:
        proved = await factors.prove_totp(
            tx, desk.entrance.keeper, me, code, desk.clock, origin=origin_of(request)
        )
    return go_to(_ADDED) if proved else await _new_authenticator(request, desk, Refusal("wrong_code"))


@post("/account/authenticator/remove", action="account.manage", fresh=True)
async def remove_authenticator(request: Web, desk: TheDesk) -> Page:
    """Forget the app."""
    return await _removed(
        request, desk, lambda tx, me: factors.remove_totp(tx, me, origin=origin_of(request))
    )


# -- recovery codes


@post("/account/recovery-codes", action="account.manage", status_code=200)
async def make_recovery_codes(request: Web, desk: TheDesk) -> Page:
    """Ten new codes, shown this once."""
    if (away := await _not_now(request, desk)) is not None:
        return away
    async with desk.store.tx("console recovery codes") as tx:
        codes = await factors.make_recovery_codes(
            tx, session_in(request).person, desk.clock, origin=origin_of(request)
        )
    return await desk.page(request, "recovery_codes.html", {"codes": codes})


# -- the identity provider


@post("/account/provider", action="account.manage", status_code=200)
async def connect_provider(request: Web, desk: TheDesk) -> Page:
    """Be known by the account at the provider from now on. A form may not lead to another site, so a link does."""
    if (away := await _not_now(request, desk)) is not None:
        return away
    left = await leave_for(request, desk, HERE, session_in(request).person)
    if isinstance(left, Refusal):
        return await _page(request, desk, left)
    url, token = left
    page = await desk.page(request, "provider.html", {"url": url, "provider": desk.entrance.provider})
    set_cookie(page, request, CEREMONY_COOKIE, token, limits.CEREMONY_SECONDS)
    return page


@post("/account/provider/remove", action="account.manage", fresh=True)
async def remove_provider(request: Web, desk: TheDesk) -> Page:
    """Be known by it no more."""
    issuer = typed(await request.form(), "issuer")
    return await _removed(
        request, desk, lambda tx, me: factors.remove_identity(tx, me, issuer, origin=origin_of(request))
    )


# -- sessions


@post("/account/sessions/end", action="account.manage")
async def end_sessions(request: Web, desk: TheDesk) -> Page:
    """Sign out one of one's other browsers, or all of them."""
    me, wanted = session_in(request), typed(await request.form(), "id")
    async with desk.store.tx("console end sessions") as tx:
        mine = {each.id for each in await access.list_sessions(tx, desk.clock, me.person)}
        if wanted in mine:
            await access.end_session(tx, wanted, desk.clock, actor=me.person, origin=origin_of(request))
        elif wanted == "others":
            await access.end_sessions_of(
                tx, me.person, desk.clock, actor=me.person, but=me, origin=origin_of(request)
            )
    return go_to(f"{HERE}?notice=session_ended")


# -- what they share


async def _page(request: Web, desk: Desk, refusal: Refusal | None = None) -> Page:
    me = session_in(request)
    async with desk.store.tx("console account") as tx:
        has = await factors.of(tx, me.person)
        context: dict[str, Any] = {
            "me": await access.person(tx, me.person),
            "has": has,
            "keys": await passkeys.list_passkeys(tx, me.person),
            "sessions": await access.list_sessions(tx, desk.clock, me.person),
        }
    context |= {
        "roles": access.ROLES,
        "may_enrol": factors.may_enrol(me, has, desk.clock),
        "passkeys": site_of(request).takes_passkeys,
        "provider": desk.entrance.provider,
        "device": browser_of(request.headers.get("user-agent", "")),
        "problem": _problem(refusal),
        "least": limits.PASSWORD_LEAST,
        "codes": limits.RECOVERY_CODES,
    }
    return await desk.page(request, "account.html", context, refusal.status if refusal else 200)


def _problem(refusal: Refusal | None) -> str | None:
    """The text key of a refusal; for a weak password, of why it is weak."""
    if refusal is None:
        return None
    return f"failure.weak_{refusal.detail}" if refusal.code == "weak_password" else f"failure.{refusal.code}"


async def _new_authenticator(request: Web, desk: Desk, refusal: Refusal | None = None) -> Page:
    me = session_in(request).person
    async with desk.store.tx("console new authenticator") as tx:
        secret = await totp.unproved(tx, desk.entrance.keeper, me)
    if secret is None:
        return go_to(HERE)
    context = {
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "qr": charts.qr_code(totp.address(secret, me)),
        "problem": _problem(refusal),
    }
    return await desk.page(request, "authenticator.html", context, refusal.status if refusal else 200)


async def _not_now(request: Web, desk: Desk) -> Page | None:
    """Who may not add a factor at this moment is led to /confirm."""
    me = session_in(request)
    async with desk.store.tx("console may enrol") as tx:
        has = await factors.of(tx, me.person)
    if factors.may_enrol(me, has, desk.clock):
        return None
    return go_to(f"/confirm?next={quote(HERE, safe='')}")


async def _removed(request: Web, desk: Desk, remove: Callable[[Tx, str], Awaitable[object]]) -> Page:
    async with desk.store.tx("console remove factor") as tx:
        await remove(tx, session_in(request).person)
    return go_to(_REMOVED)


async def _me(tx: Tx, request: Web) -> Person:
    me = await access.person(tx, session_in(request).person)
    assert me is not None  # the session stands on the person
    return me


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and all(letter in "0123456789abcdef" for letter in text)

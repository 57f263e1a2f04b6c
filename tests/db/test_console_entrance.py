"""The console's ways in and its door over HTTP: what a browser is given, what a stranger is told, what is refused."""

import re
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import httpx
import pyotp
import pytest

from tests.support.authenticator import Authenticator
from tests.support.desk import HOME, Console, console
from tests.support.identity_provider import CLIENT, SECRET, IdentityProvider, provider
from tests.support.people import Drawer, hash_cheaply, link_for, somebody
from tests.support.shop import ZONE
from tillkeeper import access
from tillkeeper.access.entrance import Entrance, Provider, factors, totp
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.faces.console import create_console
from tillkeeper.faces.console.sites import Sites
from tillkeeper.payments import Till
from tillkeeper.store import Store
from tillkeeper.vault import Vault

Client = httpx.AsyncClient
PASSWORD = "correct horse battery staple"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    hash_cheaply(monkeypatch)


@pytest.fixture
async def here(store: Store, vault: Vault, clock: ManualClock) -> AsyncIterator[Console]:
    async with console(store, vault, clock) as opened:
        yield opened


async def link(store: Store, clock: Any, person: str = "anna") -> str:
    async with store.tx("test") as tx:
        return await link_for(tx, person, clock)


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    """Each cookie that was set, with its attributes."""
    return {each.partition("=")[0]: each.partition("=")[2] for each in answer.headers.get_list("set-cookie")}


def by_tls(store: Store, vault: Vault) -> Client:
    """A browser before a console that is reached by TLS."""
    till = Till(store, None, SystemClock(), ZONE)
    entrance = Entrance(store, SystemClock(), Drawer())
    sites = Sites("https://till.test")
    application = create_console(store, SystemClock(), ZONE, till, vault, entrance, sites=sites)
    transport = httpx.ASGITransport(cast("Any", application), raise_app_exceptions=False)
    return Client(transport=transport, base_url="https://till.test")


# -- cookies


async def test_by_tls_the_cookie_is_the_hosts_alone(store: Store, vault: Vault) -> None:
    async with by_tls(store, vault) as browser:
        answer = await browser.post("/sign-in", data={"token": await link(store, SystemClock())})
        kept = cookies_of(answer)["__Host-till_session"].lower()
        assert {"httponly", "secure", "samesite=lax", "path=/"} <= set(kept.replace(" ", "").split(";"))
        assert "domain" not in kept
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert (await browser.get("/account")).status_code == 200
        browser.cookies.clear()
        browser.cookies.set(
            "till_session", kept.partition(";")[0]
        )  # a neighbour's page could have set that name
        assert (await browser.get("/account")).status_code == 303


async def test_without_tls_the_cookie_is_kept_from_scripts_and_other_sites(
    store: Store, clock: ManualClock, here: Console
) -> None:
    answer = await here.client.post("/sign-in", data={"token": await link(store, clock)})
    kept = set(cookies_of(answer)["till_session"].lower().replace(" ", "").split(";"))
    assert {"httponly", "samesite=lax", "path=/"} <= kept
    assert "secure" not in kept


async def test_every_sign_in_has_a_name_nobody_knew_before(
    store: Store, clock: ManualClock, here: Console
) -> None:
    planted = "a" * 52
    here.client.cookies.set("till_session", planted)
    seen = {planted}
    for _ in range(2):
        answer = await here.client.post("/sign-in", data={"token": await link(store, clock)})
        name = cookies_of(answer)["till_session"].partition(";")[0]
        assert name not in seen
        seen.add(name)
    stranger = await here.client.get("/account", headers={"cookie": f"till_session={planted}"})
    assert stranger.status_code == 303


async def test_who_signs_in_anew_leaves_the_session_before(
    store: Store, clock: ManualClock, here: Console
) -> None:
    for person in ("anna", "anna", "bert"):
        await here.client.post("/sign-in", data={"token": await link(store, clock, person)})
    async with store.tx("test") as tx:
        assert [each.person for each in await access.list_sessions(tx, clock)] == ["bert"]


async def test_signing_out_ends_it_here_and_in_the_database(
    store: Store, clock: ManualClock, here: Console
) -> None:
    anna = await here.sign_in("anna")
    answer = await anna.post("/sign-out")
    assert answer.headers["location"] == "/sign-in?notice=signed_out"
    assert "max-age=0" in cookies_of(answer)["till_session"].lower()
    assert (await anna.get("/account")).status_code == 303
    async with store.tx("test") as tx:
        assert await access.list_sessions(tx, clock) == []


# -- the name in the request's head, and where forms come from


async def test_no_other_name_is_answered(here: Console) -> None:
    for host in ("evil.test", "till.test.evil.test", "till.test:8080", "", "till.test@evil.test"):
        for path in ("/sign-in", "/", "/account", "/sign-in/provider"):
            answer = await here.client.get(path, headers={"host": host})
            assert answer.status_code == 421, (host, path)
            assert "TILL_CONSOLE_URL" in answer.text
            assert "evil" not in answer.text
            assert "evil" not in answer.headers.get("location", "")
        posted = await here.client.post("/sign-in", data={"token": "x"}, headers={"host": host})
        assert posted.status_code == 421, host


async def test_a_link_is_not_used_up_under_another_name(
    store: Store, clock: ManualClock, here: Console
) -> None:
    token = await link(store, clock)
    refused = await here.client.post("/sign-in", data={"token": token}, headers={"host": "evil.test"})
    assert refused.status_code == 421
    assert (await here.client.post("/sign-in", data={"token": token})).status_code == 303


async def test_forms_from_elsewhere_are_refused_signed_in_or_not(
    store: Store, clock: ManualClock, here: Console
) -> None:
    token, anna = await link(store, clock), await here.sign_in("anna")
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.test"},
        {"origin": "https://till.test"},
        {"origin": "null"},
    ):
        for path in ("/sign-in", "/sign-in/password", "/sign-in/passkey", "/sign-in/passkey/question"):
            answer = await here.client.post(path, data={"token": token}, headers=headers)
            assert answer.status_code == 403, (path, headers)
        assert (await anna.post("/account/recovery-codes", headers)).status_code == 403, headers
    good = await here.client.post("/sign-in", data={"token": token}, headers={"origin": HOME})
    assert good.status_code == 303


async def test_every_form_of_an_account_needs_its_token(here: Console, clock: ManualClock) -> None:
    anna = await here.sign_in("anna", ["system_admin"])
    routes = [
        (method, route.path)
        for route in here.application.routes
        for method in getattr(route, "route_handler_map", {})
        if method == "POST" and not route.path.startswith(("/sign-in",))
    ]
    assert len(routes) > 20
    for _, path in routes:
        where = re.sub(r"\{[^}]+\}", "x", path)
        assert (await anna.post(where, csrf="x" * 52)).status_code in {403, 404}, where
        assert (await anna.post(where, csrf="")).status_code in {403, 404}, where


async def test_no_page_of_the_ways_in_may_be_framed_or_kept(here: Console) -> None:
    for path in ("/sign-in", "/sign-in?token=x", "/sign-in/provider/back", "/confirm"):
        headers = (await here.client.get(path)).headers
        assert headers["x-frame-options"] == "DENY", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["cache-control"] == "no-store", path
        assert headers["referrer-policy"] == "same-origin", path


async def test_no_way_in_leads_to_another_site(store: Store, clock: ManualClock, here: Console) -> None:
    anna, app = await here.sign_in("anna"), await _with_authenticator(store, clock, "anna")
    for where in (
        "https://evil.test",
        "//evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "javascript:alert(1)",
        "/\t/evil.test",
    ):
        answer = await here.client.post("/sign-in", data={"token": await link(store, clock), "next": where})
        assert answer.headers["location"] == "/", where
        clock.advance(30)
        confirmed = await anna.post("/confirm", code=app.at(clock.now()), next=where)
        assert confirmed.headers["location"] == "/", where
        page = await here.client.get("/sign-in", params={"next": where})
        assert 'name="next" value="/"' in page.text, where


# -- links and invitations


async def test_who_has_no_role_yet_is_led_to_their_account(
    store: Store, clock: ManualClock, here: Console
) -> None:
    async with store.tx("test") as tx:
        await somebody(tx, "newcomer", clock, [])
        token = await access.sign_in_link(tx, "newcomer", clock, invitation=True)
    answer = await here.client.post("/sign-in", data={"token": token}, headers={"user-agent": FIREFOX})
    assert answer.headers["location"] == "/account"
    page = await here.client.get("/account")
    assert "You have no role yet" in page.text
    assert "Firefox · Linux" in page.text
    assert (await here.client.get("/")).status_code == 403


# -- passkeys over HTTP


def answer_form(question: httpx.Response, answered: str, **more: str) -> dict[str, str]:
    assert question.status_code == 200, question.text
    return {"answer": answered} | more


async def test_a_passkey_from_enrolment_to_sign_in(store: Store, clock: ManualClock, here: Console) -> None:
    device = Authenticator(HOME)
    await here.client.post("/sign-in", data={"token": await link(store, clock)})
    csrf = re.findall(r'name="csrf" value="(\w+)"', (await here.client.get("/account")).text)[0]
    question = await here.client.post("/account/passkeys/question", data={"csrf": csrf})
    assert question.headers["content-type"] == "application/json"
    form = answer_form(question, device.enrol(question.text), name="my <b>phone</b>", csrf=csrf)
    added = await here.client.post("/account/passkeys", data=form)
    assert added.headers["location"] == "/account?notice=factor_added"
    page = (await here.client.get("/account")).text
    assert "my &lt;b&gt;phone&lt;/b&gt;" in page

    here.client.cookies.clear()
    question = await here.client.post("/sign-in/passkey/question")
    form = answer_form(question, device.answer(question.text), next="/rules")
    opened = await here.client.post("/sign-in/passkey", data=form)
    assert (opened.status_code, opened.headers["location"]) == (303, "/rules")
    assert "max-age=0" in cookies_of(opened)["till_ceremony"].lower()
    again = await here.client.post("/sign-in/passkey", data=form)
    assert again.status_code == 401
    assert "does not open this door" in again.text


async def test_a_question_counts_only_in_the_browser_that_was_asked(
    store: Store, clock: ManualClock, here: Console
) -> None:
    device = Authenticator(HOME)
    anna = await here.sign_in("anna")
    question = await anna.post("/account/passkeys/question")
    answered = device.enrol(question.text)
    elsewhere = await anna.post("/account/passkeys", answer=answered)  # without the cookie that came with it
    assert elsewhere.status_code == 422
    for cookie in ("till_ceremony=made-up", "till_ceremony="):
        refused = await here.client.post(
            "/sign-in/passkey", data={"answer": "{}"}, headers={"cookie": cookie}
        )
        assert refused.status_code == 401
    async with store.tx("test") as tx:
        assert (await factors.of(tx, "anna")).passkeys == 0


async def test_too_many_questions_are_said_in_words(here: Console, clock: ManualClock) -> None:
    for _ in range(limits.CEREMONIES_OF_ADDRESS):
        assert (await here.client.post("/sign-in/passkey/question")).status_code == 200
    answer = await here.client.post("/sign-in/passkey/question", headers={"accept-language": "zh"})
    assert answer.status_code == 429
    assert "失败次数过多" in answer.json()["error"]


# -- password and code over HTTP


async def _with_authenticator(store: Store, clock: Any, person: str, password: str = "") -> pyotp.TOTP:
    entrance = Entrance(store, clock, Drawer())
    async with store.tx("test") as tx:
        who = await somebody(tx, person, clock)
        await factors.remove_totp(tx, person, origin="")
        secret = await totp.begin(tx, entrance.keeper, person, clock)
        app = pyotp.TOTP(str(secret))
        assert await factors.prove_totp(tx, entrance.keeper, person, app.at(clock.now()), clock, origin="")
    if password:
        await entrance.set_password(who, password, access.Visitor())
    entrance.close()
    clock.advance(30)
    return app


async def test_password_and_code_over_http(store: Store, clock: ManualClock, here: Console) -> None:
    app = await _with_authenticator(store, clock, "anna", PASSWORD)
    form = {"name": "anna", "password": PASSWORD, "code": "000000", "next": "/held"}
    wrong = await here.client.post("/sign-in/password", data=form)
    assert wrong.status_code == 401
    assert "That was not right" in wrong.text
    assert PASSWORD not in wrong.text
    assert "till_session" not in cookies_of(wrong)
    right = await here.client.post("/sign-in/password", data=form | {"code": app.at(clock.now())})
    assert (right.status_code, right.headers["location"]) == (303, "/held")


async def test_known_and_unknown_are_told_the_same(store: Store, clock: ManualClock, here: Console) -> None:
    await _with_authenticator(store, clock, "anna", PASSWORD)
    said = {}
    for name in ("anna", "ghost"):
        form = {"name": name, "password": "wrong", "code": "123456"}
        answers = [
            await here.client.post("/sign-in/password", data=form) for _ in range(limits.TRIES_OF_PERSON + 1)
        ]
        said[name] = [(each.status_code, each.text) for each in answers]
        assert answers[-1].status_code == 429
        assert answers[-1].headers["retry-after"] == str(limits.TRIES_SECONDS)
        assert "Wait half an hour" in answers[-1].text
    assert said["anna"] == said["ghost"]


async def test_a_full_queue_is_said_plainly(
    store: Store, clock: ManualClock, here: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PASSWORDS_WAITING", -limits.PASSWORD_HASHES)
    answer = await here.client.post("/sign-in/password", data={"name": "a", "password": "b", "code": "c"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "Many people are signing in" in answer.text


# -- one's own account


async def test_a_new_password_signs_out_every_other_browser(here: Console) -> None:
    mine, lost = await here.sign_in("anna"), await here.sign_in("anna")
    assert (await mine.post("/account/password", password=PASSWORD)).status_code == 303
    assert (await lost.get("/account")).headers["location"].startswith("/sign-in")
    assert (await mine.get("/account")).status_code == 200


async def test_an_authenticator_and_a_password_from_the_account(
    store: Store, clock: ManualClock, here: Console
) -> None:
    anna = await here.sign_in("anna")
    assert (await anna.get("/account/authenticator")).headers["location"] == "/account"
    begun = await anna.post("/account/authenticator")
    assert begun.headers["location"] == "/account/authenticator"
    page = (await anna.get("/account/authenticator")).text
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in page
    secret = re.findall(r'<p class="id">([A-Z2-7 ]+)</p>', page)[0].replace(" ", "")
    app = pyotp.TOTP(secret)
    wrong = await anna.post("/account/authenticator/proof", code="000000")
    assert (wrong.status_code, "That is not the code" in wrong.text) == (422, True)
    proved = await anna.post("/account/authenticator/proof", code=app.at(clock.now()))
    assert proved.headers["location"] == "/account?notice=factor_added"
    weak = await anna.post("/account/password", password="password1234")
    assert (weak.status_code, "easy to guess" in weak.text) == (422, True)
    short = await anna.post("/account/password", password="short")
    assert f"{limits.PASSWORD_LEAST} characters or more" in short.text
    assert (await anna.post("/account/password", password=PASSWORD)).status_code == 303
    clock.advance(30)
    form = {"name": "anna", "password": PASSWORD, "code": app.at(clock.now())}
    assert (await here.client.post("/sign-in/password", data=form)).status_code == 303
    for path in ("/account/password/remove", "/account/authenticator/remove"):
        assert (await anna.post(path)).headers["location"] == "/account?notice=factor_removed"
    clock.advance(30)
    assert (await here.client.post("/sign-in/password", data=form)).status_code == 401


async def test_recovery_codes_are_shown_once(store: Store, clock: ManualClock, here: Console) -> None:
    anna = await here.sign_in("anna")
    page = (await anna.post("/account/recovery-codes")).text
    codes = re.findall(r"<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>", page)
    assert len(codes) == limits.RECOVERY_CODES
    account = (await anna.get("/account")).text
    assert "10 left" in account
    assert codes[0] not in account
    form = {"name": "anna", "password": "", "code": codes[0]}
    assert (await here.client.post("/sign-in/password", data=form)).status_code == 303
    assert "9 left" in (await anna.get("/account")).text


ENROLLING: list[tuple[str, dict[str, Any]]] = [
    ("/account/passkeys/question", {}),
    ("/account/passkeys", {"answer": "{}"}),
    ("/account/password", {"password": PASSWORD}),
    ("/account/authenticator", {}),
    ("/account/authenticator/proof", {"code": "1"}),
    ("/account/recovery-codes", {}),
    ("/account/provider", {}),
]
TAKING = ["/account/passkeys/remove", "/account/password/remove", "/account/authenticator/remove",
          "/account/provider/remove"]  # fmt: skip


@pytest.mark.parametrize("has_one", [True, False])
async def test_factors_are_changed_only_with_a_fresh_one(
    store: Store,
    clock: ManualClock,
    here: Console,
    has_one: bool,  # noqa: FBT001 - a table
) -> None:
    anna = await here.sign_in("anna")
    app = await _with_authenticator(store, clock, "anna") if has_one else None
    clock.advance(limits.CONFIRMED_SECONDS)
    forms: list[tuple[str, dict[str, Any]]] = [*ENROLLING, *((path, {}) for path in TAKING)]
    for path, form in forms:
        answer = await anna.post(path, **form)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/confirm?next="), path
    async with store.tx("test") as tx:
        has = await factors.of(tx, "anna")
    assert has == factors.Factors(authenticator=has_one)
    page = (await anna.get("/confirm?next=/account")).text
    if app is None:
        assert "Sign out, sign in again" in page
        return
    wrong = await anna.post("/confirm", code="000000", next="/account")
    assert (wrong.status_code, "That was not right" in wrong.text) == (401, True)
    right = await anna.post("/confirm", code=app.at(clock.now()), next="/account")
    assert right.headers["location"] == "/account"
    assert (await anna.post("/account/recovery-codes")).status_code == 200


async def test_confirming_with_a_passkey(store: Store, clock: ManualClock, here: Console) -> None:
    device, anna = Authenticator(HOME), await here.sign_in("anna")
    question = await anna.post("/account/passkeys/question")
    kept = {"cookie": f"{anna._headers['cookie']}; till_ceremony={_ceremony(question)}"}
    assert (await anna.post("/account/passkeys", kept, answer=device.enrol(question.text))).status_code == 303
    clock.advance(limits.CONFIRMED_SECONDS)
    assert (await anna.post("/account/recovery-codes")).headers["location"].startswith("/confirm")
    question = await anna.post("/confirm/question")
    kept = {"cookie": f"{anna._headers['cookie']}; till_ceremony={_ceremony(question)}"}
    wrong = await anna.post("/confirm", kept, answer="{}", next="/rules")
    assert (wrong.status_code, "does not open this door" in wrong.text) == (401, True)
    question = await anna.post("/confirm/question")
    kept = {"cookie": f"{anna._headers['cookie']}; till_ceremony={_ceremony(question)}"}
    right = await anna.post("/confirm", kept, answer=device.answer(question.text), next="/rules")
    assert right.headers["location"] == "/rules"
    assert (await anna.post("/account/recovery-codes")).status_code == 200


def _ceremony(answer: httpx.Response) -> str:
    return cookies_of(answer)["till_ceremony"].partition(";")[0]


async def test_sessions_are_listed_and_ended_by_their_owner_only(
    store: Store, clock: ManualClock, here: Console
) -> None:
    anna, phone, tablet = [await here.sign_in("anna") for _ in range(3)]
    bert = await here.sign_in("bert")
    page = (await anna.get("/account")).text
    assert page.count('name="id" value=') == 3  # the two others, and all others
    assert bert.session.id not in page
    await anna.post("/account/sessions/end", id=bert.session.id)
    assert (await bert.get("/account")).status_code == 200
    await anna.post("/account/sessions/end", id=phone.session.id)
    assert (await phone.get("/account")).status_code == 303
    await anna.post("/account/sessions/end", id="others")
    assert (await tablet.get("/account")).status_code == 303
    assert (await anna.get("/account")).status_code == 200


# -- the identity provider over HTTP


@pytest.fixture
async def company() -> AsyncIterator[IdentityProvider]:
    async with provider() as running:
        running.who = {"sub": "u-1", "email": "anna@till.test", "email_verified": True}
        yield running


@pytest.fixture
async def with_provider(store: Store, vault: Vault, company: IdentityProvider) -> AsyncIterator[Client]:
    clock = SystemClock()
    entrance = Entrance(store, clock, Drawer(), Provider(company.issuer, CLIENT, SECRET, clock))
    till = Till(store, None, clock, ZONE)
    application = create_console(store, clock, ZONE, till, vault, entrance, sites=Sites(HOME))
    transport = httpx.ASGITransport(cast("Any", application), raise_app_exceptions=False)
    async with Client(transport=transport, base_url=HOME) as client:
        yield client
    entrance.close()


async def _there_and_back(url: str) -> dict[str, str]:
    async with Client() as browser:
        answer = await browser.get(url)
    back = urlsplit(answer.headers["location"])
    assert back.geturl().startswith(f"{HOME}/sign-in/provider/back?")
    return dict(parse_qsl(back.query))


async def test_sign_in_at_the_provider_over_http(store: Store, with_provider: Client) -> None:
    async with store.tx("test") as tx:
        await somebody(tx, "anna@till.test", SystemClock(), ["support"])
    assert "Sign in at 127.0.0.1" in (await with_provider.get("/sign-in")).text
    left = await with_provider.get("/sign-in/provider", params={"next": "/held"})
    given = await _there_and_back(left.headers["location"])
    stranger = await with_provider.get(
        "/sign-in/provider/back", params=given, headers={"cookie": "till_ceremony=another"}
    )
    assert (stranger.status_code, "did not vouch" in stranger.text) == (502, True)
    back = await with_provider.get("/sign-in/provider/back", params=given)
    assert (back.status_code, back.headers["location"]) == (303, "/held")
    assert (await with_provider.get("/account")).status_code == 200
    again = await with_provider.get("/sign-in/provider/back", params=given)
    assert again.status_code == 502


async def test_a_stranger_of_the_provider_is_told_so(with_provider: Client) -> None:
    left = await with_provider.get("/sign-in/provider")
    back = await with_provider.get(
        "/sign-in/provider/back", params=await _there_and_back(left.headers["location"])
    )
    assert (back.status_code, "nobody here" in back.text) == (401, True)


async def test_connecting_an_account_leads_there_by_a_link(
    store: Store, with_provider: Client, company: IdentityProvider
) -> None:
    company.who = {"sub": "u-9"}
    await with_provider.post("/sign-in", data={"token": await link(store, SystemClock(), "bert")})
    csrf = re.findall(r'name="csrf" value="(\w+)"', (await with_provider.get("/account")).text)[0]
    page = (await with_provider.post("/account/provider", data={"csrf": csrf})).text
    url = re.findall(r'class="button main" href="([^"]+)"', page)[0].replace("&amp;", "&")
    back = await with_provider.get("/sign-in/provider/back", params=await _there_and_back(url))
    assert back.headers["location"] == "/account"
    assert company.issuer in (await with_provider.get("/account")).text
    with_provider.cookies.clear()
    left = await with_provider.get("/sign-in/provider")
    back = await with_provider.get(
        "/sign-in/provider/back", params=await _there_and_back(left.headers["location"])
    )
    assert back.status_code == 303


async def test_without_a_provider_there_is_no_way_to_it(here: Console) -> None:
    assert "/sign-in/provider" not in (await here.client.get("/sign-in")).text
    assert (await here.client.get("/sign-in/provider")).status_code == 502
    assert (await here.client.get("/sign-in/provider/back?code=x&state=y")).status_code == 502


async def test_guesses_at_the_door_keep_nobody_from_confirming(
    store: Store, clock: ManualClock, here: Console
) -> None:
    anna = await here.sign_in("anna")
    app = await _with_authenticator(store, clock, "anna")
    clock.advance(limits.CONFIRMED_SECONDS)
    for _ in range(limits.TRIES_OF_PERSON + 1):
        await here.client.post("/sign-in/password", data={"name": "anna", "password": "a guess", "code": "1"})
    answer = await anna.post("/confirm", code=app.at(clock.now()), next="/held")
    assert (answer.status_code, answer.headers.get("location")) == (303, "/held")


async def test_a_secret_that_waits_for_its_proof_is_shown_to_who_may_add_it(
    clock: ManualClock, here: Console
) -> None:
    anna = await here.sign_in("anna")
    await anna.post("/account/authenticator")
    assert "<svg" in (await anna.get("/account/authenticator")).text
    clock.advance(limits.CONFIRMED_SECONDS)
    answer = await anna.get("/account/authenticator")
    assert (answer.status_code, answer.headers["location"]) == (303, "/confirm?next=%2Faccount")


async def test_a_way_on_that_no_header_takes_costs_nobody_the_link(
    store: Store, clock: ManualClock, here: Console
) -> None:
    answer = await here.client.post(
        "/sign-in", data={"token": await link(store, clock), "next": "/\N{CJK UNIFIED IDEOGRAPH-5BA2}"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "till_session" in cookies_of(answer)

"""The console's door over HTTP: who comes in, which forms count, what every answer carries."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.people import Drawer, link_for
from tests.support.shop import HELD, ZONE, Shop, open_shop
from tillkeeper import access
from tillkeeper.access.entrance import Entrance
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.faces.console import create_console
from tillkeeper.faces.console.live import Audience
from tillkeeper.faces.console.pages.overview import _while_signed_in
from tillkeeper.faces.console.sites import Sites
from tillkeeper.payments import Till
from tillkeeper.store import Store, StoreUnavailableError
from tillkeeper.vault import Vault

Client = httpx.AsyncClient


@pytest.fixture
async def shop(store: Store, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as opened:
        yield opened


@pytest.fixture
async def stranger(store: Store, vault: Vault) -> AsyncIterator[Client]:
    till = Till(store, None, SystemClock(), ZONE)
    entrance = Entrance(store, SystemClock(), Drawer())
    sites = Sites("http://till.test")
    application = create_console(store, SystemClock(), ZONE, till, vault, entrance, sites=sites)
    transport = httpx.ASGITransport(cast("Any", application), raise_app_exceptions=False)
    async with Client(transport=transport, base_url="http://till.test") as client:
        yield client


@pytest.fixture
async def anna(store: Store, stranger: Client) -> Client:
    async with store.tx("test") as tx:
        token = await link_for(tx, "anna", SystemClock())
    answer = await stranger.post("/sign-in", data={"token": token, "next": "/"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return stranger


async def csrf(client: Client) -> str:
    page = (await client.get("/rules")).text
    return page.partition('name="csrf" value="')[2].partition('"')[0]


async def test_every_page_but_the_door_asks_to_sign_in(stranger: Client) -> None:
    for path in (
        "/",
        "/payments",
        "/held",
        "/customers",
        "/rules",
        "/books",
        f"/payments/{to_typeid('pay', uuid4())}",
    ):
        answer = await stranger.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/sign-in"), path
    assert (await stranger.post(f"/held/{to_typeid('pay', uuid4())}")).status_code == 401
    assert (await stranger.get("/live", headers={"accept": "text/event-stream"})).status_code == 401
    by_script = await stranger.get("/payments?q=x", headers={"hx-request": "true"})
    assert by_script.headers["hx-redirect"] == "/sign-in?next=%2Fpayments%3Fq%3Dx"
    stranger.cookies.set("till_session", "made-up")
    assert (await stranger.get("/")).status_code == 303
    assert (await stranger.get("/sign-in")).status_code == 200


async def test_opening_the_link_does_not_use_it_up(store: Store, stranger: Client) -> None:
    async with store.tx("test") as tx:
        token = await link_for(tx, "anna", SystemClock())
    for _ in range(2):
        assert (await stranger.get("/sign-in", params={"token": token})).status_code == 200
    assert (await stranger.post("/sign-in", data={"token": token})).status_code == 303
    assert (await stranger.post("/sign-in", data={"token": token})).status_code == 401


async def test_a_form_needs_our_token_and_our_site(store: Store, shop: Shop, anna: Client) -> None:
    payer, payee = await shop.customer("Ann"), await shop.merchant("Cafe")
    held = (await shop.pay(payer, payee, HELD))["id"]
    form = {"verdict": "release", "reason": "called"}
    assert (await anna.post(f"/held/{held}", data=form)).status_code == 403
    assert (await anna.post(f"/held/{held}", data=form | {"csrf": "x" * 52})).status_code == 403
    good = form | {"csrf": await csrf(anna)}
    elsewhere = await anna.post(f"/held/{held}", data=good, headers={"sec-fetch-site": "cross-site"})
    assert elsewhere.status_code == 403
    assert (await anna.post(f"/held/{held}", data=good | {"reason": " "})).status_code == 422
    assert (await anna.post(f"/held/{held}", data=good | {"reason": "x" * 201})).status_code == 422
    assert (await anna.post(f"/held/{held}", data=good | {"verdict": "maybe"})).status_code == 422
    assert (
        await anna.post(f"/held/{held}", data=good | {"reason": "card 4111 1111 1111 1111"})
    ).status_code == 422
    assert (await anna.post("/sign-out", data={})).status_code == 403
    async with store.tx("test") as tx:
        state = await tx.value(
            b"SELECT state FROM payments.payments WHERE id = %(id)s", {"id": from_typeid("pay", held)}
        )
    assert state == "in_review"
    assert (await anna.post(f"/held/{held}", data=good)).headers["location"] == "/held?notice=released"
    assert (await anna.post(f"/held/{held}", data=good)).status_code == 409


async def test_every_answer_carries_the_headers(anna: Client) -> None:
    for path in ("/", "/payments", "/nothing", "/sign-in", "/preferences?theme=dark"):
        headers = (await anna.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["content-type"] == "text/html; charset=utf-8", path
        assert "unsafe" not in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["cache-control"] == "no-store", path
        assert headers["referrer-policy"] == "same-origin", path


async def test_static_files_are_compressed_and_cached_under_their_digest(anna: Client) -> None:
    page = (await anna.get("/payments")).text
    address = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    answer = await anna.get(address)
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    plain = await anna.get(address, headers={"accept-encoding": "identity"})
    assert plain.content == answer.content
    assert (await anna.get("/static/0000000000000000/console.css")).status_code == 404


async def test_what_is_not_there_is_said_in_the_browsers_language(anna: Client) -> None:
    for path in (
        "/nothing",
        "/payments/pay_x",
        f"/payments/{to_typeid('pay', uuid4())}",
        "/rules/none",
        "/rules?version=99",
    ):
        answer = await anna.get(path, headers={"accept-language": "zh"})
        assert answer.status_code == 404, path
        assert "这里什么也没有" in answer.text, path
    wrong = await anna.post("/payments")
    assert wrong.status_code == 405
    assert "<h1>" in wrong.text


async def test_a_form_too_large_is_refused(anna: Client) -> None:
    answer = await anna.post("/sign-in", data={"token": "x" * 20_000})
    assert answer.status_code == 413
    assert "<h1>Too large</h1>" in answer.text


async def test_an_empty_till_has_words_for_it(anna: Client) -> None:
    for path, words in (
        ("/", "The till is quiet"),
        ("/payments", "No payments yet"),
        ("/held", "Nothing waits"),
        ("/customers", "No customers yet"),
        ("/merchants", "No merchants yet"),
        ("/rules", "No rule set yet"),
        ("/books", "No accounts"),
    ):
        answer = await anna.get(path)
        assert answer.status_code == 200, path
        assert words in answer.text, path


async def test_odd_addresses_are_answered_and_never_a_fault(shop: Shop, anna: Client) -> None:
    payer, payee = await shop.customer("Ann"), await shop.merchant("Cafe")
    await shop.pay(payer, payee)
    party = f"/customers/{to_typeid('cus', payer)}"
    odd = [
        "",
        "0",
        "-1",
        "9" * 30,
        "\x00",
        "%",
        "'",
        "pay_",
        "é" * 300,
        "null",
        "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    ]
    for value in odd:
        for path in (
            "/payments",
            "/customers",
            "/merchants",
            "/held",
            "/rules",
            party,
            "/sign-in",
            "/preferences",
        ):
            names = (
                "q",
                "before",
                "after",
                "version",
                "wallet",
                "state",
                "currency",
                "least",
                "since",
                "notice",
                "next",
                "back",
            )
            answer = await anna.get(path, params=dict.fromkeys(names, value))
            assert answer.status_code < 500, (path, value)
        assert (await anna.get(f"/payments/{quote(value)}x")).status_code == 404


async def test_webhooks_and_rails_stand_in_the_story(
    shop: Shop, anna: Client, admin: psycopg.AsyncConnection
) -> None:
    payer = await shop.customer("Ann")
    (payment,) = (
        await (await admin.execute("SELECT id FROM payments.payments WHERE kind = 'top_up'")).fetchone() or ()
    )
    await admin.execute(
        "WITH e AS (INSERT INTO payments.webhook_endpoints (id, url, topics, secret, created_at)"
        " VALUES (%(id)s, 'https://shop.example/hook', '{payment.*}', 's', now()) RETURNING id)"
        " INSERT INTO payments.webhook_deliveries (id, endpoint, outbox_id, topic, subject, payload, state, tries, due_at,"
        " last_answer, created_at) SELECT %(id)s, id, 7, 'payment.succeeded', %(payment)s, '{}', 'failed', 3, now(), '500', now() FROM e",
        {"id": uuid4(), "payment": payment},
    )
    page = (await anna.get(f"/payments/{to_typeid('pay', payment)}")).text
    assert "Webhook payment.succeeded to shop.example: given up" in page
    assert "Asked sandbox for the money: accepted" in page
    assert "Bank" in page
    assert to_typeid("cus", payer) in page


async def test_what_people_type_is_shown_as_text(anna: Client) -> None:
    page = (await anna.get("/payments", params={"q": '"><script>alert(1)</script>', "least": "<b>"})).text
    assert "<script>alert" not in page
    assert "<b>" not in page.partition('id="f-least"')[2].partition(">")[0]


async def test_no_answer_leads_to_another_site(anna: Client) -> None:
    for back in ("//evil.example", "https://evil.example", "/\\evil.example"):
        answer = await anna.get("/preferences", params={"theme": "dark", "back": back})
        assert answer.headers["location"] == "/", back
    answer = await anna.get("/preferences", params={"language": "xx", "back": "/rules"})
    assert answer.headers["location"] == "/rules"
    assert "till_language" not in answer.headers.get("set-cookie", "")


async def test_a_stream_ends_with_its_session(
    store: Store, shop: Shop, anna: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillkeeper.faces.console.pages.overview._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("tillkeeper.faces.console.live._PING_SECONDS", 0.01)
    desk = anna._transport.app.state["desk"]  # type: ignore[attr-defined]
    clock = SystemClock()
    async with store.tx("test") as tx:
        (session,) = await access.list_sessions(tx, clock)
    stream = _while_signed_in(desk, session, "overview.view", desk.live.watch(Audience("en")))
    assert b"retry" in await anext(stream)
    assert b"still here" in await anext(stream)
    async with store.tx("test") as tx:
        await access.end_session(tx, session.id, clock, actor="anna")
    rest = [part async for part in stream]
    assert rest[-1].startswith(b"event: ended")
    assert len(rest) <= 2


async def test_a_database_that_is_away_is_said_plainly(
    database: object, anna: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailableError("gone")

    desk = anna._transport.app.state["desk"]  # type: ignore[attr-defined]
    monkeypatch.setattr(type(desk.store), "tx", away)
    answer = await anna.get("/payments")
    assert answer.status_code == 503
    assert "cannot be reached" in answer.text


async def test_a_fault_of_ours_shows_a_reference_and_no_insides(
    anna: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret insides")

    monkeypatch.setattr("tillkeeper.faces.console.pages.rules.risks.rule_sets", broken)
    answer = await anna.get("/rules")
    assert answer.status_code == 500
    assert "secret insides" not in answer.text
    reference = answer.text.partition("<code>")[2].partition("<")[0]
    assert reference in caplog.text
    assert "secret insides" in caplog.text

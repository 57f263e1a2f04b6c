"""One console with a shop behind it, and one Chromium, for all browser tests."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.support.cases import furnish_cases
from tests.support.people import Drawer, link_for, signed_in
from tests.support.postgres import fresh_database
from tests.support.shop import ASKED, HELD, REFUSED, Shop, open_shop
from tests.support.surroundings import CHROMIUM
from tillkeeper import access
from tillkeeper.access.entrance import Entrance, Provider
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import from_typeid, new_id, to_typeid
from tillkeeper.faces.console import create_console
from tillkeeper.faces.console.desk import SESSION_COOKIE, Desk
from tillkeeper.monitoring import MEASURES, alerting
from tillkeeper.monitoring.alerting import Alert, Standing, read_book, rows
from tillkeeper.monitoring.alerting.types import labels_of
from tillkeeper.parties import Register
from tillkeeper.payments import REFUND, Till, refund_of
from tillkeeper.payments import payment as find_payment
from tillkeeper.store import Store
from tillkeeper.store.embedded import EmbeddedServer
from tillkeeper.vault import Vault

PHONE: Final = "+8615400001234"
ID_NUMBER: Final = "31019919900101123X"
ARGS: Final = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FOUR_EYES: Final = 150_000  # above the payments that a single person releases in these tests
SIGNED_IN_SECONDS: Final = 60  # much less than a second factor stays fresh, however long the other files take
expect.set_options(timeout=30_000)  # its own five seconds are too few for a busy machine


def daytime() -> str:
    """A zone where it is about noon: no day ends while the tests count what happened "today"."""
    return f"Etc/GMT{SystemClock().now().hour - 12:+d}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one loop: the console and the browser are shared. Skipped, with the reason, without Chromium."""
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium: install Debian's package chromium"))


@dataclass
class Place:
    """The running console, the shop behind it, and what was made in it."""

    url: str
    shop: Shop
    desk: Desk
    ids: dict[str, str] = field(default_factory=dict)
    _sessions: dict[str, tuple[float, Any]] = field(default_factory=dict)

    async def link(self, person: str = "anna") -> str:
        """A fresh sign-in link."""
        async with self.shop.store.tx("test link") as tx:
            token = await link_for(tx, person, self.shop.clock)
        return f"{self.url}/sign-in?token={token}"

    async def signed_in(self, person: str) -> Any:
        """What the browser of somebody keeps who has just signed in."""
        now = self.shop.clock.monotonic()
        since, kept = self._sessions.get(person, (-SIGNED_IN_SECONDS, None))
        if now - since >= SIGNED_IN_SECONDS:
            since, kept = self._sessions[person] = now, await self._new_session(person)
        return kept

    async def _new_session(self, person: str) -> Any:
        clock = self.shop.clock
        async with self.shop.store.tx("test session") as tx:
            opened = await access.open_session(tx, await link_for(tx, person, clock), clock)
        assert isinstance(opened, access.OpenedSession)
        host = urlsplit(self.url).hostname
        cookie = {"name": SESSION_COOKIE, "value": opened.cookie, "domain": host, "path": "/", "expires": -1}
        return {
            "cookies": [cookie | {"httpOnly": True, "secure": False, "sameSite": "Lax"}],
            "origins": [],
        }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(postgres: EmbeddedServer, template: str, tmp_path_factory: Any) -> AsyncIterator[Place]:
    async with (
        fresh_database(postgres, template) as database,
        Store.opened(database.app_url) as store,
        open_shop(store, tmp_path_factory.mktemp("shop")) as shop,
        served(store, shop.vault, register=Register(tmp_path_factory.mktemp("keys"))) as (url, desk),
    ):
        place = Place(url, shop, desk)
        await furnish(place)
        yield place


@asynccontextmanager
async def served(
    store: Store, vault: Vault, provider: Provider | None = None, register: Register | None = None
) -> AsyncIterator[tuple[str, Desk]]:
    """A console on a free port of this machine."""
    zone = daytime()
    till = Till(store, None, SystemClock(), zone)
    application = create_console(
        store,
        SystemClock(),
        zone,
        till,
        vault,
        Entrance(store, SystemClock(), Drawer(), provider),
        four_eyes_amount=FOUR_EYES,
        register=register,
    )
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(application, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[bound]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}", application.state["desk"]
        server.should_exit = True
        await serving
    await till.close()


async def furnish(place: Place) -> None:
    """People, shops, and payments of every kind of fate."""
    shop, ids = place.shop, place.ids
    ann, ben = await shop.customer("Ann Li"), await shop.customer("王芳", phone=PHONE, id_number=ID_NUMBER)
    cafe = await shop.merchant("Harbour Café")
    await shop.qr_code(cafe, 1_250)
    for n in range(30):
        await shop.pay(ann, cafe, 2_000 + n)
    ids["paid"] = (await shop.pay(ann, cafe, 10_000, reference="order-77", note="two coffees"))["id"]
    await shop.refund(ids["paid"], 4_000)
    ids["refused"] = (await shop.pay(ben, cafe, REFUSED))["id"]
    ids["asked"] = (await shop.pay(ben, cafe, ASKED))["id"]
    for name in ("held", "held_too", "held_without_script"):
        ids[name] = (await shop.pay(ben, cafe, HELD + 50))["id"]
    await ask_something(place)
    await raise_alarm(place)
    others = [ann, new_id(), new_id(), new_id()]  # customers of whom nobody asks here
    about = await furnish_cases(
        shop, ben, others, cafe, [uuid_of(ids[name]) for name in ("held", "held_too")]
    )
    ids |= {"case": about[0], "case_other": about[1]}
    ids |= {"ann": to_typeid("cus", ann), "ben": to_typeid("cus", ben), "cafe": to_typeid("mer", cafe)}


async def ask_something(place: Place) -> None:
    """Questions that wait for a second person, of every kind of asker, and one that was answered."""
    shop, clock = place.shop, place.shop.clock
    approvals = access.approvals
    async with shop.store.tx("test questions") as tx:
        paid = await find_payment(tx, uuid_of(place.ids["paid"]))
        assert paid is not None
        shop_key = access.Asker("key:shop", paid.id)
        await approvals.ask(tx, REFUND, refund_of(paid, 5_000, "broken cup"), shop_key, clock)
        await link_for(tx, "dora", clock, ["support"])
        gina = signed_in("gina", clock, ["support"])
        await access.grants.open_grant(tx, gina, "ticket", "T-17", "the payer called", 3, 900, clock)
        change = access.RoleChange("dora", ("support", "risk_analyst"), ("support",))
        asked = await approvals.ask(tx, access.ROLE_CHANGE, change, access.Asker("sam"), clock, "on duty")
        assert isinstance(asked, access.Approval)
        root = access.RootChange("file root.key", "split anna, ben")
        old = await approvals.ask(tx, access.ROOT_CHANGE, root, access.Asker("root"), clock)
        assert isinstance(old, access.Approval)
        await approvals.decide(
            tx,
            place.desk.deeds,
            old.id,
            old.digest,
            signed_in("sam", clock, ["security_admin"]),
            clock,
            give=False,
            comment="not before the audit",
        )


async def raise_alarm(place: Place) -> None:
    """Alerts of every state, one of which nothing is known, and a silence."""
    clock, book = place.shop.clock, read_book(None, MEASURES)
    fired = clock.now() - timedelta(minutes=7)
    told = {"disk_short": 5e8, "news_waiting": 200.0, "payments_success": 20.0, "bank_silent": 4000.0}
    async with place.shop.store.tx("test alerts") as tx:
        alerts = [
            Alert(new_id(), rule, labels_of(), "page", "firing", "bad", value, value / 2, fired, fired)
            for rule, value in told.items()
        ]
        over = msgspec.structs.replace(alerts[3], state="resolved", resolved_at=clock.now())
        unknown = Alert(
            new_id(), "backup_old", labels_of(), "ticket", "firing", "unknown", None, 1.0, fired, fired
        )
        await rows.keep_alerts(tx, [*alerts[:3], over, unknown])
        await rows.note_events(tx, [(each.id, "fired") for each in (*alerts, unknown)], fired)
        await alerting.acknowledge(tx, alerts[1].id, "anna", clock)
        await alerting.silence(tx, book, "disk_short", None, 3600, "a disk is on its way", "ben", clock)
        standing = Standing("disk_short", labels_of(), "bad", fired, clock.now(), 5e8, 2e9)
        await rows.keep_standings(tx, [standing], fired)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def cookies(place: Place) -> Any:
    """What a signed-in browser keeps."""
    return await place.signed_in("anna")


@dataclass
class Visit:
    """A signed-in browser, and what it saw on the way. `expected`: parts of the troubles that a test means to make."""

    place: Place
    context: BrowserContext
    page: Page
    troubles: list[str]
    requests: list[str]
    expected: list[str] = field(default_factory=list)

    async def go(self, path: str) -> Page:
        """Open a page of the console; it must answer well."""
        answer = await self.page.goto(self.place.url + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        return self.page

    async def cookie(self, name: str, value: str) -> None:
        """Set one cookie of the console."""
        await self.context.add_cookies([{"name": name, "value": value, "url": self.place.url}])


@asynccontextmanager
async def visiting(place: Place, chromium: Browser, cookies: Any, **options: Any) -> AsyncIterator[Visit]:
    """A browser of its own; at the end nothing may have gone wrong in it."""
    options = {"viewport": {"width": 1440, "height": 900}, "locale": "en-GB"} | options
    context = await chromium.new_context(storage_state=cookies, **options)
    page = await context.new_page()
    visit = Visit(place, context, page, [], [])
    page.on(
        "console",
        lambda said: visit.troubles.append(said.text) if said.type in {"error", "warning"} else None,
    )
    page.on("pageerror", lambda error: visit.troubles.append(str(error)))
    page.on("request", lambda request: visit.requests.append(request.url))
    yield visit
    await context.close()
    assert unexpected(visit.troubles, visit.expected) == []
    assert [url for url in visit.requests if not url.startswith(place.url)] == []


def unexpected(troubles: list[str], expected: list[str]) -> list[str]:
    """Troubles that nobody meant to make. They come when the browser likes: there is no moment to forget them at."""
    return [each for each in troubles if not any(part in each for part in expected)]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(place: Place, chromium: Browser, cookies: Any) -> AsyncIterator[Visit]:
    async with visiting(place, chromium, cookies) as opened:
        yield opened


def pages(ids: dict[str, str]) -> list[str]:
    """Every page there is."""
    return [
        "/",
        "/books",
        "/payments",
        "/payments?state=declined&least=1&since=2026-01-01",
        "/payments?q=nobody-has-this",
        "/payments?least=x",
        f"/payments/{ids['paid']}",
        f"/payments/{ids['asked']}",
        f"/payments/{ids['held_too']}",
        "/held",
        "/approvals",
        "/grants",
        "/customers",
        f"/customers/{ids['ben']}",
        "/merchants?q=harb",
        f"/merchants/{ids['cafe']}",
        "/models",
        "/signals",
        "/lists",
        "/logins",
        "/logins?span=month",
        f"/timeline/{ids['ben']}",
        "/risk",
        "/risk?span=day",
        "/risk/payments?of=lost",
        "/rules",
        "/rules/edit",
        "/rules/backtests",
        "/rules/very_large",
        "/monitoring",
        "/backups",
        "/plans",
        "/runs",
        "/cases",
        "/cases?show=closed",
        f"/cases/{ids['case']}",
        f"/cases/{ids['case_other']}",
        "/alerts",
        "/reports",
        "/audit",
        "/audit?person=nobody-has-this",
        "/audit?result=x",
        "/sign-in",
        "/account",
        "/confirm",
        "/staff",
        "/staff/anna",
    ]


async def state_of(place: Place, payment: str) -> str:
    """A payment's state in the database."""
    async with place.shop.store.tx("test state") as tx:
        found = await tx.value(
            b"SELECT state FROM payments.payments WHERE id = %(id)s", {"id": uuid_of(payment)}
        )
    return str(found)


def uuid_of(payment: str) -> UUID:
    """The id inside."""
    return from_typeid("pay", payment)


def number(text: str) -> int:
    """The first number of a text, without its groups."""
    found = re.search(r"\d[\d,]*", text)
    assert found is not None
    return int(found[0].replace(",", ""))

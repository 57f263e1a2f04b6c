"""The status page over a real database, one that goes away, and one that was never there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.settings import Settings
from tillkeeper.faces.status import Keeper, create_status
from tillkeeper.faces.status.seen import FILE, read_kept
from tillkeeper.monitoring import MEASURES
from tillkeeper.monitoring.alerting import COMPONENTS, Span, read_book, rows
from tillkeeper.monitoring.alerting.types import NO_LABELS, Alert
from tillkeeper.store import Store
from tillkeeper.store.opening import visited

BOOK = read_book(None, MEASURES)
NOWHERE = "postgresql://till_app@127.0.0.1:1/till"


class Place:
    """A status page in a home of the test's; `url` is where it looks for the database."""

    def __init__(self, home: Path, url: str | None, clock: ManualClock) -> None:
        self.home, self.url, self.clock = home, url, clock
        self.keeper = self.another()

    def another(self) -> Keeper:
        """A process of the page that starts now."""
        return Keeper(self.home, BOOK, lambda: self.url, self.clock)

    async def looks(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(limits.STATUS_SECONDS)
            with pytest.MonkeyPatch.context() as patience:  # a database that is not there is given up soon
                patience.setattr(limits, "STATUS_WAIT_SECONDS", 0.3 if self.url == NOWHERE else 60.0)
                await self.keeper.look()

    async def get(self, path: str, **headers: str) -> httpx.Response:
        application: Any = create_status(self.keeper, BOOK, self.clock, "Asia/Shanghai")
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://status.test") as client:
            return await client.get(path, headers=headers)

    async def said(self) -> Any:
        return (await self.get("/status.json")).json()


@pytest.fixture
async def place(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "home", database.app_url, clock)
    yield made
    await made.keeper._close()


@asynccontextmanager
async def well(store: Store, clock: ManualClock) -> AsyncIterator[None]:
    """All that the agent would have seen, but for one page about payments."""
    now = clock.now()
    async with store.tx("well") as tx:
        await rows.add_spans(
            tx, [Span(name, "works", now - timedelta(hours=1), now) for name in COMPONENTS[1:]]
        )
        await rows.add_spans(tx, [Span("payments", "down", now - timedelta(minutes=1), now)])
        begun = now - timedelta(minutes=1)
        await rows.keep_alerts(
            tx, [Alert(new_id(), "api_down", NO_LABELS, "page", "firing", "bad", 0.0, 1.0, begun, begun)]
        )
    yield


async def test_what_is_seen_is_said_to_everybody(place: Place, store: Store, clock: ManualClock) -> None:
    async with well(store, clock):
        await place.looks()
    said = await place.said()
    assert said["state"] == "down"
    assert {each["name"]: each["state"] for each in said["components"]} == {
        "payments": "down", "wallets": "works", "webhooks": "works", "console": "works", "database": "works",
    }  # fmt: skip
    assert [each["text"]["en"] for each in said["incidents"]] == [["Payments cannot be made."]]
    page = await place.get("/", **{"accept-language": "zh-TW,en"})
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "暂时无法支付。" in page.text
    assert "UTC+8" in page.text
    tokyo = await place.get("/?lang=en&zone=Asia/Tokyo")
    assert "Payments cannot be made." in tokyo.text
    assert "21:00 UTC+9" in tokyo.text or "20:59 UTC+9" in tokyo.text
    assert "<script" not in page.text + tokyo.text
    style = tokyo.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert (await place.get(style)).headers["content-type"] == "text/css; charset=utf-8"
    assert [(await place.get(path)).status_code for path in ("/static/0/status.css", "/nothing")] == [
        404,
        404,
    ]


async def test_a_database_that_goes_away_and_comes_back(
    place: Place, store: Store, clock: ManualClock, database: Database
) -> None:
    async with well(store, clock):
        await place.looks()
    before = clock.now()
    place.url = NOWHERE
    await place.keeper._close()
    await place.looks()
    assert (await place.said())["database_lost_since"] is None  # one look may have met a restart
    await place.looks(3)
    said = await place.said()
    assert said["database_lost_since"] is not None
    assert {each["name"]: (each["state"], each["last_known"]) for each in said["components"]} == {
        "payments": ("unknown", "down"), "wallets": ("unknown", "works"), "webhooks": ("unknown", "works"),
        "console": ("unknown", "works"), "database": ("down", None),
    }  # fmt: skip
    assert "Our database does not answer since" in (await place.get("/?lang=en")).text

    place.keeper = place.another()  # it starts while the database is away, and knows what was
    await place.looks()
    assert (await place.said())["database_lost_since"] == said["database_lost_since"]
    assert "last known: Down" in (await place.get("/?lang=en")).text

    place.url = database.app_url
    await place.looks()
    back = await place.said()
    assert back["database_lost_since"] is None
    assert [(each["component"], each["ended_at"] is None) for each in back["incidents"]] == [
        ("payments", True), ("database", False),
    ]  # fmt: skip
    async with store.tx("spans") as tx:
        (outage,) = [each for each in await rows.spans_since(tx, before) if each.seen_by == "status"]
    assert (outage.component, outage.state) == ("database", "down")
    assert (outage.seen_at - outage.begun_at).total_seconds() == 4 * limits.STATUS_SECONDS


async def test_a_page_that_starts_without_a_database_and_without_a_file(
    clock: ManualClock, tmp_path: Path
) -> None:
    place = Place(tmp_path / "home", None, clock)
    await place.looks()
    said = await place.said()
    assert (said["state"], said["seen_at"]) == ("down", None)
    assert "Nothing was seen before" in (await place.get("/?lang=en")).text
    (place.home / FILE).write_text("{ half a fi")
    assert read_kept(place.home).seen is None
    assert place.another().seen is None


async def test_what_cannot_be_read_for_another_reason_is_not_called_an_outage(
    place: Place, store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    async with well(store, clock):
        await place.looks()
    await admin.execute("REVOKE SELECT ON monitoring.component_states FROM till_app")
    await place.looks(3)
    assert (await place.said())["database_lost_since"] is None
    place.clock.advance(limits.ALERT_STALE_SECONDS)
    said = await place.said()
    assert said["measured"] is False
    assert {each["state"] for each in said["components"]} == {"unknown"}


def test_a_visitor_starts_no_embedded_server(tmp_path: Path) -> None:
    assert visited(Settings(home=tmp_path / "home")) is None
    assert not (tmp_path / "home" / "postgres").exists()
    assert visited(Settings(database_url="postgresql://till_app@/x?host=/run")) is not None

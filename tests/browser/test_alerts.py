"""Alerts in the console, and the status page, as somebody sees them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from playwright.async_api import Browser, ConsoleMessage, expect

from tests.browser.conftest import Visit
from tests.browser.test_quality import _POOR, _UNNAMED
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.faces.status import Keeper, create_status
from tillkeeper.faces.status.seen import Kept, Seen, keep
from tillkeeper.monitoring import MEASURES
from tillkeeper.monitoring.alerting import COMPONENTS, Alert, Span, read_book
from tillkeeper.monitoring.alerting.types import NO_LABELS

BOOK = read_book(None, MEASURES)


async def test_alerts_are_looked_after_and_silenced_with_an_end(visit: Visit) -> None:
    page = await visit.go("/alerts")
    card = page.get_by_role("article", name="Payments succeed")
    await expect(card.get_by_text("20×")).to_be_visible()
    await card.get_by_role("button", name="I look after it").click()
    await expect(page.get_by_role("status")).to_have_text(
        "You look after it: nobody is reminded of it any more."
    )
    await expect(card.get_by_text("anna").first).to_be_visible()
    await card.locator("summary").last.click()
    await card.get_by_label("Why nobody need be told").fill("known since noon")
    await card.get_by_role("button", name="Silence").click()
    await expect(page.get_by_role("row", name="payments_success")).to_contain_text("known since noon")
    await page.get_by_role("button", name="End it: payments_success").click()
    await expect(page.get_by_role("status")).to_have_text("The silence is over.")
    await expect(page.get_by_role("article", name="The last backup")).to_contain_text("nothing is known")


@asynccontextmanager
async def shown(home: Path, kept: Kept) -> AsyncIterator[str]:
    """The status page over what was kept, at the moment of that; its database does not run."""
    assert kept.seen is not None
    keep(home, kept)
    clock = ManualClock(kept.seen.at)
    keeper = Keeper(home, BOOK, lambda: None, clock)
    application: Any = create_status(keeper, BOOK, clock, "Asia/Shanghai")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(application, log_config=None, access_log=False, lifespan="off")
        )
        serving = asyncio.ensure_future(server.serve(sockets=[bound]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        await serving


def troubled() -> Seen:
    """Payments are limited, one part was down a week ago."""
    now = SystemClock().now()
    spans = [Span(name, "works", now - timedelta(days=40), now) for name in COMPONENTS[1:]]
    spans.append(Span("payments", "degraded", now - timedelta(minutes=5), now))
    spans.append(Span("webhooks", "down", now - timedelta(days=7), now - timedelta(days=6, hours=23)))
    fired = now - timedelta(minutes=5)
    late = Alert(new_id(), "turns_queueing", NO_LABELS, "page", "firing", "bad", 3000.0, 2000.0, fired, fired)
    over = Alert(
        new_id(), "bank_silent", NO_LABELS, "page", "resolved", "bad", 1.0, 1.0, fired, resolved_at=now
    )
    return Seen(now, now, (late,), (over,), tuple(spans))


def _note(troubles: list[str], message: ConsoleMessage) -> None:
    troubles.append(message.text)


async def test_the_status_page_can_be_read_by_everybody(chromium: Browser, tmp_path: Path) -> None:
    seen = troubled()
    cases = {
        "troubled": Kept(seen),
        "lost": Kept(seen, seen.at, seen.at),
    }
    said = {
        "troubled": ("Some things work only in a limited way.", "部分功能受限。"),
        "lost": ("Something is down.", "有功能中断。"),
    }
    for case, kept in cases.items():
        async with shown(tmp_path / case, kept) as url:
            for theme, locale, width in (("light", "en-GB", 1440), ("dark", "zh-CN", 360)):
                context = await chromium.new_context(
                    color_scheme=theme,  # type: ignore[arg-type]
                    locale=locale,
                    viewport={"width": width, "height": 800},
                    bypass_csp=True,
                )
                page = await context.new_page()
                troubles: list[str] = []
                page.on("console", partial(_note, troubles))
                await page.goto(url)
                await expect(page.get_by_role("heading", level=1)).to_have_text(said[case][locale == "zh-CN"])
                assert await page.evaluate(_POOR) == [], (case, theme)
                assert await page.evaluate(_UNNAMED) == []
                assert await page.evaluate("document.documentElement.scrollWidth") <= width
                assert troubles == []
                await context.close()

"""The audit trail in the browser: searched as it is typed, with its seal, exported, reached from what it is about."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import Place, Visit
from tillkeeper import audit
from tillkeeper.base.clock import SystemClock


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sealed(place: Place, tmp_path_factory: object) -> AsyncIterator[Place]:
    """Events of several people, all of them sealed."""
    folder: Path = tmp_path_factory.mktemp("audit") / "keys"  # type: ignore[attr-defined]
    sealer = audit.Sealer(place.shop.store, folder, audit.anchors_of(folder, []), SystemClock())
    async with place.shop.store.tx("test") as tx:
        for who, act, subject, reason, result in (
            ("berta", "customer.frozen", place.ids["ben"], "asked by phone", "done"),
            (
                "key:shop",
                "policy.refused",
                "key_01kx7m4v9zf1zvjm3zc4c1q5j0",
                "payment.refund: POST /v1/payments",
                "refused",
            ),
            ("berta", "payment.released", place.ids["paid"], "known habit of this customer", "done"),
            ("system", "rules.activated", "rules", "version 3, sha256 0f3a77c1d2e4b5a6", "done"),
        ):
            await audit.append(tx, who, act, subject, reason, "203.0.113.7", result)  # type: ignore[arg-type]
    while await sealer.beat():
        pass
    sealer.tend()
    await sealer.settled()
    yield place
    await sealer.stop()


async def test_search_as_it_is_typed_and_one_event(sealed: Place, visit: Visit) -> None:
    page = await visit.go("/audit")
    await page.get_by_label("Who", exact=True).fill("berta")
    rows = page.locator("#results tbody tr")
    await expect(rows).to_have_count(2)
    await expect(page).to_have_url(re.compile("person=berta"))
    await expect(rows.nth(0).locator(".chip")).to_have_text(["done"])
    await page.get_by_label("What", exact=True).select_option("customer.frozen")
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile("action=customer.frozen"))
    await rows.nth(0).locator("a").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Customer frozen")
    await expect(page.locator("main")).to_contain_text("till audit prove evt_")


async def test_a_payments_history_is_one_press_away(sealed: Place, visit: Visit) -> None:
    page = await visit.go(f"/payments/{sealed.ids['paid']}")
    await page.get_by_role("link", name="In the audit trail").click()
    await expect(page.locator("#results")).to_contain_text("Held payment released")
    assert sealed.ids["paid"] in page.url


async def test_an_export_is_a_file(sealed: Place, visit: Visit, tmp_path: Path) -> None:
    page = await visit.go("/audit?person=berta")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    file = await download.value
    await file.save_as(tmp_path / "trail.csv")
    lines = (tmp_path / "trail.csv").read_text("utf-8-sig").splitlines()
    assert lines[0].startswith("id,at,actor")
    assert len(lines) == 3

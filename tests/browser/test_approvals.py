"""Four eyes in a real browser: one person asks, another gives; who asked cannot, and who saw something else does not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import FOUR_EYES, Place, Visit, state_of, visiting
from tillkeeper import audit
from tillkeeper.base.ids import from_typeid


async def hold_large(place: Place) -> str:
    """A held payment that one person cannot release alone."""
    ben, cafe = from_typeid("cus", place.ids["ben"]), from_typeid("mer", place.ids["cafe"])
    return str((await place.shop.pay(ben, cafe, FOUR_EYES + 50_000))["id"])


@asynccontextmanager
async def colleague(place: Place, chromium: Browser, person: str) -> AsyncIterator[Visit]:
    """Somebody else, in a browser of their own."""
    async with visiting(place, chromium, None) as visit:
        await visit.page.goto(await place.link(person))
        await visit.page.get_by_role("button", name="Sign in").first.click()
        await visit.page.wait_for_url(f"{place.url}/")
        yield visit


async def ask_for(visit: Visit, payment: str) -> Page:
    page = await visit.go("/held")
    form = page.locator(f"form[action='/held/{payment}']")
    await form.get_by_label("Reason").fill("Payer called and confirmed")
    await form.get_by_role("button", name="Ask for release").click()
    await expect(page.get_by_role("status")).to_contain_text("A second person was asked")
    return page


async def test_a_large_payment_is_released_by_two(visit: Visit, chromium: Browser) -> None:
    place, payment = visit.place, await hold_large(visit.place)
    page = await ask_for(visit, payment)
    assert await state_of(place, payment) == "in_review"
    await visit.go("/approvals")
    mine = page.locator("article", has_text=payment)
    await expect(mine).to_contain_text("You asked for this: somebody else decides.")
    await expect(mine.get_by_role("button", name="Give")).to_have_count(0)
    async with colleague(place, chromium, "bob") as second:
        await second.go("/held")
        form = second.page.locator(f"form[action='/held/{payment}']")
        await expect(form).to_contain_text("anna asked for its release")
        await expect(form.get_by_role("button", name="Ask for release")).to_have_count(0)
        await form.get_by_role("link", name="Four eyes").click()
        card = second.page.locator("article", has_text=payment)
        await expect(card).to_contain_text("CN¥2,000.00")
        await expect(card).to_contain_text("Payer called and confirmed")
        await card.get_by_label("Comment").fill("seen the story")
        await card.get_by_role("button", name="Give").click()
        await expect(second.page.get_by_role("status")).to_have_text("Given, and done.")
        row = second.page.get_by_role("region", name="Decided").get_by_role("row").nth(1)
        await expect(row).to_contain_text("bob seen the story")
        await expect(row).to_contain_text("done")
    assert await state_of(place, payment) == "succeeded"
    await visit.go(f"/payments/{payment}")
    await expect(page.locator(".story")).to_contain_text("by anna, bob")
    async with place.shop.store.tx("test audit") as tx:
        (event,) = await audit.of(tx, payment)
    assert (event.actor, event.action) == ("bob", "payment.released")


async def test_what_was_decided_meanwhile_is_said(visit: Visit, chromium: Browser) -> None:
    place, payment = visit.place, await hold_large(visit.place)
    page = await ask_for(visit, payment)
    async with colleague(place, chromium, "bob") as second:
        second.expected.append("409")
        await second.go("/approvals")
        await visit.go(f"/payments/{payment}")
        form = page.locator(f"form[action='/held/{payment}']")
        await form.get_by_label("Reason").fill("Payer says it was not them")
        await form.get_by_role("button", name="Refuse").click()
        await expect(page.get_by_role("status")).to_contain_text("refused")
        card = second.page.locator("article", has_text=payment)
        await card.get_by_role("button", name="Give").click()
        await expect(second.page.get_by_role("heading", level=1)).to_have_text("That was not done")
        await expect(second.page.locator("main")).to_contain_text("has changed since")
    assert await state_of(place, payment) == "declined"


async def test_who_asked_takes_it_back_and_a_colleague_asks_anew(visit: Visit, chromium: Browser) -> None:
    place, payment = visit.place, await hold_large(visit.place)
    page = await ask_for(visit, payment)
    await visit.go("/approvals")
    await page.locator("article", has_text=payment).get_by_role("button", name="Take it back").click()
    await expect(page.get_by_role("status")).to_have_text("Taken back.")
    async with colleague(place, chromium, "bob") as second:
        await ask_for(second, payment)
    await visit.go("/approvals")
    card = page.locator("article", has_text=payment)
    await card.get_by_role("button", name="Refuse").click()
    await expect(page.get_by_role("status")).to_have_text("Refused.")
    assert await state_of(place, payment) == "in_review"
    await visit.go("/held")
    form = page.locator(f"form[action='/held/{payment}']")
    await form.get_by_label("Reason").fill("Payer says it was not them")
    await form.get_by_role("button", name="Refuse").click()
    await expect(page.get_by_role("status")).to_contain_text("refused")
    assert await state_of(place, payment) == "declined"


async def test_the_sidebar_says_what_waits_and_hides_what_one_may_not(
    place: Place, chromium: Browser, cookies: Any
) -> None:
    async with visiting(place, chromium, cookies) as visit:
        page = await visit.go("/rules")
        link = page.get_by_role("navigation", name="Sections").get_by_role("link", name="Four eyes")
        await expect(link.locator(".count")).to_contain_text("2")

"""The console's main paths, in a real browser."""

import asyncio
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Place, Visit, number, state_of, visiting
from tests.support.shop import FINE, REFUSED
from tillkeeper import audit
from tillkeeper.base.ids import from_typeid


async def test_a_link_signs_in_once(place: Place, chromium: Browser) -> None:
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(place.url + "/payments?state=declined")
    await expect(page).to_have_url(f"{place.url}/sign-in?next=%2Fpayments%3Fstate%3Ddeclined")
    link = await place.link()
    await page.goto(link + "&next=/held")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(place.url + "/held")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("status")).to_have_text("You are signed out.")
    await page.goto(place.url + "/")
    await expect(page).to_have_url(place.url + "/sign-in")
    await page.goto(link)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("used up or expired")
    await context.close()


async def ticked(page: Page) -> None:
    """Until the live parts were drawn and sent again: their clock shows another second."""
    clock = page.locator("[data-live=clock]")
    await expect(clock).not_to_have_text(await clock.inner_text())


async def watchers(visit: Visit, count: int) -> None:
    """Until so many browsers watch: the console hears of a page's going a little later."""
    async with asyncio.timeout(60):
        while visit.place.desk.live.watchers != count:  # noqa: ASYNC110 - polled: the page has no hook for its going
            await asyncio.sleep(0.05)


async def test_the_overview_moves_by_itself(visit: Visit) -> None:
    page, shop = await visit.go("/"), visit.place.shop
    await expect(page.locator("html.streaming")).to_have_count(1)
    today = page.get_by_role("link", name="today")
    before = number(await today.inner_text())
    ann, cafe = from_typeid("cus", visit.place.ids["ann"]), from_typeid("mer", visit.place.ids["cafe"])
    for n in range(5):
        await shop.pay(ann, cafe, FINE + n)
    await shop.pay(ann, cafe, REFUSED)
    await expect(today).to_have_text(f"{before + 6} today")
    row = page.get_by_role("region", name="Last refusals").get_by_role("row").nth(1)
    await expect(row).to_contain_text("A. ***")
    await expect(row).to_contain_text("refused by a risk rule")
    await watchers(visit, 1)
    await page.get_by_role("button", name="Pause").click()
    await shop.pay(ann, cafe)
    await asyncio.sleep(1.5)  # a tick and a half in which nothing may come
    await expect(today).to_have_text(f"{before + 6} today")
    await page.get_by_role("button", name="Go on").click()
    await expect(today).to_have_text(f"{before + 7} today")
    await visit.go("/rules")
    await watchers(visit, 0)


async def test_figures_that_stop_coming_are_shown_as_old(visit: Visit) -> None:
    visit.expected.append("ERR_INTERNET_DISCONNECTED")
    page = await visit.go("/")
    await expect(page.locator("html.streaming")).to_have_count(1)
    await visit.context.set_offline(True)
    await page.evaluate("document.querySelector('[data-pause]').click()")
    await page.evaluate("document.querySelector('[data-pause]').click()")
    await expect(page.locator("html.stale")).to_have_count(1)


async def test_a_part_with_the_focus_keeps_still(visit: Visit) -> None:
    page, shop = await visit.go("/"), visit.place.shop
    link = page.get_by_role("link", name="today")
    await link.focus()
    ann, cafe = from_typeid("cus", visit.place.ids["ann"]), from_typeid("mer", visit.place.ids["cafe"])
    await shop.pay(ann, cafe)
    for _ in range(2):
        await ticked(page)
    await expect(link).to_be_focused()


async def test_search_answers_while_one_types(visit: Visit) -> None:
    page = await visit.go("/payments")
    search = page.get_by_role("searchbox")
    async with page.expect_event("requestfinished", lambda request: "q=order-77" in request.url):
        await search.press_sequentially("order-77", delay=20)
    await expect(page.locator("#results tbody tr")).to_have_count(1)
    await expect(page.locator("#results")).to_contain_text("CN¥100.00")
    await expect(page).to_have_url(
        f"{visit.place.url}/payments?q=order-77&kind=&state=&risk=&currency=&least=&most=&since=&until="
    )
    await search.fill("harb")
    await expect(page.locator(".people").get_by_role("link")).to_have_text(["Harbour Café"])
    await search.fill(visit.place.ids["refused"])  # an id needs no button: it leads to its page
    await expect(page).to_have_url(f"{visit.place.url}/payments/{visit.place.ids['refused']}")
    await page.goto(f"{visit.place.url}/payments?q={visit.place.ids['paid']}")
    await expect(page).to_have_url(f"{visit.place.url}/payments/{visit.place.ids['paid']}")


async def test_filters_and_pages(visit: Visit) -> None:
    page = await visit.go("/payments")
    await expect(page.locator("#results tbody tr")).to_have_count(25)
    await page.get_by_role("link", name="Older").click()
    await expect(page.get_by_role("link", name="Newest")).to_be_visible()
    await page.wait_for_load_state()  # with its scripts
    await page.get_by_text("Filters").click()
    async with page.expect_response(lambda answer: "state=in_review" in answer.url):
        await page.get_by_label("State").select_option("in_review")
    rows = page.locator("#results tbody tr")
    await expect(rows.filter(has_not_text="in review")).to_have_count(0)
    await expect(rows.first).to_be_visible()


async def test_a_payment_tells_its_story(visit: Visit) -> None:
    page = await visit.go(f"/payments/{visit.place.ids['paid']}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("CN¥100.00")
    story = page.locator(".story li")
    await expect(story.nth(3)).to_be_visible()  # what colleagues asked for in other tests may follow
    await expect(story.nth(0)).to_contain_text("two coffees")
    await expect(story.nth(2)).to_contain_text("Paid")
    await expect(story.nth(3)).to_contain_text("Partly refunded")
    await expect(story.nth(3)).to_contain_text("broken")
    legs = page.get_by_role("region", name="Transfers").get_by_role("row")
    await expect(legs).to_have_count(5)  # head, payment, fee, refund, fee returned
    facts = page.get_by_role("region", name="Where the money is")
    await expect(facts).to_contain_text("With the payeeCN¥59.40")
    await expect(facts).to_contain_text("Fee of the platformCN¥0.60")
    await expect(facts).to_contain_text("Back with the payerCN¥40.00")
    await page.get_by_text("The values it was decided on").click()
    await expect(page.get_by_role("row", name="this amount")).to_contain_text("CN¥100.00")
    await expect(page.get_by_text("the same answer")).to_be_visible()


async def test_a_refusal_gives_its_reason_in_words(visit: Visit) -> None:
    page = await visit.go(f"/payments/{visit.place.ids['refused']}")
    await expect(page.locator(".lead")).to_contain_text("refused by a risk rule")
    await expect(page.locator(".reasons")).to_contain_text("an unlucky CN¥66.60")
    await page.get_by_role("link", name="unlucky").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("unlucky")
    await expect(page.locator(f"a[href='/payments/{visit.place.ids['refused']}']").first).to_be_visible()


async def test_a_person_releases_a_held_payment(visit: Visit) -> None:
    place, payment = visit.place, visit.place.ids["held"]
    page = await visit.go("/held")
    form = page.locator(f"form[action='/held/{payment}']")
    await form.get_by_role("button", name="Release").click()
    assert await state_of(place, payment) == "in_review"  # the browser asks for the reason first
    await form.get_by_label("Reason").fill("Payer called and confirmed")
    await form.get_by_role("button", name="Release").click()
    await expect(page.get_by_role("status")).to_have_text("The payment was released.")
    assert await state_of(place, payment) == "succeeded"
    async with place.shop.store.tx("test audit") as tx:
        (event,) = await audit.of(tx, payment)
    assert (event.actor, event.action, event.reason) == (
        "anna",
        "payment.released",
        "Payer called and confirmed",
    )
    await visit.go(f"/payments/{payment}")
    await expect(page.locator(".story li", has_text="Payer called and confirmed")).to_have_count(1)
    await expect(page.locator(".story")).to_contain_text("by anna")


async def test_a_verdict_too_late_changes_nothing_and_says_so(visit: Visit) -> None:
    place, payment = visit.place, visit.place.ids["held_too"]
    page = await visit.go(f"/payments/{payment}")
    other = await visit.context.new_page()
    await other.goto(f"{place.url}/payments/{payment}")
    for tab in (page, other):
        await tab.get_by_label("Reason").fill("Payer says it was not them")
    await page.get_by_role("button", name="Refuse").click()
    await expect(page.get_by_role("status")).to_contain_text("refused")
    await other.get_by_role("button", name="Release").click()
    await expect(other.get_by_role("heading", level=1)).to_have_text("That was not done")
    assert await state_of(place, payment) == "declined"
    async with place.shop.store.tx("test audit") as tx:
        assert len(await audit.of(tx, payment)) == 1


async def test_the_language_is_switched_and_kept(visit: Visit) -> None:
    page = await visit.go("/payments?state=declined")
    await page.get_by_role("link", name="中文").click()
    await expect(page).to_have_url(visit.place.url + "/payments?state=declined")
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    await expect(page.get_by_role("heading", level=1)).to_have_text("支付单")
    await expect(page.locator("#results .chip").first).to_have_text("已拒绝")
    await visit.go(f"/payments/{visit.place.ids['refused']}")
    await expect(page.locator(".reasons")).to_contain_text("不吉利的 ¥66.60")
    await visit.go("/")
    await page.locator("[data-live=figures]").evaluate("part => part.replaceChildren()")
    ann, cafe = from_typeid("cus", visit.place.ids["ann"]), from_typeid("mer", visit.place.ids["cafe"])
    await visit.place.shop.pay(ann, cafe)
    # What was taken out comes again with the stream, which speaks it too.
    await expect(page.locator("[data-live=figures]")).to_contain_text("每秒支付笔数")


async def test_the_theme_is_switched_and_kept(visit: Visit) -> None:
    page = await visit.go("/payments")
    background = "getComputedStyle(document.querySelector('.card')).backgroundColor"
    assert await page.evaluate(background) == "rgb(255, 255, 255)"
    await page.get_by_role("link", name="Dark").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.wait_for_load_state()  # the click's page is there, its sheet too
    dark = await page.evaluate(background)
    assert dark != "rgb(255, 255, 255)"
    await visit.go("/rules")
    assert await page.evaluate(background) == dark


async def test_without_script_everything_still_works(place: Place, chromium: Browser, cookies: Any) -> None:
    payment = place.ids["held_without_script"]
    async with visiting(place, chromium, cookies, java_script_enabled=False) as visit:
        page = await visit.go("/")
        await expect(page.get_by_text("Payments per second", exact=True)).to_be_visible()
        await expect(page.get_by_role("button", name="Pause")).to_be_hidden()
        await visit.go("/payments")
        await page.get_by_role("searchbox").fill("order-77")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("#results tbody tr")).to_have_count(1)
        await page.locator("#results tbody a").first.click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("CN¥100.00")
        await visit.go("/held")
        form = page.locator(f"form[action='/held/{payment}']")
        await form.get_by_label("Reason").fill("Known habit")
        await form.get_by_role("button", name="Refuse").click()
        await expect(page.get_by_role("status")).to_contain_text("refused")
        assert await state_of(place, payment) == "declined"
        await page.set_viewport_size({"width": 360, "height": 700})
        await expect(page.get_by_role("link", name="Rules")).to_be_hidden()
        await page.get_by_text("Menu", exact=True).click()
        await page.get_by_role("link", name="Rules").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Rules")

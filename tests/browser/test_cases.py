"""Cases in a real browser: worked with the keyboard, without scripts; the picture says what the list says."""

import re

from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Place, Visit, visiting


async def reach(page: Page, name: str) -> None:
    """Go on with the tabulator until the element of this name has the focus."""
    for _ in range(200):
        await page.keyboard.press("Tab")
        text = await page.evaluate(
            "(document.activeElement.innerText || document.activeElement.value || '').trim()"
        )
        if text == name:
            return
    raise AssertionError(f"no way to {name} with the keyboard")


async def test_a_case_is_claimed_and_decided_with_the_keyboard(place: Place, visit: Visit) -> None:
    page = await visit.go(f"/cases/{place.ids['case_other']}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Case:")
    await reach(page, "Claim it")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text(re.compile("The case is yours"))
    await expect(page.get_by_role("status")).to_be_focused()  # the page's script takes the focus no more
    await expect(page.locator(".headline")).to_contain_text("Overdue by")
    await page.get_by_role("radio", name=re.compile("^Unclear")).focus()
    await page.keyboard.press("Space")
    await page.get_by_label("Reason, in a sentence").fill("nobody can be reached")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text(re.compile("Decided"))
    await expect(page.locator("main")).to_contain_text("anna decided: Unclear.")
    await page.goto(f"{place.url}/cases?show=closed")
    await expect(page.locator("main table").first).to_contain_text("Unclear")


async def test_the_picture_is_named_and_stands_as_a_list_too(
    place: Place, chromium: Browser, cookies: object
) -> None:
    async with visiting(place, chromium, cookies, java_script_enabled=False) as visit:
        page = await visit.go(f"/cases/{place.ids['case']}")
        picture = page.get_by_role("img", name="Neighbours")
        drawn = await picture.locator("text").all_text_contents()
        assert len(drawn) > 4
        await page.get_by_text("The same as a list").click()
        listed = await page.locator("#h-near ~ details table").inner_text()
        assert all(each.strip("…") in listed for each in drawn), drawn


async def test_a_wide_picture_scrolls_in_its_own_box(
    place: Place, chromium: Browser, cookies: object
) -> None:
    async with visiting(place, chromium, cookies, viewport={"width": 360, "height": 780}) as visit:
        page = await visit.go(f"/cases/{place.ids['case']}")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert await page.evaluate("(e => e.scrollWidth > e.clientWidth)(document.querySelector('.drawing'))")


_PRESSED_TWICE = """button => { let sent = 0;
  addEventListener("submit", event => { if (!event.defaultPrevented) sent += 1; });
  button.click(); button.click();
  return sent; }"""


async def test_a_form_is_sent_once_and_what_was_done_has_the_focus(place: Place, visit: Visit) -> None:
    page = await visit.go(f"/cases/{place.ids['case']}")
    button = page.get_by_role("button", name=re.compile("^(Claim it|Give it back)$"))
    assert await button.evaluate(_PRESSED_TWICE) == 1
    await expect(page.get_by_role("status")).to_be_focused()
    await expect(page).not_to_have_url(re.compile("notice"))  # the next load does not say it again

"""A customer in the browser: masked everywhere, revealed once for a purpose, on record for everybody; found without a trace."""

from typing import Any

from playwright.async_api import Browser, expect

from tests.browser.conftest import ID_NUMBER, PHONE, Place, Visit, visiting
from tests.support.shop import HELD
from tillkeeper.base.ids import from_typeid, to_typeid

NAME = "王芳"
SHOWN = (NAME, PHONE, PHONE.removeprefix("+86"), ID_NUMBER)


async def test_a_look_asks_for_a_purpose_shows_once_and_is_on_record(visit: Visit, place: Place) -> None:
    page = await visit.go(f"/customers/{place.ids['ben']}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("王**")
    data = page.get_by_role("region", name="Personal data", exact=True)
    await expect(data).to_contain_text("154****1234")
    await expect(data).to_contain_text("3***X")
    content = await page.content()
    assert not any(text in content for text in SHOWN)

    await page.get_by_role("button", name="Look at: Phone").click()
    dialog = page.get_by_role("dialog", name="Look at: Phone")
    await expect(dialog.get_by_label("Purpose")).to_be_focused()
    await dialog.get_by_role("button", name="Show once").click()
    await expect(dialog.get_by_label("Number")).to_be_focused()  # the browser asks for what is missing
    await dialog.get_by_label("Purpose").select_option("case")
    await dialog.get_by_label("Number").fill("C-12")
    await dialog.get_by_label("Why").fill("calls back")
    await dialog.get_by_role("button", name="Show once").click()
    await expect(page.get_by_text(PHONE, exact=True)).to_be_visible()
    await expect(page.get_by_text("Shown this once, to you, for case C-12.")).to_be_visible()
    content = await page.content()
    assert NAME not in content
    assert ID_NUMBER not in content
    looks = page.get_by_role("region", name="Looks at personal data").locator("tbody tr")
    await expect(looks.first).to_contain_text("anna")
    await expect(looks.first).to_contain_text("Phone")
    await expect(looks.first).to_contain_text("case C-12")

    await visit.go(f"/customers/{place.ids['ben']}")
    await expect(page.get_by_text(PHONE)).to_have_count(0)

    # The purpose still holds: another field of the same person is one press away.
    await page.get_by_role("button", name="Look at: Id number").click()
    await page.get_by_role("button", name="Under case C-12").first.click()
    await expect(page.get_by_text(ID_NUMBER, exact=True)).to_be_visible()


async def test_people_are_found_without_their_numbers_in_an_address(visit: Visit, place: Place) -> None:
    page = await visit.go("/customers")
    await expect(page.locator("tbody tr")).to_have_count(2)
    for text in (PHONE, PHONE.removeprefix("+86"), ID_NUMBER.lower(), NAME, place.ids["ben"]):
        await page.get_by_role("searchbox").fill(text)
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.locator("tbody tr")).to_contain_text("王**")
    await page.get_by_role("searchbox").fill("王")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_text("Names and numbers are sealed")).to_be_visible()
    assert page.url == f"{place.url}/customers"
    # Ports and ids may hold any few digits.
    assert not [url for url in visit.requests if "q=" in url or PHONE[-7:] in url or ID_NUMBER[:10] in url]


async def test_masks_stand_wherever_a_customer_does(visit: Visit, place: Place) -> None:
    # One that is held now: other files of this folder release those that were there.
    ben, cafe = from_typeid("cus", place.ids["ben"]), from_typeid("mer", place.ids["cafe"])
    held = (await place.shop.pay(ben, cafe, HELD + 50))["id"]
    for path in (
        "/",
        "/payments",
        "/held",
        f"/payments/{held}",
        f"/merchants/{place.ids['cafe']}",
    ):
        page = await visit.go(path)
        await expect(page.get_by_text("王**").first).to_be_visible()
        content = await page.content()
        assert not any(text in content for text in SHOWN), path


async def test_an_erasure_is_asked_for_and_given_by_another(
    place: Place, chromium: Browser, cookies: Any
) -> None:
    gone = await place.shop.customer("Gone Girl", balance=0, phone="+447700900123")
    public_id = to_typeid("cus", gone)
    async with visiting(place, chromium, cookies) as visit:
        page = await visit.go(f"/customers/{public_id}")
        form = page.get_by_role("region", name="Erase this customer")
        await form.get_by_label("Why").fill("request of 20 November")
        await form.get_by_role("button", name="Ask for erasure").click()
        await expect(page.get_by_role("status")).to_contain_text("second person")
        await expect(form).to_contain_text("anna asked for it")
        await visit.go("/approvals")
        await expect(page.get_by_text("Erase a customer").first).to_be_visible()
    async with visiting(place, chromium, await place.signed_in("bela")) as visit:
        page = await visit.go("/approvals")
        card = page.get_by_role("article").filter(has_text="Erase a customer")
        await card.get_by_role("button", name="Give").click()
        await expect(page.get_by_role("status")).to_contain_text("Given, and done.")
        await visit.go(f"/customers/{public_id}")
        await expect(page.get_by_role("heading", level=1)).to_have_text("(erased)")
        await expect(page.get_by_text("request of 20 November")).to_be_visible()
        await expect(page.get_by_role("button", name="Look at: Phone")).to_have_count(0)
        await visit.go("/customers")
        await expect(page.locator("tbody tr").first).to_contain_text("(erased)")


async def test_on_a_phone_and_in_chinese(place: Place, chromium: Browser, cookies: Any) -> None:
    async with visiting(
        place, chromium, cookies, viewport={"width": 360, "height": 740}, locale="zh-CN"
    ) as visit:
        page = await visit.go(f"/customers/{place.ids['ben']}")
        await page.get_by_role("button", name="查看手机号").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_be_visible()
        box = await dialog.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        wide = "document.documentElement.scrollWidth"
        assert await page.evaluate(wide) <= 360
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()

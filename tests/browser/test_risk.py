"""Risk in a real browser: the rule editor by keyboard, the way from a figure to its rows, a backtest that is followed."""

from playwright.async_api import Browser, expect

from tests.browser.conftest import Place, Visit, visiting


async def test_a_fault_leads_to_its_line(visit: Visit) -> None:
    visit.expected.append("422")
    page = await visit.go("/rules/edit")
    editor = page.get_by_role("textbox", name="The rules, as their file")
    text = (await editor.input_value()).replace("amount >= 100_000", "amont >= 100_000")
    await editor.fill(text + "\n\n")
    lines = page.locator(".numbers span")
    await expect(lines).to_have_count(len((text + "\n\n").split("\n")))
    await page.get_by_role("button", name="Check").click()
    await expect(page.get_by_role("alert")).to_contain_text("amont is not a feature; amount is")
    await page.wait_for_load_state()  # with its script, which leads to the line
    await page.get_by_role("link", name="Line 10").focus()
    await page.keyboard.press("Enter")
    await expect(editor).to_be_focused()
    chosen = await editor.evaluate("e => e.value.slice(e.selectionStart, e.selectionEnd)")
    assert chosen == 'when = "amont >= 100_000"'
    await editor.evaluate("e => e.setRangeText('when = \"amount >= 90_000\"')")
    await page.get_by_role("button", name="Check").click()
    await expect(page.get_by_role("status")).to_contain_text("No faults in 3 rules.")
    await expect(page.locator(".changes")).to_contain_text("amount >= 90_000")
    await page.get_by_role("button", name="Run a backtest").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Backtest")
    await expect(page.get_by_role("progressbar")).to_be_visible()


async def test_figures_lead_to_their_rows(visit: Visit) -> None:
    page = await visit.go("/risk")
    await page.get_by_role("link", name="very_large").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("very_large")
    await page.get_by_role("link", name="Mute this rule").click()
    await expect(page.get_by_label("Rule", exact=True)).to_have_value("very_large")


async def test_the_editor_needs_no_script(place: Place, chromium: Browser, cookies: object) -> None:
    async with visiting(place, chromium, cookies, java_script_enabled=False) as visit:
        page = await visit.go("/rules/edit")
        await page.get_by_role("button", name="Check").click()
        await expect(page.get_by_role("status")).to_contain_text("No faults")

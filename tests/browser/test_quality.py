"""What every page owes everybody: names, contrast, small size, narrow screens, keys, no strangers."""

from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import Place, Visit, pages, visiting

# Text whose contrast with what lies behind it is below the WCAG AA bound (4.5, large text 3).
_POOR = """() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const lum = ([r, g, b]) => { const f = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const over = (top, below) => { const a = top[3] ?? 1; return [0, 1, 2].map(i => top[i] * a + below[i] * (1 - a)); };
  const behind = el => { const stack = []; for (let e = el; e; e = e.parentElement) {
      const style = getComputedStyle(e), c = parse(style.backgroundColor);
      if (e !== document.body && (c[3] ?? 1) > 0) stack.push(c); }
    const page = parse(getComputedStyle(document.documentElement).getPropertyValue('--shown'));
    return stack.reverse().reduce((below, top) => over(top, below), page); };
  const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.style.setProperty('--shown', dark ? '15 19 26' : '244 246 249');
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const el = walker.currentNode.parentElement, style = getComputedStyle(el), box = el.getBoundingClientRect();
    if (!walker.currentNode.data.trim() || box.width < 2 || style.visibility === 'hidden') continue;
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 600);
    const back = behind(el), found = ratio(over(parse(style.color), back), back);
    if (found < (large ? 3 : 4.5)) poor.push(`${found.toFixed(2)} ${el.tagName}.${el.className} ${walker.currentNode.data.trim().slice(0, 30)}`);
  }
  for (const el of document.querySelectorAll('input[placeholder]')) {
    const back = behind(el), found = ratio(parse(getComputedStyle(el, '::placeholder').color), back);
    if (found < 4.5) poor.push(`${found.toFixed(2)} placeholder ${el.placeholder}`);
  }
  return poor;
}"""

_UNNAMED = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea, summary, [tabindex]')]
  .filter(el => !(el.getAttribute('aria-label') || document.getElementById(el.getAttribute('aria-labelledby'))?.textContent.trim()
     || el.labels?.[0]?.textContent.trim() || el.textContent.trim() || el.id === 'main'))
  .map(el => el.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_text_can_be_read(place: Place, chromium: Browser, cookies: Any, theme: str) -> None:
    async with visiting(place, chromium, cookies, color_scheme=theme, bypass_csp=True) as visit:
        for path in pages(place.ids):
            page = await visit.go(path)
            for summary in await page.locator("summary").all():
                await summary.click()
            assert await page.evaluate(_POOR) == [], path


async def test_the_contrast_check_finds_what_is_poor(visit: Visit) -> None:
    page = await visit.go("/rules")
    await page.evaluate("document.querySelector('h1').style.setProperty('color', '#bbb')")
    assert len(await page.evaluate(_POOR)) == 1


async def test_structure_and_names(visit: Visit) -> None:
    for path in pages(visit.place.ids):
        page = await visit.go(path)
        assert await page.evaluate(_UNNAMED) == [], path
        assert await page.locator("h1").count() == 1, path
        assert await page.locator("main").count() == 1, path
        assert await page.get_by_role("banner").count() == 1, path
        assert await page.title(), path
        repeated = await page.evaluate(
            "() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);"
            " return ids.filter((id, at) => ids.indexOf(id) !== at); }"
        )
        assert repeated == [], path
        headings = await page.evaluate(
            "() => [...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])"
        )
        assert headings[0] == 1, path
        assert all(later - earlier <= 1 for earlier, later in pairwise(headings)), path


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_a_narrow_screen_needs_no_sideways_scrolling(
    place: Place, chromium: Browser, cookies: Any, language: str
) -> None:
    async with visiting(place, chromium, cookies, viewport={"width": 360, "height": 740}) as visit:
        await visit.cookie("till_language", language)
        for path in pages(place.ids):
            page = await visit.go(path)
            for summary in await page.locator("summary").all():
                await summary.click()
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
            small = await page.evaluate(
                "() => [...document.querySelectorAll('button, select, .menu')].filter(e => e.offsetHeight && e.offsetHeight < 24)"
                ".map(e => e.outerHTML.slice(0, 80))"
            )
            assert small == [], path


async def test_first_visits_are_light_and_soon_painted(
    place: Place, chromium: Browser, cookies: Any, record_property: Any
) -> None:
    heaviest, slowest = 0, 0.0
    for path in pages(place.ids):
        async with visiting(place, chromium, cookies) as visit:
            session = await visit.context.new_cdp_session(visit.page)
            weights: list[float] = []
            await session.send("Network.enable")
            session.on(
                "Network.loadingFinished", lambda event, to=weights: to.append(event["encodedDataLength"])
            )
            page = await visit.go(path)
            painted = await page.evaluate(
                "() => new Promise(done => new PerformanceObserver(list => list.getEntriesByName("
                "'first-contentful-paint').forEach(e => done(e.startTime))).observe({type: 'paint', buffered: true}))"
            )
            shifted = await page.evaluate(
                "() => new Promise(done => { new PerformanceObserver(list => done(list.getEntries()"
                ".reduce((sum, e) => sum + e.value, 0))).observe({type: 'layout-shift', buffered: true});"
                " setTimeout(() => done(0), 100); })"
            )
            assert shifted < 0.02, path
            assert sum(weights) <= 60_000, (path, weights)
            heaviest, slowest = max(heaviest, int(sum(weights))), max(slowest, painted)
    print(f"heaviest first visit {heaviest} bytes, slowest first paint {slowest:.0f} ms")
    record_property("heaviest_first_visit_bytes", heaviest)
    record_property("slowest_first_paint_ms", slowest)
    # The aim is 300 ms on a quiet machine; the bound leaves room for a busy one.
    assert slowest <= 1_500


async def test_keys_reach_everything(visit: Visit) -> None:
    page = await visit.go("/payments")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await page.keyboard.type("order-77")
    await page.keyboard.press("Enter")
    await expect(page.locator("#results tbody tr")).to_have_count(1)
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.get_by_role("checkbox", name="Menu").focus()
    await page.keyboard.press("Space")
    await expect(page.get_by_role("link", name="Held")).to_be_visible()


async def test_the_policy_stops_a_script_that_was_slipped_in(visit: Visit) -> None:
    page = await visit.go("/rules")
    await page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.slipped = 1'; document.body.append(s);"
        " const b = document.createElement('b'); b.innerHTML = '<img src=x onerror=\"window.slipped = 2\">'; document.body.append(b); }"
    )
    await page.wait_for_timeout(200)
    assert await page.evaluate("window.slipped") is None
    assert any("Content Security Policy" in trouble for trouble in visit.troubles)
    visit.troubles.clear()

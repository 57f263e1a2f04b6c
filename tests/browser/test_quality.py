"""What every page owes everybody: names, contrast, small size, narrow screens, keys, no strangers."""

from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser, CDPSession, ConsoleMessage, Page, ViewportSize, expect

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


# What is wrong with a page's bones.
_STRUCTURE = """() => {
  const wrong = [], count = (what, found, wanted) => { if (found !== wanted) wrong.push(`${found} ${what}`); };
  count('h1', document.querySelectorAll('h1').length, 1);
  count('main', document.querySelectorAll('main').length, 1);
  if (!document.title) wrong.push('no title');
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  wrong.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map(id => `#${id} twice`));
  const levels = [...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1]);
  levels.forEach((level, at) => { if (level - (levels[at - 1] ?? 0) > 1) wrong.push(`h${level} after h${levels[at - 1]}`); });
  return wrong;
}"""

_PAINTED = """() => new Promise(done => new PerformanceObserver(list => list.getEntriesByName('first-contentful-paint')
  .forEach(e => done(e.startTime))).observe({type: 'paint', buffered: true}))"""

_SHIFTED = """() => new Promise(done => {
  let sum = 0;
  const add = entries => entries.forEach(e => sum += e.value), seen = new PerformanceObserver(list => add(list.getEntries()));
  seen.observe({type: 'layout-shift', buffered: true});
  setTimeout(() => requestAnimationFrame(() => { add(seen.takeRecords()); done(sum); }), 30);
})"""

_SMALL = """() => [...document.querySelectorAll('button, select, .menu')].filter(e => e.offsetHeight && e.offsetHeight < 24)
  .map(e => e.outerHTML.slice(0, 80))"""

# A script, and a picture that fails with a handler on it; done when the picture has failed.
_SLIPPED_IN = """() => new Promise(done => {
  const s = document.createElement('script'); s.textContent = 'window.slipped = 1'; document.body.append(s);
  const b = document.createElement('b'); b.innerHTML = '<img src=x onerror="window.slipped = 2">';
  b.firstChild.addEventListener('error', () => setTimeout(done)); document.body.append(b);
})"""

WIDE: Final[ViewportSize] = {"width": 1440, "height": 900}
NARROW: Final[ViewportSize] = {"width": 360, "height": 740}
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
FIRST_VISIT_BYTES = 60_000


class FirstVisits:
    """A browser that keeps nothing: whatever it opens it fetches anew, and tells how much and how soon."""

    def __init__(self, visit: Visit, session: CDPSession) -> None:
        self.visit, self._session = visit, session
        self._weights: list[float] = []
        session.on("Network.loadingFinished", lambda event: self._weights.append(event["encodedDataLength"]))

    @classmethod
    async def of(cls, visit: Visit) -> "FirstVisits":
        made = cls(visit, await visit.context.new_cdp_session(visit.page))
        await made._session.send("Network.enable")
        await made._session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        return made

    async def open(self, path: str) -> tuple[int, float]:
        """A page: its bytes, and when it was first painted in ms: 300 on a quiet machine, which this one may not be."""
        self._weights.clear()
        page = await self.visit.go(path)
        return int(sum(self._weights)), await page.evaluate(_PAINTED)


async def faults(page: Page) -> list[str]:
    """What an opened page, wide and light, has wrong; it is left narrow and dark."""
    wrong = [f"unnamed: {each}" for each in await page.evaluate(_UNNAMED)]
    wrong += await page.evaluate(_STRUCTURE)
    if await page.get_by_role("banner").count() != 1:
        wrong.append("not one banner")
    if (shifted := await page.evaluate(_SHIFTED)) >= 0.02:
        wrong.append(f"shifted by {shifted}")
    await page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)
        wrong += [f"{theme}: {each}" for each in await page.evaluate(_POOR)]
    await page.set_viewport_size(NARROW)
    if (needed := await page.evaluate("document.documentElement.scrollWidth")) > NARROW["width"]:
        wrong.append(f"{needed} wide")
    wrong += [f"small: {each}" for each in await page.evaluate(_SMALL)]
    return wrong


@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_every_page_gives_everybody_what_it_owes(
    place: Place, chromium: Browser, cookies: Any, record_property: Any, language: str
) -> None:
    """Each is opened once: a first visit that is light, well built, readable in both themes, and narrow."""
    wrong, heaviest, slowest = [], 0, 0.0
    async with visiting(place, chromium, cookies) as visit:
        await visit.cookie("till_language", language)
        first = await FirstVisits.of(visit)
        for path in pages(place.ids):
            await visit.page.set_viewport_size(WIDE)
            await visit.page.emulate_media(color_scheme="light")
            weight, painted = await first.open(path)
            heaviest, slowest = max(heaviest, weight), max(slowest, painted)
            wrong += [f"{path}: {each}" for each in await faults(visit.page)]
            if weight > FIRST_VISIT_BYTES:
                wrong.append(f"{path}: {weight} bytes")
    print(f"heaviest first visit {heaviest} bytes, slowest first paint {slowest:.0f} ms")
    record_property("heaviest_first_visit_bytes", heaviest)
    record_property("slowest_first_paint_ms", slowest)
    assert wrong == []


async def test_the_contrast_check_finds_what_is_poor(visit: Visit) -> None:
    page = await visit.go("/rules")
    await page.evaluate("document.querySelector('h1').style.setProperty('color', '#bbb')")
    assert len(await page.evaluate(_POOR)) == 1


async def test_keys_reach_everything(visit: Visit) -> None:
    page = await visit.go("/payments")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
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


def _is_refusal(said: ConsoleMessage) -> bool:
    return "Content Security Policy" in said.text


async def test_the_policy_stops_a_script_that_was_slipped_in(visit: Visit) -> None:
    visit.expected += ["Content Security Policy", "404"]
    page = await visit.go("/rules")
    async with page.expect_console_message(_is_refusal):
        await page.evaluate(_SLIPPED_IN)
    assert await page.evaluate("window.slipped") is None

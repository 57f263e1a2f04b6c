"""The first page: is the till well right now? Its live parts are the same templates as its first answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Final

from litestar import get
from litestar.response import Stream

from tillkeeper import access, ledger
from tillkeeper.access import Session
from tillkeeper.base.ids import NIL
from tillkeeper.faces.console import charts
from tillkeeper.faces.console.board import OUTCOMES, RING, Figures, TheBoard
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, session_of
from tillkeeper.faces.console.live import Audience
from tillkeeper.faces.console.render import Renderer
from tillkeeper.payments import browse

LIVE_PARTS: Final = ("clock", "badge", "headline", "figures", "rate", "outcomes", "refusals", "speed")
_LIVE: Final = "overview.view"
_LED_TO: Final = frozenset({"payment.view", "held.view", "books.view", "customer.view", "merchant.view"})
"""What the links of the live parts lead to: they are drawn once for all who may follow the same of them."""
_LOOK_SECONDS: Final = 15.0  # how long a stream may outlive its session
_POINT_SECONDS: Final = 3  # one point of the rate's picture


@get("/", action=_LIVE)
async def overview(request: Web, desk: TheDesk, board: TheBoard) -> Page:
    """The overview with the figures of now."""
    figures = await board.refresh()
    return await desk.page(request, "overview.html", figures_context(figures, desk.renderer(request)))


@get("/live", action=_LIVE)
async def live(request: Web, desk: TheDesk) -> Stream:
    """The overview's live parts as server-sent events."""
    session = session_of(request)
    assert session is not None
    may = access.policies().permitted("Person", session.roles) & _LED_TO
    audience = Audience(desk.renderer(request).texts.language, may)
    return streamed(desk, session, _LIVE, desk.live.watch(audience))


def streamed(desk: Desk, session: Session, action: str, parts: AsyncGenerator[bytes, None]) -> Stream:
    """Server-sent events for as long as the session may see them."""
    stream = _while_signed_in(desk, session, action, parts)
    return Stream(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _while_signed_in(
    desk: Desk, session: Session, action: str, source: AsyncGenerator[bytes, None]
) -> AsyncIterator[bytes]:
    """The stream does not count as use: who only watches is signed out like anybody who does nothing. It ends with the
    right to see it, too.
    """
    looked = desk.clock.monotonic()
    async with aclosing(source) as parts:
        async for part in parts:
            yield part
            if desk.clock.monotonic() - looked < _LOOK_SECONDS:
                continue
            looked = desk.clock.monotonic()
            async with desk.store.tx("console live session") as tx:
                signed_in = {each.id: each for each in await access.list_sessions(tx, desk.clock)}
            here = signed_in.get(session.id)
            if here is None or not access.policies().judge(here, action).allowed:
                yield b'event: ended\ndata: ""\n\n'
                return


@get("/books", action="books.view")
async def books(request: Web, desk: TheDesk, board: TheBoard) -> Page:
    """What the light on the overview stands for."""
    figures = await board.refresh()
    async with desk.store.tx("console books") as tx:
        wallets = await browse.wallets_of(tx, [NIL])
        accounts = await ledger.accounts(tx, [wallet.account for wallet in wallets])
    own = [(wallet, accounts[wallet.account]) for wallet in wallets if wallet.account in accounts]
    return await desk.page(request, "books.html", {"books": figures.books, "own": own})


def draw_live(figures: Figures, renderer: Renderer, may: frozenset[str]) -> dict[str, str]:
    """The live parts in one language, HTML by name; `may`: the actions whose links they have."""
    context = {**figures_context(figures, renderer), "may": may}
    return {name: renderer.render(f"live/{name}.html", context) for name in LIVE_PARTS}


def figures_context(figures: Figures, renderer: Renderer) -> Mapping[str, Any]:
    """What the live templates read."""
    t = renderer.texts
    rate_plot, rate_top = charts.stacked(
        [
            ("main", _points([bucket.accepted for bucket in figures.series])),
            ("wait", _points([bucket.waiting for bucket in figures.series])),
            ("bad", _points([bucket.refused for bucket in figures.series])),
        ],
        t("chart.rate_label", rate=f"{figures.rate:.1f}"),
    )
    slowest = [(sample.p99_us + 999) // 1000 for sample in figures.samples]
    speed_plot, speed_top = charts.line(slowest, t("chart.speed_label", highest=max(slowest, default=0)))
    return {
        "f": figures,
        "waiting": figures.held,
        "waiting_most": browse.HELD_COUNTED,
        "today": figures.day.isoformat(),
        "outcomes": OUTCOMES,
        "outcome_parts": [(outcome, figures.recent.outcomes[outcome]) for outcome in OUTCOMES],
        "rate_plot": rate_plot,
        "rate_top": rate_top,
        "speed_plot": speed_plot,
        "speed_top": speed_top,
    }


def _points(per_second: list[int]) -> list[int]:
    """The mean rate of each point, rounded up so that a single payment shows."""
    pairs = zip(*[iter(per_second)] * _POINT_SECONDS, strict=True)
    return [-(-sum(pair) // _POINT_SECONDS) for pair in pairs]


assert RING % _POINT_SECONDS == 0

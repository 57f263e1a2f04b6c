"""The console as an application: pages, door, live figures."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.faces.console import door
from tillkeeper.faces.console.board import Board
from tillkeeper.faces.console.desk import Desk, Page, Web
from tillkeeper.faces.console.live import Live
from tillkeeper.faces.console.pages import errors, held, overview, payments, people, rules, session
from tillkeeper.faces.console.render import Renderer
from tillkeeper.faces.console.statics import read_statics
from tillkeeper.faces.console.texts import read_texts
from tillkeeper.payments import Till
from tillkeeper.store import Store
from tillkeeper.vault import Vault

_HANDLERS = [
    overview.overview,
    overview.live,
    overview.books,
    payments.payments,
    payments.payment,
    held.held,
    held.verdict,
    people.customers,
    people.customer,
    people.merchants,
    people.merchant,
    rules.rules,
    rules.rule,
    session.sign_in,
    session.open_session,
    session.sign_out,
    session.preferences,
    session.static,
]


def create_console(store: Store, clock: Clock, timezone: str, till: Till, vault: Vault) -> Litestar:
    """The console over a store. `timezone`: the business time zone (IANA name). `till`: carries verdicts out."""
    zone = ZoneInfo(timezone)
    statics = read_statics()
    renderers = {language: Renderer(texts, zone, statics) for language, texts in read_texts().items()}
    board = Board(store, clock, zone)

    async def draw(language: str) -> dict[str, str]:
        return overview.draw_live(await board.refresh(), renderers[language])

    desk = Desk(store, clock, zone, renderers, statics, Live(draw), till, vault)

    async def enter(request: Web) -> Page | None:
        return await door.enter(request, desk)

    def put_headers(response: Response[Any]) -> Response[Any]:
        return door.put_headers(response)

    return Litestar(
        _HANDLERS,
        dependencies={
            "desk": Provide(lambda: desk, sync_to_thread=False),
            "board": Provide(lambda: board, sync_to_thread=False),
        },
        before_request=enter,
        after_request=put_headers,
        exception_handlers={HTTPException: errors.refuse, Exception: errors.fail},
        lifespan=[_living(desk)],
        state=State({"desk": desk}),
        request_max_body_size=limits.MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )


def _living(desk: Desk) -> Any:
    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        async with desk.live.running():
            yield

    return running

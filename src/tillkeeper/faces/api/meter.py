"""Counts every answer at the outermost edge: what callers got, whoever gave it."""

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tillkeeper.payments import Gauge

_ORDERS: Final = ("/v1/payments", "/v1/sends", "/v1/top-ups", "/v1/withdrawals")
"""Where money is asked to move."""


class Meter:
    """Tells the gauge how each call of the API ended. A call that breaks without an answer counts as 500."""

    def __init__(self, app: ASGIApp, gauge: Gauge) -> None:
        self._app = app
        self._gauge = gauge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        order = scope["method"] == "POST" and scope["path"].startswith(_ORDERS)
        told = False

        async def tell(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                told = True
                self._gauge.answered(message["status"], order=order)
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception:
            if not told:
                self._gauge.answered(500, order=order)
            raise

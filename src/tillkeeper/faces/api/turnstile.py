"""Lets calls in while this process serves. While it drains, whoever comes is told to come again; who is in, ends in peace."""

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from tillkeeper.base.results import Refusal
from tillkeeper.faces.api.problems import tell
from tillkeeper.payments import Gauge, problem
from tillkeeper.store.processes import Presence

_LATER: Final = Refusal("under_maintenance", "try again as Retry-After says, with the same Idempotency-Key")


class Turnstile:
    """Counts the calls under /v1/ that are in flight. One that is turned away has touched nothing, its key neither: it counts
    among the answers 5xx, but not as an order that failed.
    """

    def __init__(self, app: ASGIApp, presence: Presence, gauge: Gauge) -> None:
        self._app = app
        self._presence = presence
        self._gauge = gauge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        if self._presence.draining:
            self._gauge.answered(_LATER.status, order=False)
            await tell(problem(_LATER), send)
            return
        self._presence.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._presence.in_flight -= 1

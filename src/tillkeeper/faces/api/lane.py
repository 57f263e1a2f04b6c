"""The short way of payments and sends: past the framework, which costs more than all the rest of a handler.

The same work as in orders.py. Whatever is not a well-formed order in one piece goes the framework's way, and gets its
problem there: so there is one place that judges the form, and one that refuses.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, ReceiveMessage, Scope, Send

from tillkeeper.access import Principal
from tillkeeper.base import limits
from tillkeeper.faces.api import bodies, orders
from tillkeeper.faces.api.door import Call, Counter, address_of, header_in
from tillkeeper.faces.api.problems import of_error, tell
from tillkeeper.store import Answer

_Work = Callable[[Counter, Call, Any], Awaitable[Answer]]

_LANES: Final[dict[str, tuple[str, msgspec.json.Decoder[Any], _Work]]] = {
    "/v1/payments": (orders.pay.opt["action"], msgspec.json.Decoder(bodies.NewPayment), orders.payment),
    "/v1/sends": (orders.send.opt["action"], msgspec.json.Decoder(bodies.NewSend), orders.sending),
}


class Lane:
    """Takes payments and sends itself, and leaves everything else to the framework."""

    def __init__(self, app: ASGIApp, counter: Counter) -> None:
        self._app = app
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "POST" or scope["path"] not in _LANES:
            await self._app(scope, receive, send)
            return
        action, decoder, work = _LANES[scope["path"]]
        principal: Principal = scope["principal"]  # type: ignore[typeddict-item]
        if not principal.may(action):
            await self._app(scope, receive, send)
            return
        message = await receive()
        if (data := _read(message, decoder)) is None:
            await self._app(scope, _beginning_with(message, receive), send)
            return
        key = header_in(scope, b"idempotency-key")
        body: bytes = message["body"]  # type: ignore[typeddict-item]
        call = Call(principal, f"POST {scope['path']}", key, body, address_of(scope))
        try:
            found = await work(self._counter, call, data)
        except Exception as error:  # noqa: BLE001 - of_error knows every one, and logs what it does not expect
            found = of_error(error, call.what)
        await tell(found, send)


def _read(message: ReceiveMessage, decoder: msgspec.json.Decoder[Any]) -> Any | None:
    """The order in a message, if it is all there and well-formed."""
    if (
        message["type"] != "http.request"
        or message["more_body"]
        or len(message["body"]) > limits.MAX_BODY_BYTES
    ):
        return None
    try:
        return decoder.decode(message["body"])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _beginning_with(message: ReceiveMessage, receive: Receive) -> Receive:
    """What is received, from its beginning."""
    taken = [message]

    async def again() -> ReceiveMessage:
        return taken.pop() if taken else await receive()

    return again

"""One signed POST to an address that was checked after its name was resolved, on the very connection that is used."""

import asyncio
import socket
from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpcore
import msgspec
from standardwebhooks.webhooks import Webhook

from tillkeeper.base import limits
from tillkeeper.base.ids import to_typeid
from tillkeeper.payments.webhooks.targets import all_may_receive

_ADDRESSES_TRIED = 3  # of one name, in the resolver's order
_IDLE_SECONDS = 30.0  # then an open connection is given up
_GONE = 410  # the receiver says: stop sending here


class Message(msgspec.Struct, frozen=True):
    """What goes over the wire. `id` stays the same in every repetition: the receiver's key against doubles."""

    id: UUID
    url: str
    secret: str
    payload: str

    def __repr__(self) -> str:
        """What a log may show."""
        return f"Message({self.id})"


class Sent(msgspec.Struct, frozen=True):
    """How a try ended: delivered (2xx), or not, and why. `gone`: the receiver wants no more messages at all."""

    delivered: bool
    answer: str
    gone: bool = False


class Sender:
    """Connections to endpoints, kept open between messages. No proxy and no redirect is followed."""

    def __init__(self, *, private_targets: bool) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=limits.MAX_WEBHOOK_ENDPOINTS * limits.WEBHOOK_LANES,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=_GuardedBackend(private_targets=private_targets),
        )

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)

    async def send(self, message: Message, at: datetime) -> Sent:
        """Sign a message with the present time and try it once, within WEBHOOK_TIMEOUT_SECONDS. Never raises."""
        try:
            async with asyncio.timeout(limits.WEBHOOK_TIMEOUT_SECONDS):
                return _judge(await self._post(message, at))
        except TimeoutError:
            return Sent(delivered=False, answer=f"no answer in {limits.WEBHOOK_TIMEOUT_SECONDS:g} s")
        except _RefusedTargetError:
            return Sent(delivered=False, answer="the address is not a public one")
        except Exception as error:  # noqa: BLE001 - whatever a foreign server does to the client is its answer
            return Sent(delivered=False, answer=f"{type(error).__name__}: {error}"[: limits.MAX_TEXT])

    async def _post(self, message: Message, at: datetime) -> int:
        body = message.payload.encode()
        headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", "Tillkeeper-Webhooks/1"),
            *signature(message, at).items(),
        ]
        async with self._pool.stream("POST", message.url, headers=headers, content=body) as response:
            read = 0
            async for chunk in response.aiter_stream():
                read += len(chunk)
                if read > limits.WEBHOOK_ANSWER_BYTES:
                    break
            return response.status


def _judge(status: int) -> Sent:
    return Sent(delivered=200 <= status < 300, answer=str(status), gone=status == _GONE)


def signature(message: Message, at: datetime) -> dict[str, str]:
    """The headers of the Standard Webhooks specification."""
    message_id = to_typeid("whd", message.id)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(message.secret).sign(message_id, at, message.payload),
    }


class _RefusedTargetError(Exception):
    """A name leads to an address that may not receive messages."""


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name itself, checks what came, and connects to just that: a name server has no second say."""

    def __init__(self, *, private_targets: bool) -> None:
        self._private = private_targets
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's protocol
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        if not all_may_receive(addresses, private=self._private):
            raise _RefusedTargetError
        for last, address in enumerate(addresses[:_ADDRESSES_TRIED], 1 - len(addresses[:_ADDRESSES_TRIED])):
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError:
                if last == 0:
                    raise
        raise _RefusedTargetError

    async def sleep(self, seconds: float) -> None:
        await self._plain.sleep(seconds)

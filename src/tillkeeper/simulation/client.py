"""The platform's API as the city sees it: every request has a key, and one that got no answer is sent again under it."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tillkeeper.base.clock import Clock
from tillkeeper.base.limits import CLIENT_ANSWER_SECONDS, CLIENT_FIRST_PAUSE_SECONDS, CLIENT_TRIES
from tillkeeper.simulation.wire import Answer, Wire

WORTH_ANOTHER_TRY: Final = frozenset({429, 500, 502, 503, 504})

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Unanswered(Exception):  # noqa: N818 - what happened to the request
    """No answer after all tries. Whether the request had an effect is unknown."""


class Reply(msgspec.Struct, frozen=True):
    """An answer of the API. `seconds` from the first try to the whole answer; `raw` as it was sent."""

    status: int
    body: dict[str, Any]
    raw: bytes
    seconds: float
    tries: int

    @property
    def done(self) -> bool:
        """Whether the platform did what was asked."""
        return 200 <= self.status < 300


class Api:
    """Requests under one API key."""

    def __init__(self, wire: Wire, secret: str, clock: Clock) -> None:
        self.wire = wire
        self.clock = clock
        self.in_flight = 0
        self._headers = f"authorization: Bearer {secret}\r\naccept: application/json\r\n"

    async def post(self, path: str, body: Mapping[str, Any], key: str) -> Reply:
        """Ask for a change. Raises Unanswered."""
        headers = f"{self._headers}content-type: application/json\r\nidempotency-key: {key}\r\n"
        return await self._ask("POST", path, headers, _encode(body))

    async def get(self, path: str) -> Reply:
        """Read. Raises Unanswered."""
        return await self._ask("GET", path, self._headers, b"")

    async def _ask(self, method: str, path: str, headers: str, body: bytes) -> Reply:
        self.in_flight += 1
        try:
            return await self._try(method, path, headers, body)
        finally:
            self.in_flight -= 1

    async def _try(self, method: str, path: str, headers: str, body: bytes) -> Reply:
        pause, last, start = CLIENT_FIRST_PAUSE_SECONDS, "", self.clock.monotonic()
        for tries in range(1, CLIENT_TRIES + 1):
            try:
                answer = await self.wire.request(method, path, headers, body, CLIENT_ANSWER_SECONDS)
            except (OSError, TimeoutError) as error:
                last = repr(error)
            else:
                if answer.status not in WORTH_ANOTHER_TRY:
                    return self._reply(answer, self.clock.monotonic() - start, tries)
                last = f"{answer.status} {answer.body[:200]!r}"
                pause = max(pause, min(answer.retry_after, CLIENT_ANSWER_SECONDS))
            if tries < CLIENT_TRIES:
                await asyncio.sleep(pause)
                pause *= 2
        raise Unanswered(f"{method} {path}: {CLIENT_TRIES} tries, the last one: {last}")

    @staticmethod
    def _reply(answer: Answer, seconds: float, tries: int) -> Reply:
        try:
            body = _decode(answer.body) if answer.body else {}
        except msgspec.DecodeError:
            body = {}
        return Reply(answer.status, body, answer.body, seconds, tries)

"""The load: a process of its own that keeps a number of connections busy with payments and times the answers.

Run by bench.payments: reads a Step as JSON from standard input, says "measuring" when the warm-up is over, and ends with
a Measured as JSON. It does as little as it can, for it shares the processors with what it measures: bare asyncio
protocols on uvloop, requests put together from parts that are encoded before.
"""

import asyncio
import random
import sys
import time
from array import array
from collections import Counter
from contextlib import suppress
from typing import Final

import msgspec
import uvloop

from bench.figures import percentile

DRAIN_SECONDS: Final = 20.0
_KEYS_AT_ONCE: Final = 4096
_KEY_BYTES: Final = 32
# Letters only: sixteen digits in a row may look like a card number, which the door refuses.
_LETTERS: Final = bytes(ord("a") + each % 26 for each in range(256))


class Step(msgspec.Struct, frozen=True):
    """What to do. `payers` are beginnings of bodies, taken in turn; `payees` merchants' ids, of which the first gets
    the share `hot` of all payments and the rest is spread evenly. `pause`: seconds on average from an answer to the next
    request of its connection; without it they are as many as the platform takes.
    """

    port: int
    key: str
    connections: int
    warm_up: float
    seconds: float
    payers: list[str]
    payees: list[str]
    hot: float
    seed: int
    pause: float = 0.0


class Measured(msgspec.Struct, frozen=True):
    """What came of it. Latencies in seconds, of answers within the measured time; `answers` counts all statuses ever
    received, warm-up and drain included, and `lost` the requests that were never answered.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    longest: float
    answers: dict[str, int]
    lost: int
    cpu_share: float


class Payments:
    """Endless requests, each with a key of its own, as bytes for the wire."""

    def __init__(self, step: Step) -> None:
        self._random = random.Random(step.seed)
        self._payers = [payer.encode() for payer in step.payers]
        self._payees = [f'"{payee}","amount":'.encode() for payee in step.payees]
        self._hot = step.hot
        self._place = 0
        self._keys: list[bytes] = []
        self._head = (
            f"POST /v1/payments HTTP/1.1\r\nhost: 127.0.0.1:{step.port}\r\nauthorization: Bearer {step.key}\r\n"
            "content-type: application/json\r\nidempotency-key: "
        ).encode()

    def next(self) -> bytes:
        """One more request."""
        keys = self._keys or self._more_keys()
        payers = self._payers
        self._place = place = (self._place + 1) % len(payers)
        number = self._random.random()
        payees = self._payees
        payee = payees[0] if number < self._hot else payees[int(number * 1e6) % len(payees)]
        body = b"%b%b%d}" % (payers[place], payee, 1000 + int(number * 1e9) % 9000)
        return b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (self._head, keys.pop(), len(body), body)

    def _more_keys(self) -> list[bytes]:
        letters = self._random.randbytes(_KEYS_AT_ONCE * _KEY_BYTES).translate(_LETTERS)
        self._keys = [letters[at : at + _KEY_BYTES] for at in range(0, len(letters), _KEY_BYTES)]
        return self._keys


class Load:
    """All connections together."""

    def __init__(self, step: Step) -> None:
        self.payments = Payments(step)
        self.pause = step.pause
        self.answers: Counter[bytes] = Counter()
        self.latencies = array("d")
        self.measuring = False
        self.sending = True
        self.waiting = 0
        self.drained = asyncio.Event()


class Connection(asyncio.Protocol):
    """Sends a request, waits for the answer, sends the next."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._rest = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # uvloop's is one without saying so

    def send(self) -> None:
        assert self._transport is not None
        self._load.waiting += 1
        self._sent_at = time.perf_counter()
        self._transport.write(self._load.payments.next())

    def _send_on(self) -> None:
        if self._load.sending:
            self.send()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        if not is_whole(data):
            self._rest = data
            return
        load = self._load
        load.waiting -= 1
        load.answers[data[9:12]] += 1
        if load.measuring:
            load.latencies.append(time.perf_counter() - self._sent_at)
        if load.sending and load.pause:
            asyncio.get_running_loop().call_later(load.pause * random.uniform(0.5, 1.5), self._send_on)
        elif load.sending:
            self.send()
        elif not load.waiting:
            load.drained.set()


def is_whole(data: bytes) -> bool:
    """Whether an HTTP answer with a Content-Length is all there."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return False
    at = data.lower().find(b"content-length:", 0, head)
    length = int(data[at + 15 : data.find(b"\r", at)])
    return len(data) >= head + 4 + length


async def run(step: Step) -> Measured:
    """Warm up, measure, and wait for what is still under way."""
    load = Load(step)
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", step.port)
        for _ in range(step.connections)
    ]
    for _, connection in pairs:
        connection.send()
    await asyncio.sleep(step.warm_up)
    sys.stdout.write("measuring\n")
    sys.stdout.flush()
    began, cpu = time.perf_counter(), time.process_time()
    load.measuring = True
    await asyncio.sleep(step.seconds)
    load.measuring = False
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    load.sending = False
    if load.waiting:
        with suppress(TimeoutError):
            await asyncio.wait_for(load.drained.wait(), DRAIN_SECONDS)
    lost = load.waiting
    for transport, _ in pairs:
        transport.abort()
    return measured(load, took, cpu, lost)


def measured(load: Load, took: float, cpu: float, lost: int) -> Measured:
    """The figures of what was timed within `took` seconds."""
    ordered = sorted(load.latencies)
    return Measured(
        rate=len(ordered) / took,
        p50=percentile(ordered, 0.5),
        p95=percentile(ordered, 0.95),
        p99=percentile(ordered, 0.99),
        longest=percentile(ordered, 1.0),
        answers={status.decode(): count for status, count in load.answers.items()},
        lost=lost,
        cpu_share=cpu / took,
    )


if __name__ == "__main__":
    sys.stdout.write(
        msgspec.json.encode(uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Step)))).decode()
    )

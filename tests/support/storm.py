"""A storm: seeded clients that pay, hold, capture, void, refund and repeat themselves while processes are killed.

What the API acknowledged is a promise. Afterwards every promise is compared with the database and asked for again.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx

from tests.support.shop import ASKED, FINE, HELD, REFUSED

CLIENTS = 8
CUSTOMERS = 12
MERCHANTS = 3
FUNDS = 50_000_000
TRYING_SECONDS = 240.0


class Promise(NamedTuple):
    """A request that was answered for good."""

    key: str
    path: str
    body: dict[str, Any]
    status: int
    content: bytes

    @property
    def said(self) -> dict[str, Any]:
        return dict(json.loads(self.content))


class Storm:
    """The clients, and everything they were promised. `faults`: answers that no caller should ever see."""

    def __init__(self, url: str, token: str, seed: int) -> None:
        self.seed = seed
        self.promises: dict[str, Promise] = {}
        self.faults: list[str] = []
        self.weather: Counter[str] = Counter()
        self.customers: list[str] = []
        self.merchants: list[str] = []
        self._rng = random.Random(seed)
        self._numbers = 0
        self._open: list[dict[str, Any]] = []
        self._paid: list[dict[str, Any]] = []
        self._calm = asyncio.Event()
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=20,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
        )

    async def rage(self) -> None:
        """Keep calling until `calm`; then finish what was begun."""
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    def calm(self) -> None:
        """Begin nothing new."""
        self._calm.set()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ask_again(self) -> list[str]:
        """Every promise asked for again; what differs."""
        gate = asyncio.Semaphore(32)

        async def again(promise: Promise) -> str | None:
            async with gate:
                response = await self._answer(promise.key, promise.path, promise.body)
            same = (response.status_code, response.content) == (promise.status, promise.content)
            return (
                None
                if same
                else f"{promise.path} {promise.key}: {promise.content!r} became {response.content!r}"
            )

        return [each for each in await asyncio.gather(*map(again, self.promises.values())) if each]

    # -- what clients do

    async def _client(self) -> None:
        while not self._calm.is_set():
            path, body = self._deed()
            copies = 2 if self._rng.random() < 0.1 else 1
            key = self._key()
            said = await asyncio.gather(*(self._keep(key, path, body) for _ in range(copies)))
            self._remember(said[0])
            if self._rng.random() < 0.05:
                old = self._rng.choice(list(self.promises.values()))
                await self._keep(old.key, old.path, old.body)

    def _deed(self) -> tuple[str, dict[str, Any]]:
        draw = self._rng.random()
        if draw < 0.25 and self._open:
            payment = self._open.pop(self._rng.randrange(len(self._open)))
            return self._close(payment)
        if draw < 0.40 and self._paid:
            payment = self._rng.choice(self._paid)
            amount = self._rng.choice([None, 1, payment["captured"] // 3 or 1])
            return f"/v1/payments/{payment['id']}/refunds", {"amount": amount, "reason": "storm"}
        payer = self._rng.choice(self.customers)
        order = {"payer": payer, "currency": "CNY", "amount": self._amount()}
        if draw < 0.48:
            return "/v1/sends", order | {
                "payee": self._rng.choice([who for who in self.customers if who != payer])
            }
        if draw < 0.53:
            return "/v1/withdrawals", {"owner": payer, "currency": "CNY", "amount": self._amount()}
        merchant = self._rng.choice(self.merchants)
        capture = self._rng.choice(["automatic", "automatic", "manual"])
        return "/v1/payments", order | {"merchant": merchant, "capture": capture, "note": "storm"}

    def _amount(self) -> int:
        return self._rng.choice([FINE] * 10 + [1, 99, ASKED, ASKED, HELD, REFUSED])

    def _close(self, payment: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        path = f"/v1/payments/{payment['id']}"
        if payment["state"] == "challenged":
            code = payment["challenge"]["sandbox_code"] if self._rng.random() < 0.8 else "nonsense"
            return f"{path}/challenge", {"code": code}
        if self._rng.random() < 0.4:
            return f"{path}/void", {}
        return f"{path}/capture", {"amount": self._rng.choice([None, 1 + payment["amount"] // 2])}

    def _remember(self, promise: Promise) -> None:
        if promise.status >= 300:
            return
        said = promise.said
        if said["state"] in {"authorized", "challenged"}:
            # Sometimes twice: two clients will then try to close it.
            self._open += [said] * self._rng.choice([1, 1, 2])
        elif said["state"] == "succeeded" and said["kind"] == "payment":
            self._paid.append(said)

    # -- how they call

    def _key(self) -> str:
        self._numbers += 1
        return f"storm-{self._numbers}"  # few digits, or it might look like a card number

    async def _keep(self, key: str, path: str, body: dict[str, Any]) -> Promise:
        """The promise behind a key: the first answer to it, which all others must repeat."""
        response = await self._answer(key, path, body)
        promise = self.promises.setdefault(
            key, Promise(key, path, body, response.status_code, response.content)
        )
        if (promise.status, promise.content) != (response.status_code, response.content):
            self.faults.append(f"{path} {key} answered {promise.content!r} and then {response.content!r}")
        return promise

    async def _answer(self, key: str, path: str, body: dict[str, Any]) -> httpx.Response:
        """An answer for good: tried again with the same key while there is none."""
        async with asyncio.timeout(TRYING_SECONDS):
            while True:
                try:
                    response = await self._http.post(path, json=body, headers={"idempotency-key": key})
                except httpx.TransportError as error:
                    self.weather[type(error).__name__] += 1
                else:
                    if response.status_code < 500:
                        return response
                    self.weather[str(response.status_code)] += 1
                    if response.status_code != 503:
                        self.faults.append(f"{path} {key}: {response.status_code} {response.text}")
                await asyncio.sleep(0.05 + self._rng.random() * 0.1)


def created(promises: Sequence[Promise]) -> list[Promise]:
    """Those that made a payment."""
    return [each for each in promises if each.status == 201]


def changed(promises: Sequence[Promise]) -> list[Promise]:
    """Those that moved a payment on."""
    return [each for each in promises if each.status == 200]

"""The API as a caller meets it: in process over ASGI, with a key of every scope, people and shops behind it."""

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx

from tests.support.platform import Platform, opened
from tillkeeper import access
from tillkeeper.access import SCOPES, KeyRing
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.base.settings import Settings
from tillkeeper.faces.api import Counter, create_api
from tillkeeper.store import Store

_keys = itertools.count()


class Api:
    """A caller with a key. `people`: ids of whoever was made, by the name the test gave them."""

    def __init__(self, client: httpx.AsyncClient, platform: Platform, token: str) -> None:
        self.client, self.platform, self.token = client, platform, token
        self.people: dict[str, str] = {}

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(path, params=params, headers=self.headers())

    async def post(self, path: str, body: Any = None, **headers: str | None) -> httpx.Response:
        """With a fresh idempotency key, unless the headers name one; None leaves a header out."""
        return await self.client.post(
            path, json={} if body is None else body, headers=self.headers(**headers)
        )

    async def delete(self, path: str) -> httpx.Response:
        return await self.client.delete(path, headers=self.headers())

    def headers(self, **more: str | None) -> dict[str, str]:
        found = {
            "authorization": f"Bearer {self.token}",
            "idempotency-key": f"key-{next(_keys)}",
        } | {name.replace("_", "-"): value for name, value in more.items()}
        return {name: value for name, value in found.items() if value is not None}

    async def new_key(self, scopes: Iterable[str] = SCOPES, expires_at: datetime | None = None) -> str:
        return await new_key(self.platform.store, self.platform.clock, scopes, expires_at)

    async def customer(self, name: str, **how: Any) -> str:
        self.people[name] = to_typeid("cus", await self.platform.customer(**how))
        return self.people[name]

    async def merchant(self, name: str, **how: Any) -> str:
        self.people[name] = to_typeid("mer", await self.platform.merchant(**how))
        return self.people[name]

    async def pay(self, payer: str, merchant: str, amount: int = 1234, **more: Any) -> dict[str, Any]:
        """A payment that is taken; the payment."""
        body = {"payer": payer, "merchant": merchant, "amount": amount, "currency": "CNY"} | more
        response = await self.post("/v1/payments", body)
        assert response.status_code == 201, response.text
        return dict(response.json())


async def new_key(
    store: Store, clock: Clock, scopes: Iterable[str] = SCOPES, expires_at: datetime | None = None
) -> str:
    """The text of a new API key."""
    async with store.tx("key") as tx:
        return (await access.create_key(tx, None, "test", scopes, expires_at, clock))[1]


@asynccontextmanager
async def calling(store: Store, clock: Clock, folder: Path, **settings: Any) -> AsyncIterator[Api]:
    """A caller of the API on a store."""
    async with opened(store, clock, folder) as platform:
        assert platform.till._engine is not None
        chosen = Settings(**settings)
        ring = KeyRing(store, clock)
        counter = Counter(store, clock, chosen, platform.till, platform.till._engine, ring, platform.vault)
        transport = httpx.ASGITransport(
            cast("Any", create_api(counter))
        )  # two libraries' types of one protocol
        async with httpx.AsyncClient(transport=transport, base_url="http://till.test") as client:
            yield Api(client, platform, await new_key(store, clock))


def problem_of(response: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and field of a refusal; it must be problem details in form."""
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert set(body) == {"type", "title", "status", "code", "detail", "field"}
    assert (body["status"], body["type"]) == (response.status_code, f"urn:tillkeeper:problem:{body['code']}")
    return response.status_code, body["code"], body["field"]


def uuid_of(text: str) -> UUID:
    """Any public id's UUID."""
    return from_typeid(text.rpartition("_")[0], text)

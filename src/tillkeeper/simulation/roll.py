"""The city on the platform: everybody gets an account and money, or is found again by their reference."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.limits import CITY_FUNDED_SECONDS
from tillkeeper.simulation.city import City
from tillkeeper.simulation.client import Api, Reply
from tillkeeper.simulation.habits import PER_HUNDRED_YUAN
from tillkeeper.simulation.people import Customer
from tillkeeper.simulation.places import Place
from tillkeeper.simulation.shops import BY_NAME, Merchant

PAGE: Final = 100
# Most people may spend what they have; a few set themselves a limit that they meet now and then.
DAILY_LIMIT: Final = 100_000_000
LOW_LIMIT: Final = 300_000
LOW_LIMIT_EVERY: Final = 50
CROWD: Final = 64
FUNDED_POLL_SECONDS: Final = 0.25

Progress = Callable[[str, int, int], None]


class Trouble(Exception):  # noqa: N818 - the city cannot live; the message says why
    """The platform does not let the city live. The message says what it answered."""


class Roll:
    """Who is who on the platform, and what we believe to be in the wallets.

    Purses are our own estimate, corrected by reading a wallet: the platform alone knows.
    """

    def __init__(self, city: City) -> None:
        self.city = city
        self.chapter = ""
        self.customers: dict[int, str] = {}
        self.merchants: dict[int, str] = {}
        self.purses: dict[tuple[int, str], int] = {}
        self._run = to_typeid("city", new_id())  # not hex: its digits could look like a card number
        self._keys = 0

    def key(self) -> str:
        """A new idempotency key."""
        self._keys += 1
        return f"{self._run}-{self._keys}"

    def read_purses(self, index: int, customer: dict[str, Any]) -> None:
        """Take over what the platform says is available."""
        for wallet in customer["wallets"]:
            self.purses[index, wallet["currency"]] = wallet["available"]


def fill(person: Customer, currency: str) -> int:
    """What a top-up brings, minor units of the currency."""
    if currency == "CNY":
        return person.funds
    return person.funds // 4 * PER_HUNDRED_YUAN[currency] // 100_00


def place_of(place: Place) -> dict[str, float]:
    """A place as the API takes it."""
    return {"lat": place.latitude, "lon": place.longitude}


async def populate(api: Api, city: City, tell: Progress) -> Roll:
    """Find or open everybody's account, and fill the wallets that are low. Raises Trouble, Unanswered."""
    roll = Roll(city)
    known = await _find(api, city)
    roll.chapter = await _newest_payment(api) if known else ""
    await _enroll(api, roll, known, tell)
    await _fund(api, roll, tell)
    return roll


async def _find(api: Api, city: City) -> dict[str, dict[str, Any]]:
    """Those of this city whom the platform knows, by reference."""
    prefix = f"city{city.seed}-"
    lists = await asyncio.gather(_read_all(api, "/v1/customers"), _read_all(api, "/v1/merchants"))
    return {
        party["reference"]: party
        for parties in lists
        for party in parties
        if party["reference"] and party["reference"].startswith(prefix)
    }


async def _read_all(api: Api, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        reply = _done(await api.get(f"{path}?limit={PAGE}{cursor}"))
        found += reply.body["data"]
        if reply.body["next_cursor"] is None:
            return found
        cursor = f"&cursor={reply.body['next_cursor']}"


async def _newest_payment(api: Api) -> str:
    newest = _done(await api.get("/v1/payments?limit=1")).body["data"]
    return newest[0]["id"] if newest else ""


async def _enroll(api: Api, roll: Roll, known: dict[str, dict[str, Any]], tell: Progress) -> None:
    async def customer(person: Customer) -> None:
        found = known.get(person.reference) or await _open_customer(api, roll, person)
        roll.customers[person.index] = found["id"]
        roll.read_purses(person.index, found)

    async def merchant(shop: Merchant) -> None:
        found = known.get(shop.reference) or await _open_merchant(api, roll, shop)
        roll.merchants[shop.index] = found["id"]

    city = roll.city
    await _crowd([merchant(shop) for shop in city.shops], lambda at, of: tell("shops", at, of))
    await _crowd([customer(person) for person in city.everybody()], lambda at, of: tell("customers", at, of))


async def _open_customer(api: Api, roll: Roll, person: Customer) -> dict[str, Any]:
    body = {
        "name": person.name,
        "phone": person.phone,
        "id_number": person.id_number,
        "currencies": person.currencies,
        "reference": person.reference,
        "daily_limit": LOW_LIMIT if person.index % LOW_LIMIT_EVERY == 1 else DAILY_LIMIT,
    }
    return _done(await api.post("/v1/customers", body, roll.key())).body


async def _open_merchant(api: Api, roll: Roll, shop: Merchant) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": shop.name,
        "category": shop.category,
        "currencies": shop.currencies,
        "reference": shop.reference,
        "fee_bps": BY_NAME[shop.category].fee_bps,
    }
    if shop.place is not None:
        body["place"] = place_of(shop.place)
    return _done(await api.post("/v1/merchants", body, roll.key())).body


async def _fund(api: Api, roll: Roll, tell: Progress) -> None:
    """Top up every wallet that is low, and wait until the bank has paid the last one."""

    async def top_up(person: Customer, currency: str) -> str:
        amount = fill(person, currency)
        body = {
            "customer": roll.customers[person.index],
            "amount": amount,
            "currency": currency,
        }
        payment: str = _done(await api.post("/v1/top-ups", body, roll.key())).body["id"]
        roll.purses[person.index, currency] = roll.purses.get((person.index, currency), 0) + amount
        return payment

    low = [
        (person, currency)
        for person in roll.city.everybody()
        for currency in person.currencies
        if roll.purses.get((person.index, currency), 0) < fill(person, currency) // 2
    ]
    asked = await _crowd([top_up(*wallet) for wallet in low], lambda at, of: tell("wallets", at, of))
    if asked:
        await _until_paid(api, set(asked), tell)


async def _until_paid(api: Api, asked: set[str], tell: Progress) -> None:
    for _ in range(int(CITY_FUNDED_SECONDS / FUNDED_POLL_SECONDS)):
        page = _done(await api.get(f"/v1/payments?state=pending&limit={PAGE}")).body
        waiting = sum(payment["id"] in asked for payment in page["data"])
        if not waiting and page["next_cursor"] is None:
            tell("funded", len(asked), len(asked))
            return
        await asyncio.sleep(FUNDED_POLL_SECONDS)
    raise Trouble("the bank has not paid the top-ups: is the agent running (`till serve agent`)?")


async def _crowd(work: Sequence[Coroutine[Any, Any, Any]], tell: Callable[[int, int], None]) -> list[Any]:
    """Do it all, CROWD at a time, in order; tell how far it is."""
    results: list[Any] = []
    queue: Iterable[Sequence[Coroutine[Any, Any, Any]]] = (
        work[start : start + CROWD] for start in range(0, len(work), CROWD)
    )
    for some in queue:
        results += await asyncio.gather(*some)
        tell(len(results), len(work))
    return results


def _done(reply: Reply) -> Reply:
    if not reply.done:
        raise Trouble(f"the platform answered {reply.status}: {reply.raw[:300].decode(errors='replace')}")
    return reply

"""The simulated city's intents as attempts that go straight to risk, with the truth about each."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from tillkeeper.risk import Attempt
from tillkeeper.simulation.acts import Pay, Send
from tillkeeper.simulation.city import City, build_city
from tillkeeper.simulation.plan import city_life

BEGIN = 1_775_000_000_000_000
SHOPS = 10**6  # shops are numbered from here, people from 1


class Told(NamedTuple):
    """An attempt, and the kind of attack it belongs to ("" if honest)."""

    attempt: Attempt
    truth: str


def told(seed: int, rate: float, count: int) -> list[Told]:
    """The first attempts of a city's life. Every payment goes through, so wallets are only guessed at."""
    return list(islice(_attempts(build_city(seed), rate), count))


def _attempts(city: City, rate: float) -> Iterator[Told]:
    people = city.everybody()
    wallets = {person.index: person.funds for person in city.people} | {
        mule.index: 1000 for mule in city.mules
    }
    number = 0
    for intent in city_life(city, rate):
        act = intent.act
        if not isinstance(act, Pay | Send):
            continue
        number += 1
        amount = act.amount
        if isinstance(act, Send):
            amount = amount or max(1, wallets[act.payer] * act.share_bp // 10_000)
            wallets[act.payee] += amount
        wallets[act.payer] -= amount
        if wallets[act.payer] < 0:
            wallets[act.payer] = people[act.payer].funds
        place = act.scene.place
        attempt = Attempt(
            id=UUID(int=(1 << 127) | (number << 64)),
            kind="send" if isinstance(act, Send) else "payment",
            at_us=BEGIN + int(intent.at * 1_000_000),
            customer=UUID(int=act.payer + 1),
            payee=UUID(int=act.payee + 1 if isinstance(act, Send) else SHOPS + act.merchant),
            amount=amount,
            currency=act.currency,
            device=act.scene.device,
            ip=act.scene.ip,
            latitude=place.latitude if place else None,
            longitude=place.longitude if place else None,
        )
        yield Told(attempt, intent.truth)

"""A shop whose risk has something to show: payments from many places, small and large, and what they turned out to be."""

import random
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from tests.support.shop import ASKED, FINE, HELD, REFUSED, Shop
from tillkeeper.base.ids import from_typeid
from tillkeeper.payments.commands import Context, Pay

PLACES: Final = (
    (31.23, 121.47, 12),
    (39.91, 116.41, 6),
    (22.54, 114.06, 4),
    (30.66, 104.08, 3),
    (1.35, 103.82, 1),
    (25.2, 55.27, 1),
)
_AMOUNTS: Final = (FINE, FINE, FINE, 8_800, ASKED + 900, HELD + 2_500, REFUSED)


async def furnish_risk(shop: Shop, payer: UUID, merchant: UUID, count: int, seed: int = 7) -> list[UUID]:
    """`count` payments from many places, of which every fifth or so was spoken of; their ids."""
    rng = random.Random(seed)
    places = [place for *place, weight in PLACES for _ in range(weight)]
    made = []
    for number in range(count):
        latitude, longitude = rng.choice(places)
        context = Context(
            device=f"phone-{number % 9}",
            ip=f"203.0.113.{number % 20}",
            latitude=latitude,
            longitude=longitude,
        )
        amount = rng.choice(_AMOUNTS)
        answer = await shop.till.submit(Pay(payer, merchant, amount, "CNY", context=context))
        made.append(from_typeid("pay", msgspec.json.decode(answer.body)["id"]))
    spoken = rng.sample(made, max(count // 5, 4))
    await speak(shop, [(each, number % 3 != 2) for number, each in enumerate(spoken)])
    return made


async def speak(shop: Shop, said: list[tuple[UUID, bool]]) -> None:
    """Say of payments whether they were fraud."""
    now = shop.clock.now()
    async with shop.store.tx("test labels") as tx:
        for payment, fraud in said:
            await tx.run(
                b"INSERT INTO risk.labels (payment, fraud, source, known_at, written_at)"
                b" VALUES (%(payment)s, %(fraud)s, 'report', %(known)s, %(at)s)",
                {"payment": payment, "fraud": fraud, "known": now - timedelta(minutes=1), "at": now},
            )

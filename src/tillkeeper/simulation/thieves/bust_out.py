"""Merchant bust-out: a shop that lived quietly suddenly books large sales on stolen wallets, then takes the money."""

from random import Random

from tillkeeper.simulation.acts import Intent, Pay, Withdraw
from tillkeeper.simulation.city import City
from tillkeeper.simulation.habits import price
from tillkeeper.simulation.people import device
from tillkeeper.simulation.thieves.common import at_counter, neighbours, shop_of

KIND = "bust_out"
TERMINALS = 2


def plan(rng: Random, city: City, start: float, number: int) -> list[Intent]:
    """8 to 11 sales to people of the town, at one to three times the shop's prices, on two phones; then it withdraws."""
    shop = shop_of(rng, city, "clothes", "electronics", "jewellery")
    counters = [at_counter(rng, shop, device(rng, "phone")) for _ in range(TERMINALS)]
    intents, at = [], start
    for victim in neighbours(rng, city, shop, rng.randrange(8, 12)):
        amount = min(price(rng, victim, shop, "CNY") * rng.choice((1, 2, 3)), victim.funds // 2)
        act = Pay(victim.index, shop.index, amount, "CNY", rng.choice(counters))
        intents.append(Intent(at, act, KIND, number, answers=False))
        at += rng.uniform(0.4, 1.1)
    intents.append(Intent(at + 1.0, Withdraw("merchant", shop.index, 9500), KIND, number))
    return intents

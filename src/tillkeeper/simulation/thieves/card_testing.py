"""Card testing: a list of stolen wallets is tried out, one tiny payment each, from one machine at one online shop."""

from random import Random

from tillkeeper.simulation.acts import Intent, Pay
from tillkeeper.simulation.city import City
from tillkeeper.simulation.thieves.common import hideout, shop_of, victims

KIND = "card_testing"


def plan(rng: Random, city: City, start: float, number: int) -> list[Intent]:
    """12 to 18 wallets within seconds, 1 to 9 yuan each: amounts like any other at such a shop."""
    scene = hideout(rng, shows_place=False)
    shop = shop_of(rng, city, "games", "online_shop")
    intents, at = [], start
    for victim in victims(rng, city, rng.randrange(12, 19)):
        act = Pay(victim.index, shop.index, rng.randrange(2, 19) * 50, "CNY", scene)
        intents.append(Intent(at, act, KIND, number, answers=False))
        at += rng.uniform(0.15, 0.6)
    return intents

"""Account takeover: a new device far away tries a small payment, then drains the wallet to a payee it never had."""

from random import Random

from tillkeeper.simulation.acts import Intent, Pay, Send, Withdraw
from tillkeeper.simulation.city import City
from tillkeeper.simulation.thieves.common import hideout, mules, shop_of, victims

KIND = "takeover"


def plan(rng: Random, city: City, start: float, number: int) -> list[Intent]:
    """One probe, three to five sends of a good part of what is left, and the payee withdraws."""
    scene = hideout(rng)
    (victim,), (mule,) = victims(rng, city, 1), mules(rng, city, 1)
    probe = Pay(victim.index, shop_of(rng, city, "games").index, rng.randrange(2, 30) * 100, "CNY", scene)
    intents, at = [Intent(start, probe, KIND, number, answers=False)], start
    for _ in range(rng.randrange(3, 6)):
        at += rng.uniform(0.8, 2.0)
        drain = Send(victim.index, mule.index, 0, "CNY", scene, share_bp=rng.randrange(2500, 6000))
        intents.append(Intent(at, drain, KIND, number, answers=False))
    intents.append(Intent(at + 1.5, Withdraw("customer", mule.index, 9000), KIND, number))
    return intents

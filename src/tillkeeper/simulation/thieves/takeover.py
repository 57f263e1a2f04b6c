"""Account takeover: a new device far away logs in with a code that the victim was talked into telling, changes the password,
tries a small payment, then drains the wallet to a payee it never had.
"""

from random import Random

from tillkeeper.simulation.acts import Change, Intent, LogIn, Pay, Send, Withdraw
from tillkeeper.simulation.city import City
from tillkeeper.simulation.people import agent
from tillkeeper.simulation.thieves.common import hideout, mules, shop_of

KIND = "takeover"


def plan(rng: Random, city: City, start: float, number: int) -> list[Intent]:
    """Login and new password; one probe, three to five sends of a good part of what is left, and the payee withdraws."""
    scene = hideout(rng)
    victim, (mule,) = rng.choice(city.regulars), mules(rng, city, 1)
    intents = [
        Intent(start, LogIn(victim.index, scene, agent(scene.device or "")), KIND, number),
        Intent(start + 0.4, Change(victim.index, "password", scene), KIND, number, answers=False),
    ]
    at = start + 0.8
    probe = Pay(victim.index, shop_of(rng, city, "games").index, rng.randrange(2, 30) * 100, "CNY", scene)
    intents.append(Intent(at, probe, KIND, number, answers=False))
    for _ in range(rng.randrange(3, 6)):
        at += rng.uniform(0.8, 2.0)
        drain = Send(victim.index, mule.index, 0, "CNY", scene, share_bp=rng.randrange(2500, 6000))
        intents.append(Intent(at, drain, KIND, number, answers=False))
    intents.append(Intent(at + 1.5, Withdraw("customer", mule.index, 9000), KIND, number))
    return intents

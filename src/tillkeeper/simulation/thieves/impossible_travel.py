"""Impossible travel: the owner pays at home while a copy of their wallet pays hundreds of kilometres away."""

from random import Random

from tillkeeper.simulation.acts import Intent, Pay, Scene
from tillkeeper.simulation.city import City
from tillkeeper.simulation.habits import price
from tillkeeper.simulation.people import Customer, device
from tillkeeper.simulation.places import distance_km, near
from tillkeeper.simulation.shops import Merchant
from tillkeeper.simulation.thieves.common import at_counter, victims

KIND = "impossible_travel"
FAR_KM = 600.0


def plan(rng: Random, city: City, start: float, number: int) -> list[Intent]:
    """One honest payment near home, then two or three far away; half of the copies show the owner's own device."""
    (victim,) = victims(rng, city, 1)
    near_home = Scene(victim.devices[0], victim.ips[2], near(rng, victim.home, 0.5))
    meal = Pay(
        victim.index, _shop(rng, city, victim, far=False).index, rng.randrange(10, 60) * 100, "CNY", near_home
    )
    held = victim.devices[0] if rng.random() < 0.5 else device(rng, "phone")
    intents, at = [Intent(start, meal)], start
    for _ in range(rng.randrange(2, 4)):
        at += rng.uniform(1.5, 3.5)
        shop = _shop(rng, city, victim, far=True)
        act = Pay(
            victim.index, shop.index, price(rng, victim, shop, "CNY"), "CNY", at_counter(rng, shop, held)
        )
        intents.append(Intent(at, act, KIND, number, answers=False))
    return intents


def _shop(rng: Random, city: City, victim: Customer, *, far: bool) -> Merchant:
    return rng.choice(
        [shop for shop in city.shops if shop.place and (distance_km(shop.place, victim.home) > FAR_KM) == far]
    )

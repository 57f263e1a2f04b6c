"""Slow skimming: a shop copies its guests' wallets; later each pays once somewhere else, on a thief's phone."""

from random import Random

from tillkeeper.simulation.acts import Intent, Pay
from tillkeeper.simulation.city import City
from tillkeeper.simulation.habits import price
from tillkeeper.simulation.people import Customer, device
from tillkeeper.simulation.shops import CATEGORIES, Merchant
from tillkeeper.simulation.thieves.common import at_counter

KIND = "skimming"
SKIMMERS = ("restaurant", "convenience", "tea_coffee", "supermarket")
PHONES = 3


def plan(rng: Random, city: City, start: float, number: int) -> list[Intent]:
    """Five to seven guests pay honestly at the skimmer; from five seconds on their copies pay, about one a second."""
    shop, guests = _skimmer(rng, city)
    guests = rng.sample(guests, min(len(guests), rng.randrange(5, 8)))
    phones = [device(rng, "phone") for _ in range(PHONES)]
    intents = []
    for turn, guest in enumerate(guests):
        table = at_counter(rng, shop, guest.devices[0])
        meal = Pay(guest.index, shop.index, price(rng, guest, shop, "CNY"), "CNY", table)
        intents.append(Intent(start + turn * 0.5, meal))
    for turn, guest in enumerate(guests):
        at = start + 5.0 + turn * rng.uniform(0.7, 1.0)
        act = _copy_pays(rng, city, guest, phones[turn % PHONES])
        intents.append(Intent(at, act, KIND, number, answers=False))
    return intents


def _skimmer(rng: Random, city: City) -> tuple[Merchant, list[Customer]]:
    """A shop with regular guests, and those guests."""
    positions = {category.name: at for at, category in enumerate(CATEGORIES)}
    for shop in rng.sample(city.shops, len(city.shops)):
        if shop.category in SKIMMERS:
            position = positions[shop.category]
            guests = [person for person in city.people if shop.index in person.favourites[position]]
            if len(guests) >= 5:
                return shop, guests
    raise ValueError("no shop of this city has five regular guests: it needs more customers")


def _copy_pays(rng: Random, city: City, guest: Customer, phone: str) -> Pay:
    """In the guest's own town, at a shop that is not among their favourites where there is one."""
    in_town = [shop for shop in city.shops if shop.town == guest.town]
    known = {index for favourites in guest.favourites for index in favourites}
    shop = rng.choice([shop for shop in in_town if shop.index not in known] or in_town)
    return Pay(guest.index, shop.index, price(rng, guest, shop, "CNY"), "CNY", at_counter(rng, shop, phone))

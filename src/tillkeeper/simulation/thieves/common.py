"""What thieves have in common: whom they rob, what they hold, where they sit."""

from random import Random

from tillkeeper.simulation.acts import Scene
from tillkeeper.simulation.city import City
from tillkeeper.simulation.people import Customer, device, far_ip, mobile_ip
from tillkeeper.simulation.places import FAR_PLACES, GPS_KM, near
from tillkeeper.simulation.shops import Merchant


def victims(rng: Random, city: City, count: int) -> list[Customer]:
    """Honest people, each once."""
    return rng.sample(city.people, min(count, len(city.people)))


def neighbours(rng: Random, city: City, shop: Merchant, count: int) -> list[Customer]:
    """Honest people who might really be in this shop: of its town, where enough of them live there."""
    town = [person for person in city.people if person.town == shop.town]
    return rng.sample(town if len(town) >= count else city.people, count)


def mules(rng: Random, city: City, count: int) -> list[Customer]:
    """Accounts that thieves own, each once."""
    return rng.sample(city.mules, count)


def shop_of(rng: Random, city: City, *categories: str) -> Merchant:
    """A shop of one of these categories."""
    return rng.choice([shop for shop in city.shops if shop.category in categories])


def at_counter(rng: Random, shop: Merchant, phone: str) -> Scene:
    """A phone on the mobile network of the shop's town, at the shop. The shop must have a door."""
    if shop.place is None or shop.town is None:
        raise ValueError(f"{shop.name} has no door to stand at")
    return Scene(phone, mobile_ip(rng, shop.town), near(rng, shop.place, GPS_KM))


def hideout(rng: Random, *, shows_place: bool = True) -> Scene:
    """A device and an address nobody in the city has used, far away."""
    place = near(rng, rng.choice(FAR_PLACES), 5.0) if shows_place else None
    return Scene(device(rng, "phone"), far_ip(rng), place)

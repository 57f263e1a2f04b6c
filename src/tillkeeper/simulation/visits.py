"""People who log in: the regulars, from home, work or the street, with their own devices; now and then a setting changes."""

from collections.abc import Iterator
from random import Random

from tillkeeper.simulation.acts import Change, Intent, LogIn, Scene
from tillkeeper.simulation.city import City
from tillkeeper.simulation.people import Customer, agent, device

LOGINS_PER_PAYMENT = 0.08
WRONG_PASSWORD = 0.05
NEW_PHONE = 0.01
CHANGES = (("payee", 0.03), ("phone", 0.004), ("password", 0.006), ("email", 0.003))


def visits(city: City, rate: float, chapter: str = "") -> Iterator[Intent]:
    """Logins of the regulars in order of time, for ever, where the city makes `rate` payments a second."""
    rng = Random(f"{city.seed}/visits/{chapter}")
    phones: dict[int, str] = {}
    at = 0.0
    while True:
        at += rng.expovariate(rate * LOGINS_PER_PAYMENT)
        person = rng.choice(city.regulars)
        if rng.random() < NEW_PHONE:
            phones[person.index] = device(rng, "phone")
        scene = _scene(rng, person, phones.get(person.index, person.devices[0]))
        program = agent(scene.device or "")
        if rng.random() < WRONG_PASSWORD:
            yield Intent(at, LogIn(person.index, scene, program, succeeded=False))
        yield Intent(at, LogIn(person.index, scene, program))
        for kind, share in CHANGES:
            if rng.random() < share:
                yield Intent(at, Change(person.index, kind, scene))


def _scene(rng: Random, person: Customer, phone: str) -> Scene:
    """At home mostly, at work, or under way; a second device stays at home."""
    place = rng.choices((0, 1, 2), (55, 20, 25))[0]
    held = rng.choice(person.devices) if place == 0 and rng.random() < 0.2 else phone
    where = (person.home, person.work, None)[place]
    return Scene(held, person.ips[place], where)

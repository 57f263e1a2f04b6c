"""Credential stuffing: passwords from somebody else's leak, tried at many accounts from one address; a few are right."""

from random import Random

from tillkeeper.simulation.acts import Intent, LogIn, Scene
from tillkeeper.simulation.city import City
from tillkeeper.simulation.people import device, far_ip
from tillkeeper.simulation.thieves.common import victims

KIND = "stuffing"
TRIED = (30, 45)
RIGHT = 0.06
PROGRAM = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/109.0.0.0 Safari/537.36"


def plan(rng: Random, city: City, start: float, number: int) -> list[Intent]:
    """Some forty accounts within ten seconds, through one address, by a program that names its device anew now and then."""
    ip, names = far_ip(rng), [device(rng, "pc") for _ in range(3)]
    folk = victims(rng, city, rng.randrange(*TRIED))
    intents, at = [], start
    for person in folk:
        at += rng.uniform(0.1, 10 / TRIED[1])
        scene = Scene(rng.choice(names), ip, None)
        act = LogIn(person.index, scene, PROGRAM, succeeded=rng.random() < RIGHT)
        intents.append(Intent(at, act, KIND, number, answers=False))
    return intents

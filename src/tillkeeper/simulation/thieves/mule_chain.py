"""Mule chain: a victim is talked into sending; the money runs through accounts of one operator and leaves."""

from random import Random

from tillkeeper.simulation.acts import Intent, Scene, Send, Withdraw
from tillkeeper.simulation.city import City
from tillkeeper.simulation.people import device, home_ip
from tillkeeper.simulation.places import GPS_KM, near
from tillkeeper.simulation.thieves.common import mules, victims

KIND = "mule_chain"


def plan(rng: Random, city: City, start: float, number: int) -> list[Intent]:
    """Victim to first, first to second, second to third in two parts, third withdraws.

    The victim acts with their own phone at home and answers every challenge; so do the mules, whose accounts
    are in truth their own. One phone and one address operate all three.
    """
    (victim,) = victims(rng, city, 1)
    first, second, third = mules(rng, city, 3)
    at_home = Scene(victim.devices[0], victim.ips[0], near(rng, victim.home, GPS_KM))
    office = Scene(device(rng, "phone"), home_ip(rng), near(rng, first.home, 0.5))
    steps = (
        (0.0, Send(victim.index, first.index, 0, "CNY", at_home, "保证金", rng.randrange(4000, 8000))),
        (2.0, Send(first.index, second.index, 0, "CNY", office, "", 9500)),
        (4.0, Send(second.index, third.index, 0, "CNY", office, "", 5000)),
        (5.2, Send(second.index, third.index, 0, "CNY", office, "", 9500)),
        (7.5, Withdraw("customer", third.index, 10_000)),
    )
    return [Intent(start + delay + rng.uniform(0, 0.5), act, KIND, number) for delay, act in steps]

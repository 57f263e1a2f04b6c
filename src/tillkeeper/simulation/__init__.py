"""A city of customers, shops and thieves beside the house: a client that knows the platform's public API only.

`build_city` and `city_life` are pure and seeded; `populate` and `Street` speak HTTP; `summary` tells what came of it.
"""

from tillkeeper.simulation import summary
from tillkeeper.simulation.city import City, build_city
from tillkeeper.simulation.client import Api, Unanswered
from tillkeeper.simulation.plan import city_life
from tillkeeper.simulation.roll import Roll, Trouble, populate
from tillkeeper.simulation.street import Street
from tillkeeper.simulation.wire import Wire

__all__ = [
    "Api",
    "City",
    "Roll",
    "Street",
    "Trouble",
    "Unanswered",
    "Wire",
    "build_city",
    "city_life",
    "populate",
    "summary",
]

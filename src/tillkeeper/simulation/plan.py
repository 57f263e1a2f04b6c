"""What happens in the city, honest and not, in one stream ordered by time."""

from collections.abc import Iterator
from heapq import merge

from tillkeeper.simulation.acts import Intent
from tillkeeper.simulation.city import City
from tillkeeper.simulation.habits import HonestLife
from tillkeeper.simulation.thieves import attacks


def city_life(city: City, rate: float) -> Iterator[Intent]:
    """Every intent from the moment the city awakes, about `rate` payments a second, for ever."""
    return merge(HonestLife(city, rate).intents(), attacks(city, rate), key=lambda intent: intent.at)

"""What happens in the city, honest and not, in one stream ordered by time."""

from collections.abc import Iterator
from heapq import merge

from tillkeeper.simulation.acts import Intent
from tillkeeper.simulation.city import City
from tillkeeper.simulation.habits import HonestLife
from tillkeeper.simulation.thieves import attacks, login_attacks
from tillkeeper.simulation.visits import visits


def city_life(city: City, rate: float, chapter: str = "") -> Iterator[Intent]:
    """Every intent from the moment the city awakes, about `rate` payments a second, for ever.

    A city that awakes again lives another `chapter`, or thieves would come back with devices long known.
    """
    streams = (
        HonestLife(city, rate, chapter).intents(),
        attacks(city, rate, chapter),
        visits(city, rate, chapter),
        login_attacks(city, rate, chapter),
    )
    return merge(*streams, key=lambda intent: intent.at)

"""Honest people whose money moves like that of mules: it comes in, and nearly all of it goes on at once.

Far more of them than live in a city of this size, so that a detector's false alarms can be counted. Nobody here shares a phone but
the families with a tablet. Everybody is new to everybody else, as in a platform's first month.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from random import Random
from typing import Final

from tillkeeper.simulation.acts import Act, Intent, Pay, Scene, Send, Withdraw
from tillkeeper.simulation.city import City
from tillkeeper.simulation.people import Customer, device, home_ip, mobile_ip
from tillkeeper.simulation.places import GPS_KM, near

FIRST: Final = 500_000
"""Index of the first of these people; each story brings new ones where it says so."""
BEFORE: Final = 900.0
PAUSE: Final = 45.0
"""Seconds between two stories of a kind, on average."""

Story = Callable[["Neighbours"], Iterator[tuple[float, Act]]]


class Neighbours:
    """Stories of honest money, by their kinds."""

    def __init__(self, city: City) -> None:
        self.rng = Random(f"{city.seed}/neighbours")
        self.city = city
        self._next = FIRST
        self._phones: dict[int, Scene] = {}
        self.newcomers: list[int] = []

    def stranger(self) -> int:
        """Somebody who hardly pays here: their own phone, their own line."""
        self._next += 1
        self.newcomers.append(self._next)
        return self._next

    def person(self) -> Customer:
        """Somebody of the city."""
        return self.rng.choice(self.city.people)

    def scene(self, index: int) -> Scene:
        """Where somebody acts: always the same phone."""
        if index not in self._phones:
            if index < len(self.city.people):
                one = self.city.people[index]
                self._phones[index] = Scene(one.devices[0], one.ips[0], near(self.rng, one.home, GPS_KM))
            else:
                ip = home_ip(self.rng) if self.rng.random() < 0.5 else mobile_ip(self.rng, 0)
                self._phones[index] = Scene(device(self.rng, "phone"), ip, None)
        return self._phones[index]

    def use(self, people: list[int], scene: Scene) -> None:
        """They share it."""
        self._phones.update(dict.fromkeys(people, scene))

    def sends(self, payer: int, payee: int, amount: int, scene: Scene | None = None) -> Send:
        """A transfer, in fen."""
        return Send(payer, payee, amount, "CNY", scene or self.scene(payer))

    def minutes(self, least: float, most: float) -> float:
        """In seconds."""
        return self.rng.uniform(least, most) * 60

    def stories(self) -> Iterator[tuple[str, Intent]]:
        """Everything that they do in order of time, for ever, with the kind of story."""
        waiting: list[tuple[float, int, str, Intent]] = []
        begins = {kind: self.rng.expovariate(1 / PAUSE) for kind in STORIES}
        number = 0
        while True:
            kind = min(begins, key=begins.__getitem__)
            begin = begins[kind]
            while waiting and waiting[0][0] <= begin:
                *_, name, intent = heappop(waiting)
                yield name, intent
            for delay, act in self._told(kind):
                number += 1
                heappush(waiting, (begin + delay, number, kind, Intent(begin + delay, act)))
            begins[kind] += self.rng.expovariate(1 / PAUSE)

    def _told(self, kind: str) -> Iterator[tuple[float, Act]]:
        """A story. Whoever is new here bought something on their phone a quarter of an hour before."""
        acts = list(STORIES[kind](self))
        shops = [each.index for each in self.city.shops if each.category in ("convenience", "online_shop")]
        for index in self.newcomers:
            amount = self.rng.randrange(5, 60) * 100
            yield self.minutes(0, 4), Pay(index, self.rng.choice(shops), amount, "CNY", self.scene(index))
        self.newcomers.clear()
        for delay, act in acts:
            yield BEFORE + delay, act


def _flat(town: Neighbours) -> Iterator[tuple[float, Act]]:
    """Three share a flat; one collects and sends the rent on to the landlord, who withdraws it."""
    mates, landlord = [town.person().index for _ in range(3)], town.stranger()
    share = town.rng.randrange(1200, 2500) * 100
    at = 0.0
    for mate in mates[1:]:
        at += town.minutes(0.2, 3)
        yield at, town.sends(mate, mates[0], share)
    at += town.minutes(0.5, 8)
    yield at, town.sends(mates[0], landlord, share * 2)
    yield at + town.minutes(1, 10), Withdraw("customer", landlord, 9800)


def _student(town: Neighbours) -> Iterator[tuple[float, Act]]:
    """A parent sends the month's money to a child away from home, who sends the rent of a room on at once."""
    parent, child, landlord = town.person().index, town.stranger(), town.stranger()
    yield 0.0, town.sends(parent, child, town.rng.randrange(2000, 5000) * 100)
    at = town.minutes(0.5, 6)
    yield at, Send(child, landlord, 0, "CNY", town.scene(child), share_bp=town.rng.randrange(6000, 9500))
    yield at + town.minutes(1, 15), Withdraw("customer", landlord, 10_000)


def _family(town: Neighbours) -> Iterator[tuple[float, Act]]:
    """One tablet for three: what one earns goes through the other's wallet to grandmother, who withdraws it."""
    people = [town.stranger() for _ in range(3)]
    tablet = Scene(device(town.rng, "tablet"), home_ip(town.rng), None)
    town.use(people, tablet)
    giver = town.person().index
    yield 0.0, town.sends(giver, people[0], town.rng.randrange(1500, 4000) * 100)
    at = town.minutes(2, 20)
    yield at, Send(people[0], people[1], 0, "CNY", tablet, share_bp=town.rng.randrange(5000, 9500))
    at += town.minutes(2, 20)
    yield at, Send(people[1], people[2], 0, "CNY", tablet, share_bp=town.rng.randrange(5000, 9500))
    yield at + town.minutes(5, 20), Withdraw("customer", people[2], 9000)


def _seller(town: Neighbours) -> Iterator[tuple[float, Act]]:
    """Somebody sells a used motorcycle to a stranger and takes the money to the bank at once."""
    buyer, seller = town.person().index, town.stranger()
    yield 0.0, town.sends(buyer, seller, town.rng.randrange(2000, 9000) * 100)
    yield town.minutes(0.5, 5), Withdraw("customer", seller, 10_000)


def _collector(town: Neighbours) -> Iterator[tuple[float, Act]]:
    """Six friends pay one of them, who pays the guide: a stranger to all, who takes it to the bank."""
    friends, guide = [town.person().index for _ in range(7)], town.stranger()
    share = town.rng.randrange(100, 600) * 100
    at = 0.0
    for friend in friends[1:]:
        at += town.minutes(0.1, 1)
        yield at, town.sends(friend, friends[0], share)
    at += town.minutes(0.5, 5)
    yield at, town.sends(friends[0], guide, share * 6)
    yield at + town.minutes(1, 20), Withdraw("customer", guide, 9500)


def _wages(town: Neighbours) -> Iterator[tuple[float, Act]]:
    """A builder pays five workers, who send most of it home within minutes; there it is taken to the bank."""
    boss = town.stranger()
    at = 0.0
    for _ in range(5):
        worker, home = town.stranger(), town.stranger()
        at += town.minutes(0.1, 0.5)
        yield at, town.sends(boss, worker, town.rng.randrange(35, 70) * 10_000)
        later = at + town.minutes(1, 30)
        yield later, Send(worker, home, 0, "CNY", town.scene(worker), share_bp=town.rng.randrange(5000, 9500))
        yield later + town.minutes(2, 30), Withdraw("customer", home, town.rng.randrange(5000, 10_000))


STORIES: Final[dict[str, Story]] = {
    "flat": _flat,
    "student": _student,
    "family": _family,
    "seller": _seller,
    "collector": _collector,
    "wages": _wages,
}

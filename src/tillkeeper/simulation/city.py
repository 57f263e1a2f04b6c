"""The city: the same seed gives the same city, bit for bit."""

import msgspec

from tillkeeper.simulation.people import Customer, hire_mules, settle_people
from tillkeeper.simulation.shops import Merchant, open_shops

CUSTOMERS = 2000
MERCHANTS = 300
MULES = 60


class City(msgspec.Struct, frozen=True):
    """Everybody who lives here. `people` are the honest ones; thieves own the accounts in `mules`."""

    seed: int
    people: tuple[Customer, ...]
    mules: tuple[Customer, ...]
    shops: tuple[Merchant, ...]

    def customer(self, index: int) -> Customer:
        """The person or mule of this index: mules are numbered after people."""
        return self.people[index] if index < len(self.people) else self.mules[index - len(self.people)]

    @property
    def regulars(self) -> tuple[Customer, ...]:
        """Those who log in each time they come; everybody else stays signed in."""
        return self.people[: max(len(self.people) // 30, 1)]

    def everybody(self) -> tuple[Customer, ...]:
        """People and mules in the order of their indexes."""
        return self.people + self.mules


def build_city(seed: int, customers: int = CUSTOMERS, merchants: int = MERCHANTS, mules: int = MULES) -> City:
    """The city of this seed. Changing one number leaves the rest of the city as it was, as far as it can."""
    shops = open_shops(seed, merchants)
    people = settle_people(seed, customers, shops)
    return City(seed, people, hire_mules(seed, len(people), mules), shops)

"""People: where they live and work, what they hold in their hands, what they earn, where they like to shop."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import Random

import msgspec

from tillkeeper.simulation import papers
from tillkeeper.simulation.names import full_name, surname
from tillkeeper.simulation.places import TOWNS, Place, distance_km, near
from tillkeeper.simulation.shops import CATEGORIES, PER_MILLE, Merchant

MIDDLE_INCOME = 900_000
SECOND_CURRENCIES = ("USD", "EUR", "JPY")
SECOND_CURRENCY_SHARE = 0.08
SECOND_DEVICE_SHARE = 0.05
FAVOURITES_PER_CATEGORY = 2


class Customer(msgspec.Struct, frozen=True):
    """A person. `income` is fen a month; `favourites` maps a category's position to shops (indexes).

    `ips` are those of home, work and mobile; people of one household share the first, colleagues the second.
    `lively` weighs how often this person pays; `friends` are the people money is sent to.
    """

    index: int
    reference: str
    name: str
    phone: str
    id_number: str | None
    town: int
    home: Place
    work: Place
    devices: tuple[str, ...]
    ips: tuple[str, str, str]
    income: int
    currencies: tuple[str, ...]
    favourites: tuple[tuple[int, ...], ...]
    friends: tuple[int, ...]
    lively: int

    @property
    def funds(self) -> int:
        """What the wallet is filled with at first and again when it runs low, in fen."""
        return self.income // 100_00 * 60_00 + 100_000


class _Roof(msgspec.Struct, frozen=True):
    """A home or a workplace: one place, one network."""

    town: int
    place: Place
    ip: str
    family: str


def settle_people(seed: int, count: int, shops: Sequence[Merchant]) -> tuple[Customer, ...]:
    """The seeded list of people who live in the city."""
    homes = [_roof(seed, "home", index, 3.0) for index in range(count * 2 // 3 + 1)]
    works = [_roof(seed, "work", index, 1.0) for index in range(count // 20 + len(TOWNS))]
    by_town = _positions_by_town(works)
    shelves = _shelves(shops)
    lives_at = [index % len(homes) for index in range(count)]
    neighbours = _positions_by_town([homes[home] for home in lives_at])
    return tuple(
        _settle(seed, index, homes[lives_at[index]], works, by_town, neighbours, shelves)
        for index in range(count)
    )


def hire_mules(seed: int, first: int, count: int) -> tuple[Customer, ...]:
    """People with an account for sale: little income, no friends, no favourite shops."""
    return tuple(_hire(seed, first + number, number) for number in range(count))


def _hire(seed: int, index: int, number: int) -> Customer:
    rng = Random(f"{seed}/mule/{number}")
    roof = _roof(seed, "mule-home", number, 3.0)
    name = full_name(rng, surname(rng))
    return Customer(
        index=index,
        reference=f"city{seed}-late-{number:04d}",
        name=name,
        phone=papers.phone(seed, index, name),
        id_number=papers.id_number(Random(f"{seed}/papers/{index}"), name, roof.town),
        town=roof.town,
        home=roof.place,
        work=roof.place,
        devices=(device(rng, "phone"),),
        ips=(roof.ip, roof.ip, mobile_ip(rng, roof.town)),
        income=rng.randrange(50_000, 200_000),
        currencies=("CNY",),
        favourites=(),
        friends=(),
        lively=0,
    )


def _settle(
    seed: int,
    index: int,
    home: _Roof,
    works: Sequence[_Roof],
    works_by_town: Sequence[Sequence[int]],
    neighbours: Sequence[Sequence[int]],
    shelves: "Shelves",
) -> Customer:
    rng = Random(f"{seed}/person/{index}")
    work = works[rng.choice(works_by_town[home.town])] if rng.random() < 0.85 else home
    devices = [device(rng, "phone")]
    if rng.random() < SECOND_DEVICE_SHARE:
        devices.append(device(rng, "tablet"))
    second = (rng.choice(SECOND_CURRENCIES),) if rng.random() < SECOND_CURRENCY_SHARE else ()
    name = full_name(rng, home.family)
    return Customer(
        index=index,
        reference=f"city{seed}-person-{index:05d}",
        name=name,
        phone=papers.phone(seed, index, name),
        id_number=papers.id_number(Random(f"{seed}/papers/{index}"), name, home.town),
        town=home.town,
        home=home.place,
        work=work.place,
        devices=tuple(devices),
        ips=(home.ip, work.ip, mobile_ip(rng, home.town)),
        income=income(rng),
        currencies=("CNY", *second),
        favourites=tuple(_favourites(rng, home, work, shelf) for shelf in shelves[home.town]),
        friends=_friends(rng, index, neighbours[home.town]),
        lively=rng.choice((2, 3, 3, 4)),
    )


Shelves = tuple[tuple[tuple[Merchant, ...], ...], ...]


def _shelves(shops: Sequence[Merchant]) -> Shelves:
    """The shops one can reach, by town and then by category: those of the town and those without a door."""
    return tuple(
        tuple(
            tuple(shop for shop in shops if shop.category == category.name and shop.town in (None, town))
            for category in CATEGORIES
        )
        for town in range(len(TOWNS))
    )


def _favourites(rng: Random, home: _Roof, work: _Roof, shelf: Sequence[Merchant]) -> tuple[int, ...]:
    """Shops near home and near work; of online shops, any."""
    if not shelf or shelf[0].place is None:
        return tuple(shop.index for shop in rng.sample(shelf, min(FAVOURITES_PER_CATEGORY, len(shelf))))
    from_home = min(shelf, key=lambda shop: _way(shop, home) * rng.uniform(0.5, 2.0))
    from_work = min(shelf, key=lambda shop: _way(shop, work) * rng.uniform(0.5, 2.0))
    return (from_home.index, from_work.index)


def _way(shop: Merchant, roof: _Roof) -> float:
    return distance_km(shop.place, roof.place) if shop.place else 0.0


def _friends(rng: Random, index: int, town: Sequence[int]) -> tuple[int, ...]:
    """Three to seven people of the same town, never oneself; in a town of one, nobody."""
    chosen = rng.sample(town, min(len(town), rng.randrange(4, 9)))
    return tuple(friend for friend in chosen if friend != index)


def _positions_by_town(roofs: Sequence[_Roof]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(position for position, roof in enumerate(roofs) if roof.town == town)
        for town in range(len(TOWNS))
    )


_TOWN_EDGES = tuple(accumulate(town.share for town in TOWNS))


def _roof(seed: int, purpose: str, index: int, km: float) -> _Roof:
    rng = Random(f"{seed}/{purpose}/{index}")
    # The first roofs go round the towns, so that every town has homes and work however small the city is.
    town = index if index < len(TOWNS) else bisect_right(_TOWN_EDGES, rng.randrange(_TOWN_EDGES[-1]))
    _, centre = rng.choice(TOWNS[town].districts)
    return _Roof(town, near(rng, centre, km), home_ip(rng), surname(rng))


def income(rng: Random) -> int:
    """A month's income in fen, whole hundreds of yuan; half earn less than MIDDLE_INCOME."""
    per_mille = int(PER_MILLE * rng.lognormvariate(0, 0.45))
    return MIDDLE_INCOME * min(max(per_mille, 250), 6000) // PER_MILLE // 100_00 * 100_00


def device(rng: Random, kind: str) -> str:
    """A device's fingerprint."""
    return f"{kind}-{rng.getrandbits(48):012x}"


_BUILDS = ("126.0.6478.71", "127.0.6533.64", "125.0.6422.165")
_MODELS = ("Pixel 8", "SM-S9210", "V2309A", "PJD110", "23127PN0CC", "M2102K1C")


def agent(device: str) -> str:
    """The User-Agent of a device, always the same for one."""
    rng = Random(device)
    if device.startswith("tablet"):
        return f"Mozilla/5.0 (iPad; CPU OS 17_{rng.randrange(2, 7)} like Mac OS X) AppleWebKit/605.1.15 Version/17.4 Safari/604.1"
    if rng.random() < 0.35:
        system = f"17_{rng.randrange(2, 7)}"
        return f"Mozilla/5.0 (iPhone; CPU iPhone OS {system} like Mac OS X) AppleWebKit/605.1.15 Version/17.4 Mobile Safari/604.1"
    build, model = rng.choice(_BUILDS), rng.choice(_MODELS)
    return f"Mozilla/5.0 (Linux; Android 14; {model}) AppleWebKit/537.36 Chrome/{build} Mobile Safari/537.36"


def home_ip(rng: Random) -> str:
    """An address as fixed lines have them."""
    return f"{rng.choice((36, 58, 101, 114, 180, 223))}.{rng.randrange(1, 255)}.{rng.randrange(255)}.{rng.randrange(1, 255)}"


def mobile_ip(rng: Random, town: int) -> str:
    """One of the few addresses behind which a town's mobile customers appear (carrier-grade NAT)."""
    return f"39.{144 + town}.{rng.randrange(16)}.{rng.randrange(1, 17)}"


def far_ip(rng: Random) -> str:
    """An address from a hoster that nobody of the city uses."""
    return f"{rng.choice((45, 91, 185, 193))}.{rng.randrange(1, 255)}.{rng.randrange(255)}.{rng.randrange(1, 255)}"

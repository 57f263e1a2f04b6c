"""Honest life: an endless, seeded stream of what people do, at a given number of payments a second."""

from collections.abc import Iterator
from random import Random

from tillkeeper.simulation.acts import BASIS_POINTS, After, Intent, Pay, Scene, Send, Spoil, Withdraw
from tillkeeper.simulation.city import City
from tillkeeper.simulation.faults import FAULTS
from tillkeeper.simulation.people import MIDDLE_INCOME, Customer, device
from tillkeeper.simulation.places import GPS_KM, near
from tillkeeper.simulation.rhythm import at_work, city_hour, shop_weights
from tillkeeper.simulation.shops import BY_NAME, CATEGORIES, PER_MILLE, Category, Merchant

SEND_SHARE = 0.08
WITHDRAW_SHARE = 0.004
SPOIL_SHARE = 0.003
REPEAT_SHARE = 0.005
EXPLORE_SHARE = 0.06
NEW_PHONE_SHARE = 0.001
NO_PLACE_SHARE = 0.25
STRANGER_SHARE = 0.04
FOREIGN_SHARE = 0.35
# What 100 yuan are worth elsewhere, in minor units (USD and EUR cents, whole yen).
PER_HUNDRED_YUAN = {"USD": 1400, "EUR": 1250, "JPY": 2100}
FAULT_KINDS = tuple(FAULTS)
NOTES = ("房租", "红包", "AA 午饭", "还你", "电费", "生日快乐", "团购", "车费", "dinner", "thanks!")


class HonestLife:
    """The stream of honest intents. Its state (who has a new phone) only depends on the seed and the city."""

    def __init__(self, city: City, rate: float, chapter: str = "") -> None:
        self.city = city
        self.rate = rate
        self.rng = Random(f"{city.seed}/life/{chapter}")
        self.phones: dict[int, str] = {}
        self.reachable = _reachable(city.shops)

    def intents(self) -> Iterator[Intent]:
        """Intents in order of time, as a Poisson process of `rate` payments a second."""
        at, payers = 0.0, self._payers()
        for number, person in enumerate(payers):
            at += self.rng.expovariate(self.rate)
            day, hour = city_hour(number)
            yield Intent(at, self._payment(person, day, hour))
            yield from self._besides(at, person)

    def _payers(self) -> Iterator[Customer]:
        """Everybody in turn, the lively more often: a shuffled round, so nobody pays in a frenzy."""
        deck = [person.index for person in self.city.people for _ in range(person.lively)]
        while True:
            self.rng.shuffle(deck)
            for index in deck:
                yield self.city.people[index]

    def _besides(self, at: float, person: Customer) -> Iterator[Intent]:
        """What happens beside payments: shops withdraw their takings, and somebody's program is broken."""
        draw = self.rng.random()
        shop = self.rng.choice(self.city.shops)
        if draw < WITHDRAW_SHARE:
            yield Intent(at, Withdraw("merchant", shop.index, self.rng.choice((3000, 6000, 9000))))
        elif draw < WITHDRAW_SHARE + SPOIL_SHARE:
            yield Intent(at, Spoil(self.rng.choice(FAULT_KINDS), person.index, shop.index))

    def _payment(self, person: Customer, day: int, hour: int) -> Pay | Send:
        if person.friends and self.rng.random() < SEND_SHARE:
            return self._send(person, day, hour)
        (position,) = self.rng.choices(range(len(CATEGORIES)), shop_weights(day, hour))
        shop = self._shop(person, position)
        if shop is None:
            return self._send(person, day, hour)
        return self._purchase(person, shop, day, hour)

    def _shop(self, person: Customer, position: int) -> Merchant | None:
        favourites = person.favourites[position]
        if favourites and self.rng.random() >= EXPLORE_SHARE:
            return self.city.shops[self.rng.choice(favourites)]
        shelf = self.reachable.get((person.town, position)) or self.reachable.get((None, position))
        return self.rng.choice(shelf) if shelf else None

    def _purchase(self, person: Customer, shop: Merchant, day: int, hour: int) -> Pay:
        category, rng = BY_NAME[shop.category], self.rng
        currency = "CNY"
        if (
            len(person.currencies) > 1
            and person.currencies[1] in shop.currencies
            and rng.random() < FOREIGN_SHARE
        ):
            currency = person.currencies[1]
        manual = rng.random() < category.manual
        qr = ""
        if not manual and rng.random() < category.qr:
            qr = "open" if rng.random() < 0.8 else "fixed"
        return Pay(
            payer=person.index,
            merchant=shop.index,
            amount=price(rng, person, shop, currency),
            currency=currency,
            scene=self._scene(person, shop, day, hour),
            qr=qr,
            manual=manual,
            after=_afterwards(rng, category, manual=manual),
            repeat=rng.random() < REPEAT_SHARE,
        )

    def _send(self, person: Customer, day: int, hour: int) -> Send:
        rng = self.rng
        payee = rng.choice(person.friends) if person.friends else person.index
        if payee == person.index or rng.random() < STRANGER_SHARE:
            payee = (person.index + rng.randrange(1, len(self.city.people))) % len(self.city.people)
        per_mille = int(PER_MILLE * rng.lognormvariate(0, 1.2))
        amount = min(max(8800 * per_mille // PER_MILLE, 100), person.income // 2) // 100 * 100
        return Send(
            person.index, payee, amount, "CNY", self._scene(person, None, day, hour), rng.choice(NOTES)
        )

    def _scene(self, person: Customer, shop: Merchant | None, day: int, hour: int) -> Scene:
        """In a shop: the phone, mobile network, the shop's place. Otherwise: at home or at work."""
        rng = self.rng
        if shop is not None and shop.place is not None:
            return Scene(self._phone(person), person.ips[2], near(rng, shop.place, GPS_KM))
        working = at_work(day, hour)
        at_rest = len(person.devices) > 1 and not working and rng.random() < 0.3
        held = person.devices[1] if at_rest else self._phone(person)
        place = (
            None
            if rng.random() < NO_PLACE_SHARE
            else near(rng, person.work if working else person.home, GPS_KM)
        )
        return Scene(held, person.ips[1 if working else 0], place)

    def _phone(self, person: Customer) -> str:
        """The person's phone; once in a while it has just been replaced by a new one."""
        if self.rng.random() < NEW_PHONE_SHARE:
            self.phones[person.index] = device(self.rng, "phone")
        return self.phones.get(person.index, person.devices[0])


def price(rng: Random, person: Customer, shop: Merchant, currency: str) -> int:
    """What this person spends here, in minor units: the shop's price, swayed by income, as tills round it."""
    category = BY_NAME[shop.category]
    wealth = PER_MILLE + (person.income * PER_MILLE // MIDDLE_INCOME - PER_MILLE) // 2
    chance = int(PER_MILLE * rng.lognormvariate(0, category.spread))
    fen = category.price * shop.level * wealth * chance // PER_MILLE**3
    if currency != "CNY":
        return max(fen * PER_HUNDRED_YUAN[currency] // 100_00, 50)
    step = 50 if fen < 10_000 else 100
    return max(fen // step * step, 100)


def _afterwards(rng: Random, category: Category, *, manual: bool) -> tuple[After, ...]:
    after: list[After] = []
    if manual:
        draw = rng.random()
        deed = "void" if draw < 0.06 else "capture"
        after.append(After(deed, rng.uniform(0.5, 6.0), 8000 if 0.06 <= draw < 0.2 else BASIS_POINTS))
        if deed == "void":
            return tuple(after)
    if rng.random() < category.refunded:
        after.append(
            After("refund", rng.uniform(1.0, 8.0), rng.choice((BASIS_POINTS, BASIS_POINTS, 5000, 2500)))
        )
    return tuple(after)


def _reachable(shops: tuple[Merchant, ...]) -> dict[tuple[int | None, int], list[Merchant]]:
    """Shops by town and category position; those without a door under the town None."""
    found: dict[tuple[int | None, int], list[Merchant]] = {}
    positions = {category.name: position for position, category in enumerate(CATEGORIES)}
    for shop in shops:
        found.setdefault((shop.town, positions[shop.category]), []).append(shop)
    return found

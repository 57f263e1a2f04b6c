"""People who log in for a year, and four kinds of attackers, made up: what the protocol of logins is measured on.

Made to be hard in the ways that life is. Honest people roam between home, work and carrier-grade NAT, get a new address from
their provider, travel at home and abroad, use VPNs, update browsers, buy phones, clear their cookies or never keep any.

* naive: a stolen password tried from a hoster or a broken home router anywhere, with a common program
* vpn: the attacker knows the country, and comes out of a VPN there, with a program that is common there
* targeted: knows the victim's provider and program: from the same network in every second case (else another provider of the
  country, by its share), with the very same User-Agent in three of five cases (else the same browser and system)
* very_targeted: the victim's own network, User-Agent and hours; in one case of five the device's identity was stolen as well

Networks, addresses and programs are invented; shares are of the size that is known of real ones. A seed gives the same crowd.
"""

from collections.abc import Iterator
from random import Random
from typing import Final, Literal

import msgspec

ATTACKERS: Final = ("naive", "vpn", "targeted", "very_targeted")
Attacker = Literal["naive", "vpn", "targeted", "very_targeted"]
YEAR_DAYS: Final = 365
DAY_SECONDS: Final = 86_400

COUNTRIES: Final = ("CN", "HK", "SG", "US", "DE", "BR", "IN", "RU", "NG", "VN")
_HOME_WEIGHTS: Final = (88, 3, 2, 2, 1, 1, 1, 1, 0.5, 0.5)
_ATTACK_WEIGHTS: Final = (12, 4, 6, 20, 8, 10, 12, 12, 8, 8)
_FIXED: Final = 8  # providers of fixed lines in a country
_MOBILE: Final = 3
_HOSTERS: Final = 4
_OFFICES: Final = 60
# Share of logins by what is in one's hand, and how a phone reaches the net.
_DESKTOP_OWNERS: Final = 0.55
_WORKERS: Final = 0.6
_VPN_USERS: Final = 0.07
_NO_COOKIES: Final = 0.05  # people whose browser forgets everything each time
_COOKIES_LOST: Final = 0.03  # of logins come after somebody cleared theirs
_TRIP: Final = 0.02  # of logins begin a trip of one to six logins
_ABROAD: Final = 0.3  # of trips
_NEW_PHONE: Final = 0.012  # of logins come with a new phone
_OTHER_BROWSER: Final = 0.02  # of logins come from another browser of the same device
_UPDATE_DAYS: Final = (20, 45)  # between two versions of a browser


class Visit(msgspec.Struct, frozen=True, gc=False):
    """How somebody comes: everything that a login says. `at`: seconds since the year's beginning, local time."""

    at: float
    ip: str
    network: str
    country: str
    agent: str
    browser: str
    system: str
    kind: str
    device: str


class Gadget(msgspec.Struct):
    """A device in somebody's hands: what it runs, and the identity that a cookie or app gives it."""

    kind: str
    system: str
    browser: str
    model: int
    born: float
    every: float
    identity: str

    def agent(self, at: float) -> str:
        """The User-Agent at a moment: the version follows the time, a little late."""
        version = 100 + int(max(at - self.born, 0) // self.every)
        return f"{self.browser}/{version} {self.system} m{self.model}"


class Person:
    """Somebody who logs in now and then."""

    def __init__(self, rng: Random, number: int) -> None:
        self.rng, self.number = rng, number
        self.country = rng.choices(COUNTRIES, _HOME_WEIGHTS)[0]
        self.fixed, self.mobile = provider(rng, self.country, "fixed"), provider(rng, self.country, "mobile")
        self.office = f"office-{rng.randrange(_OFFICES)}" if rng.random() < _WORKERS else None
        self.phone = gadget(rng, rng.choices(("phone", "tablet"), (95, 5))[0])
        self.desktop = gadget(rng, "desktop") if rng.random() < _DESKTOP_OWNERS else None
        self.forgets = rng.random() < _NO_COOKIES
        self.vpn = rng.random() < _VPN_USERS
        self.every = min(
            max(rng.lognormvariate(1.6, 0.8), 0.4), 40.0
        )  # days between logins, half at 5 or less
        self.hours = [rng.choice((7, 8, 9, 12, 13, 18, 19, 20, 21, 22, 23)) for _ in range(3)]
        self.lease = rng.choice((1, 3, 7, 30, 365))  # days that the provider leaves an address
        self.trip: tuple[str, str, int] | None = None

    def visits(self, most: int) -> Iterator[Visit]:
        """The person's logins within the year, in order of time."""
        day = self.rng.uniform(0, YEAR_DAYS / 2)
        for _ in range(most):
            day += self.rng.expovariate(1 / self.every)
            if day >= YEAR_DAYS:
                return
            yield self._visit(int(day))

    def _visit(self, day: int) -> Visit:
        rng = self.rng
        at = day * DAY_SECONDS + self.hour() * 3600 + rng.uniform(0, 3600)
        used = self._gadget()
        ip, network, country = self._way(used, day)
        return Visit(
            at,
            ip,
            network,
            country,
            used.agent(at),
            used.browser,
            used.system,
            used.kind,
            self._identity(used),
        )

    def hour(self) -> int:
        """An hour that the person keeps: three of their own, give or take one, or any of the waking day."""
        if self.rng.random() < 0.75:
            return (self.rng.choice(self.hours) + self.rng.choice((-1, 0, 0, 1))) % 24
        return waking_hour(self.rng)

    def _gadget(self) -> Gadget:
        rng = self.rng
        if rng.random() < _NEW_PHONE:
            self.phone = gadget(rng, "phone")
        used = self.desktop if self.desktop and rng.random() < 0.4 else self.phone
        if rng.random() < _OTHER_BROWSER:
            browser = rng.choice(_BROWSERS[used.system])
            return msgspec.structs.replace(used, browser=browser, identity=new_identity(rng))
        return used

    def _identity(self, used: Gadget) -> str:
        if self.forgets or self.rng.random() < _COOKIES_LOST:
            used.identity = new_identity(self.rng)
        return used.identity

    def _way(self, used: Gadget, day: int) -> tuple[str, str, str]:
        """Address, network and country of one login."""
        rng = self.rng
        if self.trip is None and rng.random() < _TRIP:
            self.trip = self._set_out()
        if self.trip is not None:
            where, network, left = self.trip
            self.trip = (where, network, left - 1) if left > 1 else None
            return address(rng, network), network, where
        if self.vpn and rng.random() < 0.3:
            where = rng.choice(COUNTRIES)
            network = provider(rng, where, "hoster")
            return address(rng, network, 200), network, where
        return self._from_home(used, day)

    def _set_out(self) -> tuple[str, str, int]:
        where = self.rng.choice(COUNTRIES) if self.rng.random() < _ABROAD else self.country
        kind = self.rng.choice(("fixed", "mobile"))
        return where, provider(self.rng, where, kind), self.rng.randrange(1, 7)

    def _from_home(self, used: Gadget, day: int) -> tuple[str, str, str]:
        rng, draw = self.rng, self.rng.random()
        if used.kind == "phone" and draw < 0.45:
            return nat_address(rng, self.mobile), self.mobile, self.country
        if self.office and draw < 0.65:
            return f"{self.office}-{rng.randrange(2)}", f"{self.office}-net", self.country
        lease = day // self.lease
        return f"{self.fixed}-{(self.number * 7919 + lease) * 2654435761 % 2**24}", self.fixed, self.country


def attack(rng: Random, kind: Attacker, victim: Person, last: Visit) -> Visit:
    """How an attacker of a kind comes for a victim whose latest login was `last`."""
    at = last.at + rng.uniform(0, 3 * DAY_SECONDS)
    at -= at % DAY_SECONDS
    if kind in ("naive", "vpn"):
        return _blind(rng, kind, victim, at)
    hour = victim.hour() if kind == "very_targeted" else waking_hour(rng)
    at += hour * 3600 + rng.uniform(0, 3600)
    network = _near_network(rng, kind, victim)
    ip = nat_address(rng, network) if "mobile" in network else address(rng, network)
    same = kind == "very_targeted" or rng.random() < 0.6
    agent = (
        last.agent if same else f"{last.browser}/{rng.randrange(100, 110)} {last.system} m{rng.randrange(40)}"
    )
    stolen = kind == "very_targeted" and rng.random() < 0.2
    device = last.device if stolen else new_identity(rng)
    return Visit(at, ip, network, victim.country, agent, last.browser, last.system, last.kind, device)


def _blind(rng: Random, kind: str, victim: Person, at: float) -> Visit:
    """Whoever knows a password and at most the country."""
    at += rng.randrange(24) * 3600
    if kind == "vpn":
        country = victim.country
        network = provider(rng, country, rng.choices(("hoster", "fixed"), (70, 30))[0])
    else:
        country = rng.choices(COUNTRIES, _ATTACK_WEIGHTS)[0]
        network = provider(rng, country, rng.choices(("hoster", "fixed", "mobile"), (60, 30, 10))[0])
    tool = gadget(rng, rng.choices(("desktop", "phone"), (60, 40))[0])
    ip = address(rng, network, 2000)
    return Visit(
        at, ip, network, country, tool.agent(at), tool.browser, tool.system, tool.kind, new_identity(rng)
    )


def _near_network(rng: Random, kind: str, victim: Person) -> str:
    own = victim.mobile if rng.random() < 0.4 else victim.fixed
    if kind == "very_targeted" or rng.random() < 0.5:
        return own
    return provider(rng, victim.country, rng.choice(("fixed", "mobile")))


_SYSTEMS: Final = {
    "phone": (("Android", 60), ("iOS", 32), ("HarmonyOS", 8)),
    "tablet": (("Android", 40), ("iOS", 60)),
    "desktop": (("Windows", 72), ("Mac OS X", 20), ("Linux", 8)),
}
_BROWSERS: Final = {
    "Android": ("Chrome Mobile", "Chrome Mobile", "Samsung Internet", "WeChat", "WeChat", "UC Browser"),
    "iOS": ("Mobile Safari", "Mobile Safari", "Mobile Safari", "WeChat", "Chrome Mobile iOS"),
    "HarmonyOS": ("Huawei Browser", "WeChat"),
    "Windows": ("Chrome", "Chrome", "Edge", "Edge", "Firefox", "QQ Browser"),
    "Mac OS X": ("Safari", "Safari", "Chrome"),
    "Linux": ("Firefox", "Chrome"),
}
_MODELS: Final = {"phone": 40, "tablet": 8, "desktop": 3}


def gadget(rng: Random, kind: str) -> Gadget:
    """A device as they are sold."""
    names, weights = zip(*_SYSTEMS[kind], strict=True)
    system = rng.choices(names, weights)[0]
    # The first models sell best: many people have the very same User-Agent.
    model = min(int(rng.expovariate(1 / 6)), _MODELS[kind] - 1)
    late = rng.uniform(-5, 25) * DAY_SECONDS
    every = rng.choice(_UPDATE_DAYS) * DAY_SECONDS
    return Gadget(kind, system, rng.choice(_BROWSERS[system]), model, late, every, new_identity(rng))


def provider(rng: Random, country: str, kind: str) -> str:
    """A network of a country; the first have most of the lines."""
    count = {"fixed": _FIXED, "mobile": _MOBILE, "hoster": _HOSTERS}[kind]
    return f"{country}-{kind}-{min(int(rng.expovariate(0.6)), count - 1)}"


def address(rng: Random, network: str, of: int = 1 << 22) -> str:
    """Any address of a network."""
    return f"{network}-{rng.randrange(of)}"


def nat_address(rng: Random, network: str) -> str:
    """One of the few addresses behind which all of a mobile network's customers of a region appear."""
    return f"{network}-nat-{rng.randrange(256)}"


def waking_hour(rng: Random) -> int:
    """An hour of the day as everybody's days are."""
    return rng.choices(
        range(24), (2, 1, 1, 1, 1, 2, 4, 7, 9, 9, 8, 8, 9, 8, 7, 7, 7, 8, 9, 10, 11, 11, 9, 5)
    )[0]


def new_identity(rng: Random) -> str:
    """What a cookie or an app calls a device."""
    return f"{rng.getrandbits(48):012x}"

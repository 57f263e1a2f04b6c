"""How unlike its customer a login is, after Freeman, Jain, Dürmuth, Biggio and Giacinto, "Who Are You?" (NDSS 2016).

    S = p(login | attack) / p(login | customer)

Each factor is a path from the fine to the coarse (address → network → country), judged step by step from its coarse end:

    lift(level) = lift(coarser level) · (seen / p(value | coarser value) + kinds / 3) / (past + kinds / 3)

Of the customer's `past` accepted logins with the same coarser value, `seen` had this one, of `kinds` different ones there were;
p is the share among everybody's. So the paper's interpolation has weights of the customer's own, and of the place: whoever has
many addresses in one network is hardly suspected for one more there, whoever had one for a year is (Witten and Bell's smoothing).

What comes together is judged together. A customer with a new device may have lost a cookie (the program is as ever) or have
bought a phone (it is anybody's); and of attackers some know nothing, some the country, some nearly everything: one who copies the
program copies the provider, too. Multiplied one by one, as the paper does, each of these would count twice.

Pure: who is asked for a customer's past, and what everybody does, is handed in.
"""

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tillkeeper.risk.logins.types import FACTORS, Login

HOURS: Final = 7 * 24
_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000
_BY_DISTANCE: Final = (0.3, 0.2, 0.1, 0.05)  # of an hour's weight, to the hours so far away on either side
_SAME_DAY: Final = 0.4  # of a login's weight stays with its day of the week
_OTHER_SIDE: Final = 0.2  # of it goes from a working day to the weekend, and back
_HOURS_ASSUMED: Final = (
    16.0  # logins of everybody's rhythm are taken for the customer's own before there are any
)
_FRESH: Final = 1 / 3  # of a kind that was seen: how much it promises another one
_SETTLED: Final = 0.1  # and of what hardly changes: the country, the kind of device
_RENEWED: Final = 1.0  # so many times more for addresses and versions of programs: they change by themselves
_SAME_PROGRAM: Final = (
    1,
    4,
)  # of new devices so many had a known program, before anything is known of the customer's
# From risk to score: 0.5 where 99 of 100 targeted attackers of the protocol are above, 0.99 where 1 of 2000 honest logins is.
_MIDDLE: Final = 0.5
_WIDTH: Final = 1.2
_UNUSUAL: Final = -0.5  # a lift below it is worth a word: less than 0.6 times as likely as of anybody
# Attackers: how many know nothing, the country, or the customer's ways; and what of these they can copy. A provider and a
# browser are easily known, an address or a device's identity must be stolen.
_BLIND: Final = 0.3
_OF_THE_COUNTRY: Final = 0.2
_TARGETED: Final = 0.5
_COPIED: Final = {"network": 0.5, "agent": 0.7, "device": 0.02, "place": 0.5}


class Trace(msgspec.Struct, frozen=True, gc=False):
    """What a login is compared by: per factor a path from fine to coarse. `hour`: of the week, Monday 0:00 is 0."""

    network: tuple[str, ...]
    agent: tuple[str, ...]
    device: tuple[str, ...]
    place: tuple[str, ...]
    hour: int


_PATHS: Final = ("network", "agent", "device", "place")


def trace_of(login: Login, offset_us: int) -> Trace:
    """A login as paths. `offset_us`: of the business's time zone at that moment, microseconds east of UTC."""
    net, agent = login.network, login.agent
    system = f"{agent.system}/{agent.kind}"
    return Trace(
        (login.ip or "", f"{net.name}/{net.country}", net.country),
        (agent.digest.hex(), f"{agent.browser}/{system}", system, agent.kind),
        (login.device or "",),
        _place(login),
        hour_of_week(login.at_us + offset_us),
    )


def hour_of_week(local_us: int) -> int:
    """0 to 167, Monday first."""
    days, rest = divmod(local_us, _DAY_US)
    return (days + 3) % 7 * 24 + rest // _HOUR_US  # 1970-01-01 was a Thursday


def _place(login: Login) -> tuple[str, ...]:
    if login.latitude is None or login.longitude is None:
        return ("", "")
    lat, lon = login.latitude, login.longitude
    return (
        f"{math.floor(lat * 10)},{math.floor(lon * 10)}",
        f"{math.floor(lat)},{math.floor(lon)}",
    )


class Population:
    """What everybody does: how often each value occurs among the newest `most` accepted logins of all customers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._newest: deque[Trace] = deque()
        self._counts = {factor: [Counter[str]() for _ in range(4)] for factor in _PATHS}
        self._hours = [0] * HOURS
        self._customers: Counter[bytes] = Counter()
        self._whose: deque[bytes] = deque()

    def __len__(self) -> int:
        """Logins remembered."""
        return len(self._newest)

    def add(self, customer: bytes, trace: Trace) -> None:
        """Take in an accepted login, and let go of the oldest where there are too many."""
        self._newest.append(trace)
        self._whose.append(customer)
        self._customers[customer] += 1
        self._count(trace, 1)
        if len(self._newest) > self._most:
            self._count(self._newest.popleft(), -1)
            gone = self._whose.popleft()
            self._customers[gone] -= 1
            if not self._customers[gone]:
                del self._customers[gone]

    def share(self, factor: str, level: int, value: str) -> float:
        """The share of a value among everybody's; one that nobody showed yet has as much as one login would give it."""
        counts = self._counts[factor][level]
        return (counts[value] + 1) / (len(self._newest) + len(counts) + 1)

    def share_of_hour(self, hour: int) -> float:
        """The share of an hour of the week, smoothed over its neighbours."""
        near = sum(weight * self._hours[other] for other, weight in _NEAR[hour])
        return (near + 1) / (len(self._newest) + HOURS)

    def usual_past(self) -> float:
        """Mean accepted logins of a customer."""
        return len(self._newest) / max(len(self._customers), 1)

    def _count(self, trace: Trace, by: int) -> None:
        for factor in _PATHS:
            for counts, value in zip(self._counts[factor], getattr(trace, factor), strict=False):
                counts[value] += by
                if not counts[value]:
                    del counts[value]
        self._hours[trace.hour] += by


class Comparison(msgspec.Struct, frozen=True):
    """A login beside its customer's past. `risk`: the natural logarithm of S, without bounds.

    `lifts` as in Verdict. `reasons`: what speaks against it.
    """

    risk: float
    lifts: tuple[float | None, ...]
    reasons: tuple[str, ...]
    known: int

    @property
    def score(self) -> float:
        """The risk between 0 and 1."""
        return 1 / (1 + math.exp(-(self.risk - _MIDDLE) / _WIDTH))


class Thresholds(msgspec.Struct, frozen=True):
    """From which score on a login is asked again, or blocked."""

    ask_again: float = 0.5
    block: float = 0.99

    def outcome(self, score: float) -> str:
        """One of types.OUTCOMES."""
        if score >= self.block:
            return "block"
        return "ask_again" if score >= self.ask_again else "allow"


class _Lifts(NamedTuple):
    """p(x | customer) / p(x | anybody): of paths for each level, the finest first. `known`: the device is the customer's."""

    network: Sequence[float]
    agent: Sequence[float]
    place: Sequence[float]
    device: float
    known: bool
    hour: float
    same_program: float

    def own(self) -> dict[str, float]:
        """For each factor how much likelier the customer comes like this than anybody."""
        agent = self.agent[0]
        if not self.known:
            agent = self.same_program * agent + (1 - self.same_program)
        return {
            "network": self.network[0],
            "agent": agent,
            "device": self.device,
            "hour": self.hour,
            "place": self.place[0],
        }

    def attack(self) -> float:
        """How much likelier an attacker comes like this than anybody."""
        levels = {
            "network": (self.network[1], max(self.network[2], 1.0)),
            "agent": (self.agent[0], 1.0),
            "device": (self.device, 1.0),
            "place": (self.place[1], 1.0),
        }
        targeted = 1.0
        for factor, (copied, otherwise) in levels.items():
            targeted *= _COPIED[factor] * copied + (1 - _COPIED[factor]) * otherwise
        return _BLIND + _OF_THE_COUNTRY * self.network[2] + _TARGETED * targeted


def compare(
    trace: Trace, past: Sequence[Trace], population: Population, factors: Sequence[str] = FACTORS
) -> Comparison:
    """Compare a login with the customer's accepted ones, in whatever order. `factors`: what of it, all of FACTORS."""
    found = _lifts(trace, past, population, factors)
    own = found.own()
    lifts = [math.log(own[factor]) for factor in FACTORS]
    # Of whom nothing is known, nothing speaks for them nor against them; of whom little is, habits say less than they seem to.
    risk = _MIDDLE
    if past:
        risk = math.log(found.attack()) - sum(lifts) + math.log((len(past) + 1) / len(past))
    return Comparison(
        risk,
        tuple(
            None if _absent(factor, trace, past) else lift
            for factor, lift in zip(FACTORS, lifts, strict=True)
        ),
        _reasons(trace, past, lifts),
        len(past),
    )


def _lifts(trace: Trace, past: Sequence[Trace], population: Population, factors: Sequence[str]) -> _Lifts:
    network, agent, place = [
        _path_lifts(factor, trace, past, population) if factor in factors else (1.0,) * 4
        for factor in ("network", "agent", "place")
    ]
    device, known = _device_lift(trace, past, population) if "device" in factors else (1.0, True)
    hour = _hour_lift(trace.hour, [one.hour for one in past], population) if "hour" in factors else 1.0
    return _Lifts(network, agent, place, device, known, hour, _same_program(past))


def _path_lifts(
    factor: str, trace: Trace, past: Sequence[Trace], population: Population
) -> tuple[float, ...]:
    """For each level of a path, each judged among the logins that had the coarser value."""
    path: tuple[str, ...] = getattr(trace, factor)
    among: list[tuple[str, ...]] = [getattr(one, factor) for one in past]
    lifts, whole = [1.0], 1.0
    for level in range(len(path) - 1, -1, -1):
        share = population.share(factor, level, path[level])
        same = [one for one in among if one[level] == path[level]]
        fresh = _RENEWED if level == 0 else 0.0
        fresh += (_SETTLED if level == len(path) - 1 else _FRESH) * len({one[level] for one in among})
        own = len(same) / min(share / whole, 1.0)
        lifts.append(lifts[-1] * ((own + fresh) / (len(among) + fresh) if among else 1.0))
        among, whole = same, share
    return tuple(reversed(lifts[1:]))


def _device_lift(trace: Trace, past: Sequence[Trace], population: Population) -> tuple[float, bool]:
    """Of the device, and whether it is the customer's. Nothing speaks for or against whose app never names one."""
    (value,), before = trace.device, [one.device[0] for one in past if one.device[0]]
    if not before:
        return 1.0, not value
    kinds, seen = len(set(before)), before.count(value)
    new = kinds / (len(before) + kinds)
    if not seen:
        return new, False
    own = seen / len(before) / population.share("device", 0, value)
    return (1 - new) * own + new, True


def _same_program(past: Sequence[Trace]) -> float:
    """Of the customer's new devices the share that came with a known system: whose cookies are lost again and again."""
    devices, systems = {one.device[0] for one in past}, {one.agent[-2] for one in past}
    same, of = _SAME_PROGRAM
    return (same + max(len(devices) - len(systems), 0)) / (of + max(len(devices) - 1, 0))


def _hour_lift(hour: int, past: Sequence[int], population: Population) -> float:
    usual = population.share_of_hour(hour)
    weights = dict(_NEAR[hour])
    near = [weights.get(other, 0.0) for other in past]
    return (sum(near) / usual + _HOURS_ASSUMED) / (len(near) + _HOURS_ASSUMED)


def _absent(factor: str, trace: Trace, past: Sequence[Trace]) -> bool:
    """Whether there is nothing to compare: neither this login nor any before says anything of it."""
    if factor == "hour":
        return False
    return not any(getattr(one, factor)[-1] for one in (trace, *past))


# Which word names a value that is new at a level, from coarse to fine; "" goes without saying.
_WORDS: Final = {
    "network": ("new_address", "new_network", "new_country"),
    "agent": ("", "new_browser", "new_system", "new_system"),
    "device": ("new_device",),
    "place": ("", "new_place"),
}


def _reasons(trace: Trace, past: Sequence[Trace], lifts: Sequence[float]) -> tuple[str, ...]:
    """What is new about a login, the coarsest word of each factor; or that nothing is known of the customer."""
    if not past:
        return ("no_history",)
    found = []
    for factor, lift in zip(FACTORS, lifts, strict=True):
        if factor == "hour":
            found += ["unusual_hour"] if lift < _UNUSUAL else []
        elif word := _newest_word(factor, trace, past):
            found.append(word)
    return tuple(found)


def _newest_word(factor: str, trace: Trace, past: Sequence[Trace]) -> str:
    path = getattr(trace, factor)
    for level in range(len(path) - 1, -1, -1):
        if all(getattr(one, factor)[level] != path[level] for one in past):
            return _WORDS[factor][level]
    return ""


def _weight(hour: int, other: int) -> float:
    """How much of a login at `other` counts for `hour`: a habit is about that hour, mostly on such days."""
    day, other_day = hour // 24, other // 24
    apart = abs(hour % 24 - other % 24)
    apart = min(apart, 24 - apart)
    if apart >= len(_BY_DISTANCE):
        return 0.0
    days_alike = 5 if other_day < 5 else 2
    if (day < 5) != (other_day < 5):
        of_day = _OTHER_SIDE / (7 - days_alike)
    elif day == other_day:
        of_day = _SAME_DAY
    else:
        of_day = (1 - _SAME_DAY - _OTHER_SIDE) / (days_alike - 1)
    return _BY_DISTANCE[apart] * of_day


_NEAR: Final = tuple(
    tuple((other, weight) for other in range(HOURS) if (weight := _weight(hour, other)))
    for hour in range(HOURS)
)
"""Per hour of the week the hours that count for it, with their weights; each hour gives away exactly 1."""

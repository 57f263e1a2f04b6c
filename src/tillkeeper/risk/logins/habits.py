"""How unlike its customer a login is: the score of Freeman, Jain, Dürmuth, Biggio and Giacinto, "Who Are You?" (NDSS 2016).

    S = p(customer | attack) / p(customer)  ×  Π over factors  p(x) / p(x | customer)

Each factor is a path from the fine to the coarse (address → network → country). What a customer never showed at one level is
judged by the next coarser one:

    lift(level) = (seen / p(value) + kinds · lift(coarser level)) / (past + kinds)

`seen` of the customer's `past` accepted logins had this value, of `kinds` different ones there were, p is the share of this
value among everybody's. So the paper's interpolation has weights of the customer's own: whoever often comes from new addresses
is hardly suspected for one more, whoever never did is (Witten and Bell's smoothing, of the same family as the paper's).

Pure: who is asked for a customer's past, and what everybody does, is handed in.
"""

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

import msgspec

from tillkeeper.risk.logins.types import FACTORS, Login

HOURS: Final = 7 * 24
_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000
_BY_DISTANCE: Final = (0.3, 0.2, 0.1, 0.05)  # of an hour's weight, to the hours so far away on either side
_SAME_DAY: Final = 0.4  # of a login's weight stays with its day of the week
_OTHER_SIDE: Final = 0.2  # of it goes from a working day to the weekend, and back
_HOURS_ASSUMED: Final = (
    4.0  # logins of everybody's rhythm are taken for the customer's own before there are any
)
# From risk to score: 0.5 where 99 of 100 targeted attackers of the protocol are above, 0.99 where 1 of 2000 honest logins is.
_MIDDLE: Final = 1.0
_WIDTH: Final = 2.0
_UNUSUAL: Final = -1.0  # a lift below it is worth a word: less than e^-1 times as likely as of anybody
# What attackers copy of their victim: how many of them do, and from which level of the path on they can. A provider and a
# browser are easily known, an address or a device's identity must be stolen.
_COPIED: Final = {
    "network": (0.6, 1),
    "agent": (0.8, 0),
    "device": (0.005, 0),
    "hour": (0.5, 0),
    "place": (0.5, 1),
}


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


def compare(trace: Trace, past: Sequence[Trace], population: Population) -> Comparison:
    """Compare a login with the customer's accepted ones."""
    ratios = {factor: _path_lifts(factor, trace, past, population) for factor in _PATHS}
    ratios["hour"] = (_hour_lift(trace.hour, [one.hour for one in past], population),)
    lifts = [_log_lift(factor, ratios[factor]) for factor in FACTORS]
    often = math.log((population.usual_past() + 1) / (len(past) + 1))
    risk = often - sum(lifts)
    return Comparison(
        risk if past else _MIDDLE,  # of whom nothing is known, nothing speaks for them nor against them
        tuple(
            None if _absent(factor, trace, past) else lift
            for factor, lift in zip(FACTORS, lifts, strict=True)
        ),
        _reasons(trace, past, lifts),
        len(past),
    )


def _log_lift(factor: str, levels: Sequence[float]) -> float:
    """The logarithm of p(x | customer) / p(x | attack): of attackers a part is like anybody, a part copies the customer."""
    part, level = _COPIED[factor]
    return math.log(levels[0] / ((1 - part) + part * levels[level]))


def _path_lifts(
    factor: str, trace: Trace, past: Sequence[Trace], population: Population
) -> tuple[float, ...]:
    """p(x | customer) / p(x) for each level of a path."""
    path: tuple[str, ...] = getattr(trace, factor)
    before: list[tuple[str, ...]] = [getattr(one, factor) for one in past]
    lifts = [1.0]
    for level in range(len(path) - 1, -1, -1):
        seen = [one[level] for one in before]
        kinds = len(set(seen)) or 1
        own = seen.count(path[level]) / population.share(factor, level, path[level])
        lifts.append((own + kinds * lifts[-1]) / (len(seen) + kinds))
    return tuple(reversed(lifts[1:]))


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

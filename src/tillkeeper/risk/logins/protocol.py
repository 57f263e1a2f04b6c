"""How often honest people are asked again, if so and so many attackers are to be stopped: measured on a made-up crowd.

The measure of Wiefling et al. (TOPS 2022, the RBA data set), read off their chart at 12 logins: the threshold is the score that
stops a share (TPR) of attackers who come after the victim's twelfth login; then it is counted how many of their first twelve
logins people are asked again, the very first always among them. Their values are twelfths: 2/12 = 17 % at 0.98 and 5/12 = 42 % at
0.995 of targeted attackers, for the median user. Beside it stands what people live with from then on: the share of logins 13 to 24.

Three ways to score the same logins: `full` as the platform does; `network_and_agent`, the platform's way without what their data
does not have (device, hour); `fixed_weights`, the way of their paper over the same, with its weights for each level: it says how
hard this crowd is beside theirs. Everything honest is learnt as it comes (whoever is asked passes), attacks never are.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

import msgspec

from tillkeeper.base import limits
from tillkeeper.risk.logins.crowd import ATTACKERS, Attacker, Person, Visit, attack
from tillkeeper.risk.logins.habits import HOURS, Population, Thresholds, Trace, compare

SEEDS: Final = (11, 12, 13)
"""Settings of habits.py were chosen on seeds 1 to 3."""
PEOPLE: Final = 800
EARLY: Final = 1
KNOWN: Final = 12
LATER: Final = 39
TPRS: Final = (0.98, 0.995)
WAYS: Final = ("full", "network_and_agent", "fixed_weights")
PUBLISHED: Final = {
    ("naive", 0.98): 0.08,
    ("naive", 0.995): 0.25,
    ("targeted", 0.98): 0.17,
    ("targeted", 0.995): 0.42,
}
"""Read off the chart of the RBA data set, after 12 logins, ±0.03."""
_ATTACKS: Final = 2  # of each kind on each victim
_MOST: Final = LATER + KNOWN  # logins of one person
_WEIGHTS: Final = {"network": (0.6, 0.3, 0.1), "agent": (0.53, 0.27, 0.19, 0.01)}

Progress = Callable[[float], None]
"""Told how much is done, 0 to 1."""


class Rate(msgspec.Struct, frozen=True):
    """How often honest people are asked again where `tpr` of these attackers are stopped. Shares, mean over seeds.

    `first_median` and `first_mean`: of people's first KNOWN logins, over people. `after`: of the twelve logins after them.
    `later`: of the twelve after 39, at a threshold set there. `published`: the chart's value for `first_median`.
    """

    way: str
    attacker: str
    tpr: float
    first_median: float
    first_mean: float
    after: float
    later: float
    published: float | None


class Live(msgspec.Struct, frozen=True):
    """What the platform's own thresholds do: attackers asked or blocked, attackers blocked, by kind; honest likewise.

    `early`: attackers stopped who come when only one login of their victim is known.
    """

    stopped: dict[str, float]
    early: dict[str, float]
    blocked: dict[str, float]
    honest_asked: float
    honest_blocked: float


class Found(msgspec.Struct, frozen=True):
    """What the protocol found. `logins`: honest ones that were scored."""

    seeds: tuple[int, ...]
    people: int
    logins: int
    rates: tuple[Rate, ...]
    live: Live


class _Sample(msgspec.Struct, frozen=True):
    """One scored login: `place` is its number among the person's, from 1; of an attack, the logins known before it."""

    person: int
    place: int
    risks: tuple[float, float, float]
    score: float


class _Scored(msgspec.Struct):
    honest: list[_Sample]
    attacks: dict[tuple[str, int], list[_Sample]]


def run(seeds: Sequence[int] = SEEDS, people: int = PEOPLE, progress: Progress | None = None) -> Found:
    """Score crowds and give the rates. Takes about a second for 80 people."""
    scored = [_score(seed, people, partial(_tell, progress, n, len(seeds))) for n, seed in enumerate(seeds)]
    rates = [
        _mean_rate(scored, way, kind, tpr) for way in range(len(WAYS)) for kind in ATTACKERS for tpr in TPRS
    ]
    logins = sum(len(each.honest) for each in scored)
    return Found(tuple(seeds), people, logins, tuple(rates), _live(scored))


def _tell(progress: Progress | None, done: int, of: int, share: float) -> None:
    if progress is not None:
        progress((done + share) / of)


def trace_of_visit(visit: Visit) -> Trace:
    """A made-up login as paths."""
    system = f"{visit.system}/{visit.kind}"
    return Trace(
        (visit.ip, f"{visit.network}/{visit.country}", visit.country),
        (visit.agent, f"{visit.browser}/{system}", system, visit.kind),
        (visit.device,),
        ("", ""),
        int(visit.at // 3600) % HOURS,
    )


def _score(seed: int, people: int, progress: Progress) -> _Scored:
    crowd = [Person(Random(f"{seed}/{n}"), n) for n in range(people)]  # noqa: S311 - a made-up crowd, the same for a seed
    visits = [(visit.at, person.number, visit) for person in crowd for visit in person.visits(_MOST)]
    visits.sort(key=lambda each: each[:2])
    population, past = Population(limits.LOGINS_REMEMBERED), defaultdict[int, list[Trace]](list)
    scored, rng = _Scored([], defaultdict(list)), Random(f"{seed}/attackers")  # noqa: S311
    for done, (_, number, visit) in enumerate(visits):
        trace, before = trace_of_visit(visit), past[number]
        scored.honest.append(_sample(number, len(before) + 1, trace, before, population))
        before.append(trace)
        population.add(number.to_bytes(4, "big"), trace)
        if len(before) in (EARLY, KNOWN, LATER):
            for kind in ATTACKERS:
                scored.attacks[kind, len(before)] += _attacks(
                    rng, kind, crowd[number], visit, before, population
                )
        if not done % 500:
            progress(done / len(visits))
    return scored


def _attacks(
    rng: Random, kind: Attacker, victim: Person, last: Visit, past: list[Trace], population: Population
) -> list[_Sample]:
    traces = [trace_of_visit(attack(rng, kind, victim, last)) for _ in range(_ATTACKS)]
    return [_sample(victim.number, len(past), trace, past, population) for trace in traces]


def _sample(person: int, place: int, trace: Trace, past: list[Trace], population: Population) -> _Sample:
    newest = past[-limits.LOGINS_COMPARED :]
    found = compare(trace, newest, population)
    known = compare(trace, newest, population, ("network", "agent"))
    risks = (found.risk, known.risk, _fixed(trace, newest, population))
    return _Sample(person, place, risks, found.score)


def _fixed(trace: Trace, past: Sequence[Trace], population: Population) -> float:
    """The risk by fixed weights for each level, one login of everybody's taken for the customer's own."""
    risk = math.log((population.usual_past() + 1) / (len(past) + 1))
    for factor, weights in _WEIGHTS.items():
        path = getattr(trace, factor)
        lift = 0.0
        for level, weight in enumerate(weights):
            seen = sum(getattr(one, factor)[level] == path[level] for one in past)
            lift += weight * (seen / population.share(factor, level, path[level]) + 1) / (len(past) + 1)
        risk -= math.log(lift)
    return risk


def _mean_rate(scored: Sequence[_Scored], way: int, kind: str, tpr: float) -> Rate:
    found = [_rate(each, way, kind, tpr) for each in scored]
    means = [sum(each) / len(found) for each in zip(*found, strict=True)]
    median, mean, after, later = (round(each, 4) for each in means)
    return Rate(WAYS[way], kind, tpr, median, mean, after, later, PUBLISHED.get((kind, tpr)))


def _rate(scored: _Scored, way: int, kind: str, tpr: float) -> tuple[float, float, float, float]:
    from_ = _threshold(scored, way, kind, KNOWN, tpr)
    whole = defaultdict[int, list[bool]](list)
    for each in scored.honest:
        if each.place <= KNOWN:
            whole[each.person].append(each.place == 1 or each.risks[way] >= from_)
    shares = sorted(sum(asked) / KNOWN for asked in whole.values() if len(asked) == KNOWN)
    after = [each.risks[way] >= from_ for each in scored.honest if KNOWN < each.place <= 2 * KNOWN]
    from_later = _threshold(scored, way, kind, LATER, tpr)
    later = [each.risks[way] >= from_later for each in scored.honest if each.place > LATER]
    return shares[len(shares) // 2], sum(shares) / len(shares), _share(after), _share(later)


def _threshold(scored: _Scored, way: int, kind: str, known: int, tpr: float) -> float:
    """The risk that a share of attackers reaches."""
    risks = sorted(each.risks[way] for each in scored.attacks[kind, known])
    return risks[int((1 - tpr) * len(risks))]


def _live(scored: Sequence[_Scored]) -> Live:
    thresholds = Thresholds()
    early, by_kind = [
        {
            kind: sorted(each.score for one in scored for each in one.attacks[kind, known])
            for kind in ATTACKERS
        }
        for known in (EARLY, KNOWN)
    ]
    honest = sorted(each.score for one in scored for each in one.honest if each.place > KNOWN)
    return Live(
        {kind: _above(scores, thresholds.ask_again) for kind, scores in by_kind.items()},
        {kind: _above(scores, thresholds.ask_again) for kind, scores in early.items()},
        {kind: _above(scores, thresholds.block) for kind, scores in by_kind.items()},
        _above(honest, thresholds.ask_again),
        _above(honest, thresholds.block),
    )


def _above(ordered: Sequence[float], threshold: float) -> float:
    return round(1 - bisect_left(ordered, threshold) / max(len(ordered), 1), 4)


def _share(asked: Sequence[bool]) -> float:
    return sum(asked) / max(len(asked), 1)


HEADS: Final = (
    "way",
    "attackers",
    "stopped",
    "first 12, median",
    "first 12, mean",
    "13 to 24",
    "40 and on",
    "published",
)


def table(found: Found) -> list[tuple[str, ...]]:
    """The rates as rows of text under HEADS."""
    return [
        (
            rate.way,
            rate.attacker,
            f"{rate.tpr:.1%}",
            *(f"{share:.1%}" for share in (rate.first_median, rate.first_mean, rate.after, rate.later)),
            f"{rate.published:.0%}" if rate.published is not None else "",
        )
        for rate in found.rates
    ]

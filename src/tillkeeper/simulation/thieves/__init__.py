"""Thieves: each kind of attack is one pure plan; the schedule lets every kind happen once a round."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from random import Random
from typing import Final

from tillkeeper.simulation.acts import Intent
from tillkeeper.simulation.city import City
from tillkeeper.simulation.thieves import (
    bust_out,
    card_testing,
    impossible_travel,
    mule_chain,
    skimming,
    stuffing,
    takeover,
)

__all__ = ["KINDS", "LOGIN_KINDS", "PAYMENTS_PER_ROUND", "attacks", "login_attacks"]

Plan = Callable[[Random, City, float, int], list[Intent]]

KINDS: Final[dict[str, Plan]] = {
    module.KIND: module.plan
    for module in (card_testing, takeover, mule_chain, bust_out, impossible_travel, skimming)
}

LOGIN_KINDS: Final[dict[str, Plan]] = {stuffing.KIND: stuffing.plan}
"""Attacks that make no payment."""

# One round is about 45 fraudulent payments: 1.5 % of so many.
PAYMENTS_PER_ROUND: Final = 3000
# Attacks begin in the first half of a round and take at most 13 seconds: a 30 s demo sees each to its end.
FIRST_START: Final = 0.08
LAST_START: Final = 0.50


def attacks(city: City, rate: float, chapter: str = "") -> Iterator[Intent]:
    """The thieves' intents in order of time, for ever, at `rate` payments a second in the city as a whole."""
    rng = Random(f"{city.seed}/thieves/{chapter}")
    seconds = PAYMENTS_PER_ROUND / rate
    waiting: list[tuple[float, int, Intent]] = []
    number, planned, begin = 0, 0, 0.0
    while True:
        kinds = list(KINDS)
        rng.shuffle(kinds)
        gap = (LAST_START - FIRST_START) / (len(kinds) - 1)
        for slot, kind in enumerate(kinds):
            number += 1
            start = begin + seconds * (FIRST_START + gap * slot)
            for intent in KINDS[kind](rng, city, start, number):
                planned += 1
                heappush(waiting, (intent.at, planned, intent))
        begin += seconds
        while waiting and waiting[0][0] < begin:
            yield heappop(waiting)[2]


def login_attacks(city: City, rate: float, chapter: str = "") -> Iterator[Intent]:
    """The attacks on logins in order of time, for ever: each kind once a round, as above."""
    rng = Random(f"{city.seed}/login thieves/{chapter}")
    seconds = PAYMENTS_PER_ROUND / rate
    number, begin = 0, 0.0
    while True:
        for plan in LOGIN_KINDS.values():
            number += 1
            start = begin + seconds * rng.uniform(FIRST_START, LAST_START)
            planned = sorted(plan(rng, city, start, number), key=lambda intent: intent.at)
            yield from planned
            # In a hasty city one attack ends before the next begins.
            begin = max(begin, planned[-1].at - seconds)
        begin += seconds

"""Read models of how risk does as a whole: what rules are worth, where payments are made, what came of what was decided.

Everything is bounded by a number of rows, and walks an index from the newest row back.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper.base.ids import first_id_at
from tillkeeper.base.money import exponent
from tillkeeper.risk.rules import RuleSet
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "overview.sql")

SCAN: Final = 20_000  # rows that one figure is made of
STEP: Final = 1.0  # degrees of one square of the map
_SQUARES: Final = 400
SLICES: Final = 48  # points of a curve over time


class RuleTally(msgspec.Struct, frozen=True):
    """What one rule did. `frauds` and `honest`: hits of which that is known; the rest may still turn out either way.
    `…_alone`: hits that no other rule had. `caught`: minor units of the reference currency, coarse.
    """

    rule: str
    hits: int = 0
    frauds: int = 0
    honest: int = 0
    alone: int = 0
    frauds_alone: int = 0
    honest_alone: int = 0
    caught: int = 0
    caught_alone: int = 0

    @property
    def known(self) -> int:
        """Hits of which it is known what they were."""
        return self.frauds + self.honest


class Square(msgspec.Struct, frozen=True):
    """Decisions in one square of the map; `latitude` and `longitude`: of its south-west corner, in steps."""

    latitude: int
    longitude: int
    decided: int
    stopped: int


class Verdict(msgspec.Struct, frozen=True):
    """What a payment turned out to be, and what was decided about it."""

    payment: UUID
    fraud: bool
    known_at: datetime
    outcome: str
    amount: int
    currency: str
    customer: UUID


class Hits(msgspec.Struct, frozen=True):
    """What rules did in a period. `partial`: only the newest SCAN hits of it were looked at.
    `over_time`: outcome → counts of SLICES equal parts of the period, the oldest first.
    """

    by_rule: dict[str, RuleTally]
    over_time: dict[str, list[int]]
    partial: bool


class Worth(msgspec.Struct, frozen=True):
    """How amounts are counted in one currency: coarse, as the rules do it."""

    reference: str
    units: Mapping[str, int]
    other: int

    @classmethod
    def of(cls, rules: RuleSet) -> "Worth":
        """As a rule set counts."""
        return cls(rules.reference, rules.worth, rules.other)

    def of_amount(self, amount: int, currency: str) -> int:
        """Minor units of the reference currency."""
        one: int = 10 ** exponent(self.reference)
        return amount * one // self.units.get(currency, self.other)


async def hits(tx: Tx, since: datetime, until: datetime, worth: Worth) -> Hits:
    """What rules did from `since` to `until`, which is now."""
    slice_seconds = (until - since) / timedelta(seconds=1) / SLICES
    params = {"first": first_id_at(since), "scan": SCAN, "since": since, "slice": slice_seconds}
    tallies = await tx.tuples(_sql.rule_tallies, params)
    counts = await tx.tuples(_sql.hits_over_time, params)
    partial = await tx.value(_sql.hits_end, params) is not None
    over_time: dict[str, list[int]] = {}
    for number, outcome, count in counts:
        over_time.setdefault(outcome, [0] * SLICES)[min(number, SLICES - 1)] += count
    return Hits(_by_rule(tallies, worth), over_time, partial)


async def places(tx: Tx, since: datetime) -> list[Square]:
    """Where the newest decisions since a moment were made, the fullest squares first."""
    params = {"first": first_id_at(since), "scan": SCAN, "step": STEP, "limit": _SQUARES}
    return [Square(*row) for row in await tx.tuples(_sql.places, params)]


async def at_place(tx: Tx, since: datetime, latitude: int, longitude: int, limit: int) -> list[UUID]:
    """The newest payments made in one square, newest first."""
    params = {
        "first": first_id_at(since), "scan": SCAN, "step": STEP,
        "latitude": latitude, "longitude": longitude, "limit": limit,
    }  # fmt: skip
    return [row[0] for row in await tx.tuples(_sql.at_place, params)]


async def verdicts(tx: Tx, since: datetime, limit: int) -> list[Verdict]:
    """What payments turned out to be, by the newest `limit` words about them since a moment; the newest first."""
    rows = await tx.tuples(_sql.newest_verdicts, {"scan": limit, "since": since})
    return [Verdict(*row) for row in rows]


def _by_rule(rows: Iterable[tuple[Any, ...]], worth: Worth) -> dict[str, RuleTally]:
    """Rows by rule and currency, summed."""
    found: dict[str, RuleTally] = {}
    for rule, currency, *counts, caught, alone in rows:
        money = [worth.of_amount(amount, currency) for amount in (caught, alone)]
        _, *before = msgspec.structs.astuple(found.get(rule, RuleTally(rule)))
        found[rule] = RuleTally(
            rule, *[old + new for old, new in zip(before, [*counts, *money], strict=True)]
        )
    return found

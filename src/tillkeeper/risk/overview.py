"""Read models of how risk does as a whole: what rules are worth, where payments are made, what came of what was decided.

Everything is bounded by a number of rows, and walks an index from the newest row back.
"""

import struct
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from tillkeeper.base.ids import first_id_at
from tillkeeper.base.money import exponent
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Listing
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "overview.sql")

SCAN: Final = 20_000  # rows that one figure is made of
STEP: Final = 1.0  # degrees of one square of the map
_SQUARES: Final = 400
SCORE: Final = "model_score"
SCORED: Final = 10_000  # decisions whose scores are read: each brings its whole receipt
BINS: Final = 20
_CONFIGURATIONS: Final = 200
_WIDTH: Final = 8  # bytes of a value in a receipt: little-endian float64
LISTS: Final = ("block", "trust", "watch")
ENTITIES: Final = ("customer", "payee", "device", "ip")
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


class Bin(NamedTuple):
    """Payments of one band of the score: all, known frauds, known to be honest."""

    payments: int
    frauds: int
    honest: int


class Scores(msgspec.Struct, frozen=True):
    """(payment, score 0..1, what is known of it) of payments that a model scored, the newest first."""

    rows: tuple[tuple[UUID, float, bool | None], ...]

    def counted(self) -> list[Bin]:
        """How many payments in each of BINS equal bands of the score."""
        bins = [[0, 0, 0] for _ in range(BINS)]
        for _, score, fraud in self.rows:
            found = bins[band_of(score)]
            found[0] += 1
            found[1] += fraud is True
            found[2] += fraud is False
        return [Bin(*each) for each in bins]

    def in_band(self, band: int, limit: int) -> list[UUID]:
        """The newest payments of one band."""
        return [id_ for id_, score, _ in self.rows if band_of(score) == band][:limit]


def band_of(score: float) -> int:
    """The band that a score lies in."""
    return min(max(int(score * BINS), 0), BINS - 1)


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


async def scores(tx: Tx, since: datetime) -> Scores:
    """What the champions of the time said about the newest payments since a moment."""
    stored = await tx.tuples(_sql.scoring_configurations, {"limit": _CONFIGURATIONS})
    places = {version: (names.index(SCORE), len(names)) for version, names in stored}
    params = {"first": first_id_at(since), "scan": SCORED, "configurations": list(places)}
    rows = await tx.tuples(_sql.scored, params) if places else []
    return Scores(
        tuple((id_, _score(features, *places[version]), fraud) for id_, version, features, fraud in rows)
    )


async def verdicts(tx: Tx, since: datetime, limit: int) -> list[Verdict]:
    """What payments turned out to be, by the newest `limit` words about them since a moment; the newest first."""
    rows = await tx.tuples(_sql.newest_verdicts, {"scan": limit, "since": since})
    return [Verdict(*row) for row in rows]


async def listed(tx: Tx, at: datetime, key: str, limit: int) -> list[Listing]:
    """The newest entries of lists in force at a moment; with a key, only those of it."""
    params = {"at": at, "keys": [key] if key else None, "limit": limit}
    found = await tx.tuples(_sql.listed, params | {"lists": list(LISTS), "entities": list(ENTITIES)})
    return [Listing(*row) for row in found]


def _score(features: bytes, place: int, count: int) -> float:
    """One value of a receipt; a receipt of another length than its configuration's is damaged and says 0."""
    if len(features) != count * _WIDTH:
        return 0.0
    (score,) = struct.unpack_from("<d", features, place * _WIDTH)
    return 0.0 if score != score else float(score)  # noqa: PLR0124 - NaN is what differs from itself


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

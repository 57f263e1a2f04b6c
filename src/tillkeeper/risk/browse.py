"""Read models for people: rule sets, their hits, what payments were reported to be. Bounded, by index."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.base.ids import NIL
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "browse.sql")

SCAN: Final = 20_000  # decisions that hits are counted in
_RULE_SETS: Final = 20
_LABELS: Final = 10


class RuleSetRow(msgspec.Struct, frozen=True):
    """A rule set as it was loaded, and when it came into use last."""

    version: int
    sha256: bytes
    source: str
    at: datetime


class Hits(msgspec.Struct, frozen=True):
    """How often each rule hit in the newest `decided` decisions (at most SCAN)."""

    decided: int
    by_rule: dict[str, int]


class Reported(msgspec.Struct, frozen=True):
    """What somebody said a payment was, and since when that is known."""

    fraud: bool
    source: str
    known_at: datetime


async def rule_sets(tx: Tx) -> list[RuleSetRow]:
    """The rule sets that were in use, the active one first."""
    return [RuleSetRow(*row) for row in await tx.tuples(_sql.rule_sets, {"limit": _RULE_SETS})]


async def hits(tx: Tx) -> Hits:
    """The rules' hits in the newest decisions."""
    first = await tx.value(_sql.scan_end, {"scan": SCAN})
    decided = SCAN if first else await tx.value(_sql.decided, {"scan": SCAN})
    rows = await tx.tuples(_sql.hits, {"first": first or NIL})
    return Hits(decided, dict(rows))


async def hit_by(tx: Tx, rule: str, limit: int) -> list[UUID]:
    """The newest payments a rule hit, newest first."""
    return [row[0] for row in await tx.tuples(_sql.hit_by, {"rule": rule, "scan": SCAN, "limit": limit})]


async def labels_of(tx: Tx, payment: UUID) -> list[Reported]:
    """What a payment was reported to be, the newest word first."""
    return [Reported(*row) for row in await tx.tuples(_sql.labels_of, {"payment": payment, "limit": _LABELS})]

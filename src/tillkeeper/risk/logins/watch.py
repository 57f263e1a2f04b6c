"""All logins of a time, for people to look at. Bounded: by LOGIN_WATCH_ROWS, the newest first."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import first_id_at
from tillkeeper.risk.logins.moments import login_moment
from tillkeeper.risk.logins.types import Moment
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "watch.sql")


class Slot(msgspec.Struct, frozen=True):
    """Logins with one outcome in one slot of time, and how many of them failed (a wrong password)."""

    at: datetime
    outcome: str
    count: int
    failed: int


class NetworkRow(msgspec.Struct, frozen=True):
    """What came from one network."""

    network: str
    country: str
    logins: int
    failed: int
    customers: int
    addresses: int


class Risky(msgspec.Struct, frozen=True):
    """A login and whose it is."""

    customer: UUID
    login: Moment


class Answers(msgspec.Struct, frozen=True):
    """What became of logins that were asked again."""

    passed: int
    failed: int
    never: int


class StaffRow(msgspec.Struct, frozen=True):
    """A sign-in of one of the platform's own people."""

    id: UUID
    at: datetime
    person: str
    way: str
    outcome: str
    score: float
    reasons: tuple[str, ...]
    ip: str | None
    network: str | None
    country: str | None
    browser: str | None
    system: str | None


async def outcomes(tx: Tx, since: datetime, slot: timedelta) -> list[Slot]:
    """Logins over time by outcome."""
    return [Slot(*row) for row in await tx.tuples(_sql.outcomes, _since(since) | {"slot": slot})]


async def by_network(tx: Tx, since: datetime, limit: int) -> list[NetworkRow]:
    """The networks with most failures first."""
    return [NetworkRow(*row) for row in await tx.tuples(_sql.by_network, _since(since) | {"limit": limit})]


async def riskiest(tx: Tx, since: datetime, limit: int) -> list[Risky]:
    """The logins of the highest score first."""
    rows = await tx.tuples(_sql.riskiest, _since(since) | {"limit": limit})
    return [Risky(row[13], login_moment(row)) for row in rows]


async def answered(tx: Tx, since: datetime) -> Answers:
    """What became of those who were asked again."""
    (row,) = await tx.tuples(_sql.answered, _since(since))
    return Answers(*row)


async def rule_hits(tx: Tx, since: datetime) -> dict[str, int]:
    """How many logins each rule hit. What habits said stands among the names too."""
    return dict(await tx.tuples(_sql.rule_hits, _since(since)))


async def staff(tx: Tx, limit: int) -> list[StaffRow]:
    """The newest sign-ins of the platform's own people first."""
    rows = await tx.tuples(_sql.staff, {"limit": limit})
    return [
        msgspec.convert(dict(zip(StaffRow.__struct_fields__, row, strict=True)), StaffRow) for row in rows
    ]


def _since(since: datetime) -> dict[str, object]:
    return {"since": since, "first": first_id_at(since), "rows": limits.LOGIN_WATCH_ROWS}

"""Backtests as PostgreSQL keeps them."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import refuse
from tillkeeper.risk.backtest.types import Asked, Question, Report
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


async def ask(tx: Tx, question: Question, author: str, at: datetime) -> UUID:
    """Have the agent do a backtest. Raises Refused: invalid_value for a range, too_many_backtests."""
    _check(question)
    waiting: int = await tx.value(_sql.waiting)
    if waiting >= limits.BACKTESTS_OPEN:
        raise refuse("too_many_backtests", f"{waiting} wait already; look again when they are done")
    row = _row(question, author, at)
    await tx.run(_sql.ask, row)
    id_: UUID = row["id"]
    return id_


async def keep(
    tx: Tx, question: Question, author: str, begun_at: datetime, at: datetime, report: Report
) -> UUID:
    """Keep a backtest that was done here."""
    row = _row(question, author, at) | {"begun_at": begun_at, "report": _encoded(report)}
    await tx.run(_sql.keep, row)
    id_: UUID = row["id"]
    return id_


async def one(tx: Tx, id_: UUID) -> Asked | None:
    """A backtest with its report, if it is done."""
    row = await tx.row(_sql.one, {"id": id_})
    return _asked(row) if row else None


async def latest(tx: Tx, count: int = limits.BACKTESTS_SHOWN) -> list[Asked]:
    """The newest, without their reports."""
    return [_asked(row) for row in await tx.rows(_sql.latest, {"count": count})]


async def of_rules(tx: Tx, rules: str) -> Asked | None:
    """The newest backtest of a text of rules, whatever its state."""
    row = await tx.row(_sql.of_rules, {"rules_sha256": _digest(rules)})
    return _asked(row) if row else None


async def again(tx: Tx) -> None:
    """Have done what was under way when its doer died."""
    await tx.run(_sql.again)


async def claim(tx: Tx, at: datetime) -> UUID | None:
    """Begin the one that waited the longest."""
    found: UUID | None = await tx.value(_sql.claim, {"at": at})
    return found


async def tell(tx: Tx, id_: UUID, share: float) -> None:
    """Note how far it is, 0..1."""
    await tx.run(_sql.tell, {"id": id_, "share": min(max(share, 0.0), 1.0)})


async def finish(tx: Tx, id_: UUID, at: datetime, report: Report) -> None:
    """Note what was found."""
    await tx.run(_sql.finish, {"id": id_, "at": at, "report": _encoded(report)})


async def fail(tx: Tx, id_: UUID, at: datetime, said: str) -> None:
    """Note why nothing was found."""
    await tx.run(_sql.fail, {"id": id_, "at": at, "said": said[-limits.BACKTEST_SAID :]})


async def logins(tx: Tx, first: UUID, last: UUID, as_of: datetime) -> dict[UUID, bool | None]:
    """Of the logins from `first` to `last` with the right password that were not just let in: True for an attacker's,
    False for the customer's, None where nobody knows. By what was known at `as_of`.
    """
    within = limits.TAKEOVER_SECONDS
    params = {
        "first": first,
        "last": last,
        "until": UUID(int=last.int + (within * 1000 << 80)),  # ids of so much later
        "as_of": as_of,
        "within": timedelta(seconds=within),
    }
    return dict(await tx.tuples(_sql.logins, params))


def _check(question: Question) -> None:
    seconds = (question.to_at - question.from_at).total_seconds()
    if seconds <= 0:
        raise refuse("invalid_value", "the range ends before it begins", "to")
    if seconds > limits.BACKTEST_MOST_SECONDS:
        days = limits.BACKTEST_MOST_SECONDS // 86_400
        raise refuse("invalid_value", f"the range is longer than {days} days", "from")


def _row(question: Question, author: str, at: datetime) -> dict[str, Any]:
    asked = msgspec.structs.asdict(question)
    return asked | {"id": new_id(), "at": at, "author": author, "rules_sha256": _digest(question.rules)}


def _digest(rules: str) -> bytes:
    return sha256(rules.encode()).digest()


def _encoded(report: Report) -> str:
    text = msgspec.json.encode(report).decode()
    assert len(text) <= limits.BACKTEST_REPORT_BYTES
    return text


def _asked(row: Any) -> Asked:
    return msgspec.convert(row._asdict(), Asked)

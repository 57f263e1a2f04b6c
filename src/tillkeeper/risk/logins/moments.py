"""One timeline of a customer: logins, devices, settings, payments, payouts, and what payments turned out to be."""

from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.risk.logins.types import Moment
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "moments.sql")

_LAST = UUID(int=2**128 - 1)
_PAYOUTS = frozenset({"withdrawal", "payout"})


async def timeline(tx: Tx, customer: UUID, before: UUID | None, limit: int) -> list[Moment]:
    """A customer's entries before an id (unset: the newest), in order of arrival, newest first; at most `limit`.

    The page after goes on before the last id. Labels stand with the payments that they are about.
    """
    params = {"customer": customer, "before": before or _LAST, "limit": limit}
    sent = [await tx.send(each, params) for each in (_sql.logins_of, _sql.changes_of, _sql.attempts_of)]
    logins, changes, attempts = [await each.tuples() for each in sent]
    found = [
        *map(login_moment, logins),
        *map(_change, changes),
        *map(_attempt, attempts),
    ]
    found.sort(key=lambda moment: moment.id, reverse=True)
    return await _with_devices(tx, customer, found[:limit])


def login_moment(row: tuple[object, ...]) -> Moment:
    """A login's row as an entry."""
    return msgspec.convert(
        {
            "id": row[0],
            "at": row[1],
            "kind": "login",
            "what": "succeeded" if row[2] else "failed",
            "outcome": row[3],
            "score": row[4],
            "reasons": row[5],
            "device": row[6],
            "ip": row[7],
            "network": row[8],
            "country": row[9],
            "browser": row[10],
            "system": row[11],
            "answer": row[12],
        },
        Moment,
    )


def _change(row: tuple[object, ...]) -> Moment:
    names = ("id", "at", "what", "device", "ip", "network", "country")
    return msgspec.convert(dict(zip(names, row, strict=True)) | {"kind": "setting"}, Moment)


def _attempt(row: tuple[object, ...]) -> Moment:
    names = (
        "id",
        "at",
        "what",
        "outcome",
        "reasons",
        "amount",
        "currency",
        "payee",
        "device",
        "ip",
        "fraud",
        "known_at",
    )
    kind = "payout" if row[2] in _PAYOUTS else "payment"
    return msgspec.convert(dict(zip(names, row, strict=True)) | {"kind": kind}, Moment)


async def _with_devices(tx: Tx, customer: UUID, found: list[Moment]) -> list[Moment]:
    """Mark the first entry of each device."""
    devices = {moment.device for moment in found if moment.device}
    if not devices:
        return found
    rows = await tx.tuples(
        _sql.seen_before,
        {
            "customer": customer,
            "before": found[-1].id,
            "devices": columns.texts(sorted(devices)),
            "look": limits.TIMELINE_LOOK,
        },
    )
    known = {row[0] for row in rows}
    marked = []
    for moment in reversed(found):
        new = moment.device is not None and moment.device not in known
        known.add(moment.device)
        marked.append(msgspec.structs.replace(moment, new_device=new))
    return marked[::-1]

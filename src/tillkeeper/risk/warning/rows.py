"""Early warning's statements, run."""

import math
import struct
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH, to_us
from tillkeeper.base.ids import NIL, first_id_at
from tillkeeper.base.money import exponent
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.warning.rhythm import HOUR_US, Hour
from tillkeeper.risk.warning.types import Act, Alert, Remedy, Seen, SeenLabel, SeenLogin, Signal
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")
_double: Final = struct.Struct("<d").unpack


class Snapshot(msgspec.Struct, frozen=True):
    """What somebody who looks now can see. `at`: before it was taken."""

    at: datetime
    next_xid: int
    open_xids: tuple[int, ...]


BEGINNING: Final = Snapshot(EPOCH, -(2**62), ())
"""Nothing was seen."""


async def snapshot(tx: Tx, at: datetime) -> Snapshot:
    """What can be seen now."""
    ((next_xid, open_xids),) = await tx.tuples(_sql.snapshot)
    return Snapshot(at, next_xid, tuple(open_xids))


async def cursor(tx: Tx, reader: str) -> Snapshot | None:
    """How far a reader has come."""
    found = await tx.tuples(_sql.cursor, {"reader": reader})
    return Snapshot(found[0][0], found[0][1], tuple(found[0][2])) if found else None


async def move_cursor(tx: Tx, reader: str, seen: Snapshot) -> None:
    """A reader has come so far."""
    params = {"reader": reader, "at": seen.at, "next_xid": seen.next_xid, "open_xids": list(seen.open_xids)}
    await tx.run(_sql.move_cursor, params)


def lower(seen: Snapshot) -> UUID:
    """Below this id everything was seen by a snapshot."""
    since = seen.at - timedelta(seconds=limits.WATCH_LATE_SECONDS)
    return first_id_at(since) if since > EPOCH else NIL


def _between(before: Snapshot, now: Snapshot, after: Any) -> dict[str, Any]:
    return {
        "before": before.next_xid,
        "open_before": list(before.open_xids),
        "next_xid": now.next_xid,
        "open_xids": list(now.open_xids),
        "after": after,
        "limit": limits.WATCH_BATCH,
    }


async def decisions(tx: Tx, before: Snapshot, now: Snapshot, after: UUID, rules: RuleSet) -> list[Seen]:
    """A page of what was decided between two snapshots, among the ids after one."""
    worth = worth_in(rules)
    return [
        Seen(
            row[0],
            to_us(row[1]),
            row[2],
            row[3],
            row[4],
            worth(row[5], row[6]),
            row[7],
            row[8],
            row[9],
            tuple(row[10]),
            row[11],
            _number(row[12]),
            _is_new(_number(row[13]), _number(row[14])),
            None if (new := _number(row[15])) is None else new > 0,
            _count(row[16]),
            _count(row[17]),
            _count(row[13]),
        )
        for row in await tx.tuples(_sql.decisions_between, _between(before, now, after))
    ]


async def logins(tx: Tx, before: Snapshot, now: Snapshot, after: UUID) -> list[SeenLogin]:
    """A page of tries to log in."""
    return [
        SeenLogin(row[0], to_us(row[1]), row[2], row[3], row[4], row[5], tuple(row[6]), *row[7:])
        for row in await tx.tuples(_sql.logins_between, _between(before, now, after))
    ]


async def labels(
    tx: Tx, before: Snapshot, now: Snapshot, after: int, rules: RuleSet
) -> tuple[list[SeenLabel], int]:
    """A page of labels, and the number of its last."""
    worth = worth_in(rules)
    found = await tx.tuples(_sql.labels_between, _between(before, now, after))
    seen = [SeenLabel(row[1], to_us(row[2]), row[3], worth(row[4], row[5]), tuple(row[6])) for row in found]
    return seen, found[-1][0] if found else after


def worth_in(rules: RuleSet) -> Callable[[int, str], int]:
    """Amounts in minor units of the rules' reference currency, as the profiles count them."""
    unit: int = 10 ** exponent(rules.reference)
    worth, other = rules.worth, rules.other

    def convert(amount: int, currency: str) -> int:
        return amount * unit // worth.get(currency, other)

    return convert


def _number(cell: bytes | None) -> float | None:
    """A value of a receipt; None where it is not on it or was not known."""
    if cell is None or len(cell) != 8:
        return None
    value: float = _double(cell)[0]
    return None if math.isnan(value) else value


def _count(cell: bytes | None) -> int | None:
    number = _number(cell)
    return None if number is None else round(number)


def _is_new(age: float | None, devices: float | None) -> bool | None:
    """Whether a customer who has other devices uses one for the first time."""
    return None if age is None or devices is None else age == 0 and devices >= 2


async def last_label(tx: Tx) -> int:
    """The number of the newest label."""
    found: int = await tx.value(_sql.last_label)
    return found


async def newest(tx: Tx, count: int) -> tuple[UUID, UUID]:
    """Before which ids the newest `count` decisions and logins begin."""
    params = {"count": count}
    decided = await tx.value(_sql.nth_newest_decision, params)
    return decided or NIL, await tx.value(_sql.nth_newest_login, params) or NIL


async def precision(tx: Tx) -> dict[str, tuple[int, int]]:
    """Frauds and labels of what each rule hit, of late."""
    rows = await tx.tuples(_sql.precision, {"limit": limits.WATCH_RELIVED})
    return {rule: (frauds, judged) for rule, frauds, judged in rows}


async def trips(tx: Tx, since: datetime) -> list[tuple[str, int, int, int, datetime]]:
    """Breakers that opened: rule, hits, at most, within seconds, when."""
    found: Any = await tx.tuples(_sql.trips, {"since": since, "limit": limits.WATCH_RULES})
    return list(found)


async def hours(tx: Tx, since: datetime) -> dict[str, list[Hour]]:
    """What streams counted since a moment, the oldest hours first."""
    found: dict[str, list[Hour]] = defaultdict(list)
    for stream, hour, trials, hits in await tx.tuples(_sql.hours, {"since": since}):
        found[stream].append(Hour(to_us(hour) // HOUR_US, trials, hits))
    return found


async def add_hours(tx: Tx, ended: Mapping[str, Sequence[Hour]], before: datetime) -> None:
    """Keep hours that have ended; forget those from before a moment."""
    rows = [(stream, each) for stream, some in ended.items() for each in some]
    if rows:
        params = {
            "streams": columns.texts([stream for stream, _ in rows]),
            "hours": columns.times([EPOCH + timedelta(hours=each.hour) for _, each in rows]),
            "trials": columns.bigints([each.trials for _, each in rows]),
            "hits": columns.bigints([each.hits for _, each in rows]),
        }
        await tx.run(_sql.add_hours, params)
        await tx.run(_sql.forget_hours, {"before": before})


async def open_signals(tx: Tx, limit: int = limits.SIGNALS_OPEN) -> list[Signal]:
    """What lasts, the newest first."""
    return [_signal(row) for row in await tx.tuples(_sql.open_signals, {"limit": limit})]


async def past_signals(tx: Tx, limit: int = limits.SIGNALS_PAST) -> list[Signal]:
    """What is over, the newest first."""
    return [_signal(row) for row in await tx.tuples(_sql.past_signals, {"limit": limit})]


async def signal(tx: Tx, id_: UUID) -> Signal | None:
    """One signal."""
    found = await tx.tuples(_sql.signal, {"id": id_})
    return _signal(found[0]) if found else None


def _signal(row: Sequence[Any]) -> Signal:
    return Signal(*row)


def _cells(each: Signal) -> dict[str, Any]:
    cells: dict[str, Any] = {name: getattr(each, name) for name in each.__struct_fields__}
    return cells | {"evidence": msgspec.json.encode(each.evidence).decode()}


async def add_signal(tx: Tx, each: Signal) -> bool:
    """A signal that begins; False when the same trouble has one that lasts."""
    return await tx.value(_sql.add_signal, _cells(each)) is not None


async def see_signal(tx: Tx, each: Signal) -> None:
    """A signal as it is now."""
    await tx.run(_sql.see_signal, _cells(each))


async def end_signals(tx: Tx, ids: Sequence[UUID], at: datetime) -> None:
    """Signals that are over."""
    if ids:
        await tx.run(_sql.end_signals, {"ids": columns.uuids(ids), "at": at})


async def add_alerts(tx: Tx, alerts: Sequence[Alert], found_at: datetime, currency: str) -> None:
    """Alerts; one that is there already stays as it is."""
    if not alerts:
        return
    params = {
        "found_at": found_at,
        "currency": currency,
        "ids": columns.uuids([each.id for each in alerts]),
        "kinds": columns.texts([each.kind for each in alerts]),
        "subject_kinds": columns.texts([each.subject_kind for each in alerts]),
        "subjects": columns.uuids([each.subject for each in alerts]),
        "ats": columns.times([each.at for each in alerts]),
        "payments": columns.uuids([each.payment for each in alerts]),
        "logins": columns.uuids([each.login for each in alerts]),
        "signals": columns.uuids([each.signal for each in alerts]),
        "outcomes": columns.texts([each.outcome for each in alerts]),
        "reasons": columns.texts([",".join(each.reasons) for each in alerts]),
        "amounts": columns.bigints([each.amount for each in alerts]),
        "ppms": columns.integers([each.probability_ppm for each in alerts]),
        "losses": columns.bigints([each.expected_loss for each in alerts]),
        "queued": columns.booleans([each.queued for each in alerts]),
    }
    await tx.run(_sql.add_alerts, params)


async def alerts_since(tx: Tx, since: datetime) -> list[tuple[UUID, int, int, bool]]:
    """For the budget: subject, expected loss, when it was found, whether it was queued; the oldest first."""
    params = {"first": first_id_at(since), "limit": limits.ALERT_BUDGET_SUBJECTS}
    rows = await tx.tuples(_sql.alerts_since, params)
    return [(subject, loss, to_us(at), queued) for subject, loss, at, queued in rows]


async def alerts_counted(tx: Tx, since: datetime) -> tuple[int, int]:
    """How many alerts since a moment are within the budget, and below it."""
    ((queued, below),) = await tx.tuples(_sql.alerts_counted, {"first": first_id_at(since)})
    return queued, below


async def alerts_ranked(tx: Tx, since: datetime, *, queued: bool, limit: int) -> list[Alert]:
    """Alerts since a moment, those with the most to lose first."""
    params = {"first": first_id_at(since), "queued": queued, "limit": limit}
    return [_alert(row) for row in await tx.tuples(_sql.alerts_ranked, params)]


async def alerts_of(tx: Tx, signal_id: UUID) -> list[Alert]:
    """Whom a signal alerted about."""
    params = {"signal": signal_id, "limit": limits.PAGE_MAX}
    return [_alert(row) for row in await tx.tuples(_sql.alerts_of_signal, params)]


def _alert(row: Sequence[Any]) -> Alert:
    cells = dict(zip(Alert.__struct_fields__, row, strict=True))
    return Alert(**cells | {"reasons": tuple(row[10])})


async def draw_up(tx: Tx, ids: Sequence[UUID]) -> int:
    """Take alerts below the budget into it; how many were."""
    return len(await tx.tuples(_sql.draw_up, {"ids": columns.uuids(ids)}))


async def add_remedy(tx: Tx, each: Remedy) -> None:
    """A rule that the machine proposes."""
    await tx.run(_sql.add_remedy, {name: getattr(each, name) for name in each.__struct_fields__})


async def remedies(tx: Tx, signals: Sequence[UUID]) -> dict[UUID, Remedy]:
    """What was proposed, by signal."""
    rows = await tx.tuples(_sql.remedies, {"signals": columns.uuids(signals)})
    return {row[1]: Remedy(*row) for row in rows}


async def add_act(tx: Tx, id_: UUID, each: Act) -> None:
    """What a person did."""
    await tx.run(_sql.add_act, {"id": id_, **{name: getattr(each, name) for name in each.__struct_fields__}})


async def acts(tx: Tx, signals: Sequence[UUID]) -> dict[UUID, list[Act]]:
    """What people did, by signal."""
    found: dict[UUID, list[Act]] = defaultdict(list)
    for row in await tx.tuples(_sql.acts, {"signals": columns.uuids(signals)}):
        found[row[0]].append(Act(*row))
    return found


async def signals_counted(tx: Tx) -> int:
    """How many last."""
    found: int = await tx.value(_sql.signals_counted)
    return found

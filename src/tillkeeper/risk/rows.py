"""The risk schema's statements, run."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tillkeeper.base.clock import EPOCH, from_us, to_us
from tillkeeper.base.ids import first_id_at
from tillkeeper.risk.types import Attempt, Decision, Label, Receipt
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")


async def write_decisions(tx: Tx, decisions: Sequence[Decision]) -> None:
    """Receipts of one turn, and what of it was let through as a sample."""
    attempts = [decision.attempt for decision in decisions]
    await tx.run(
        _sql.write_decisions,
        {
            "ids": columns.uuids([one.id for one in attempts]),
            "ats": columns.times([from_us(one.at_us) for one in attempts]),
            "kinds": columns.texts([one.kind for one in attempts]),
            "customers": columns.uuids([one.customer for one in attempts]),
            "payees": columns.uuids([one.payee for one in attempts]),
            "amounts": columns.bigints([one.amount for one in attempts]),
            "currencies": columns.texts([one.currency for one in attempts]),
            "devices": columns.texts([one.device for one in attempts]),
            "ips": columns.texts([one.ip for one in attempts]),
            "latitudes": columns.doubles([one.latitude for one in attempts]),
            "longitudes": columns.doubles([one.longitude for one in attempts]),
            "outcomes": columns.texts([decision.outcome for decision in decisions]),
            "reasons": columns.texts([",".join(decision.reasons) for decision in decisions]),
            "rule_sets": columns.integers([decision.rule_set for decision in decisions]),
            "features": columns.blobs([decision.features for decision in decisions]),
            "configurations": columns.integers([decision.configuration for decision in decisions]),
            "effects": columns.texts([",".join(decision.effects) for decision in decisions]),
        },
    )
    await _write_bypasses(tx, [decision for decision in decisions if decision.effects])


async def _write_bypasses(tx: Tx, decisions: Sequence[Decision]) -> None:
    found = [
        (decision.attempt, effect.removeprefix("bypassed:"))
        for decision in decisions
        for effect in decision.effects
        if effect.startswith("bypassed:")
    ]
    if found:
        await tx.run(
            _sql.write_bypasses,
            {
                "payments": columns.uuids([attempt.id for attempt, _ in found]),
                "outcomes": columns.texts([outcome for _, outcome in found]),
                "ats": columns.times([from_us(attempt.at_us) for attempt, _ in found]),
            },
        )


async def write_labels(tx: Tx, labels: Sequence[Label], at: datetime) -> None:
    """Labels, in the order given. Whoever decides learns them from here within a second; commit soon."""
    await tx.run(_sql.one_at_a_time)
    await tx.run(
        _sql.write_labels,
        {
            "payments": columns.uuids([label.payment for label in labels]),
            "frauds": columns.booleans([label.fraud for label in labels]),
            "sources": columns.texts([label.source for label in labels]),
            "known": columns.times([from_us(label.known_at_us) for label in labels]),
            "at": at,
        },
    )


async def last_label(tx: Tx) -> int:
    """The number of the last label."""
    number: int = await tx.value(_sql.last_label)
    return number


async def next_labels(tx: Tx, last: int, count: int) -> list[tuple[int, UUID, bool]]:
    """(number, payment, fraud) of labels after one, in the order they were written."""
    return await tx.tuples(_sql.labels_from, {"last": last, "count": count})


async def labelled(tx: Tx, payments: Sequence[UUID], source: str) -> set[UUID]:
    """Which of these payments have a label from this source."""
    params = {"payments": columns.uuids(payments), "source": source}
    return {row[0] for row in await tx.tuples(_sql.labelled, params)}


async def receipt(tx: Tx, payment: UUID) -> Receipt | None:
    """One decision with its rule set's source and feature names."""
    row = await tx.row(_sql.receipt, {"payment": payment})
    if row is None:
        return None
    return msgspec.convert(row._asdict(), Receipt)


async def first_to_remember(tx: Tx, arrivals: int, memory: timedelta) -> UUID | None:
    """The first decision that still matters, when `memory` is counted from the oldest of the last arrivals."""
    oldest: datetime | None = await tx.value(_sql.oldest_of_last, {"count": arrivals})
    if oldest is None:
        return None
    since = max(oldest - memory, EPOCH)  # ids begin there
    found: UUID | None = await tx.value(
        _sql.first_to_remember, {"from_id": first_id_at(since), "since": since}
    )
    return found


async def attempts_from(tx: Tx, first: UUID, batch: int) -> AsyncIterator[list[Attempt]]:
    """History in order of arrival, in bounded batches."""
    found = await tx.tuples(_sql.attempts_from, {"first": first, "count": batch})
    while found:
        yield [Attempt(row[0], row[1], to_us(row[2]), *row[3:]) for row in found]
        found = await tx.tuples(_sql.attempts_after, {"last": found[-1][0], "count": batch})


async def hits_from(tx: Tx, first: UUID, batch: int) -> AsyncIterator[list[tuple[UUID, datetime, list[str]]]]:
    """(payment, event time, rules that counted) of decisions from an id on, in order of arrival, in bounded batches."""
    while found := await tx.tuples(_sql.hits_from, {"first": first, "count": batch}):
        yield found
        if len(found) < batch:
            return
        first = UUID(int=found[-1][0].int + 1)


async def labels_from(tx: Tx, first: UUID, batch: int) -> AsyncIterator[list[tuple[UUID, bool]]]:
    """(payment, fraud) of payments from an id on, in the order they were written."""
    last = 0
    while found := await tx.tuples(_sql.labels_after, {"last": last, "first": first, "count": batch}):
        yield [(row[1], row[2]) for row in found]
        last = found[-1][0]

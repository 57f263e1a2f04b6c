"""The risk schema's statements, run."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base.clock import EPOCH, from_us, to_us
from tillkeeper.base.ids import first_id_at
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Attempt, Decision, Label, Receipt
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")


async def activate(tx: Tx, rules: RuleSet, at: datetime) -> int:
    """Note that this rule set decides from now on, on record if another did before; its version."""
    # The features are part of the identity: they give the receipts' bytes their meaning.
    digest = sha256("\0".join([rules.source, *rules.features]).encode()).digest()
    await tx.run(
        _sql.add_rule_set,
        {"sha256": digest, "source": rules.source, "features": list(rules.features), "at": at},
    )
    version: int = await tx.value(_sql.rule_set_version, {"sha256": digest})
    if await tx.value(_sql.activate, {"version": version, "at": at}) is not None:
        found = f"version {version}, sha256 {digest.hex()[:16]}"
        await audit.append(tx, "system", "rules.activated", "rules", found)
    return version


async def write_decisions(tx: Tx, decisions: Sequence[Decision]) -> None:
    """Receipts of one turn, all of one rule set."""
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
            "features": columns.blobs([decision.features for decision in decisions]),
            "rule_set": decisions[0].rule_set,
        },
    )


async def write_labels(tx: Tx, labels: Sequence[Label], at: datetime) -> None:
    """Labels, in the order given."""
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


async def labels_from(tx: Tx, first: UUID, batch: int) -> AsyncIterator[list[tuple[UUID, bool]]]:
    """(payment, fraud) of payments from an id on, in the order they were written."""
    last = 0
    while found := await tx.tuples(_sql.labels_after, {"last": last, "first": first, "count": batch}):
        yield [(row[1], row[2]) for row in found]
        last = found[-1][0]

"""The risk schema's statements, run."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from tillkeeper.base.clock import from_us, to_us
from tillkeeper.base.ids import first_id_at
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Attempt, Decision, Label
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


async def activate(tx: Tx, rules: RuleSet, at: datetime) -> int:
    """Note that this rule set decides from now on; its version."""
    # The features are part of the identity: they give the receipts' bytes their meaning.
    digest = sha256("\0".join([rules.source, *rules.features]).encode()).digest()
    await tx.run(
        _sql.add_rule_set,
        {"sha256": digest, "source": rules.source, "features": list(rules.features), "at": at},
    )
    version: int = await tx.value(_sql.rule_set_version, {"sha256": digest})
    await tx.run(_sql.activate, {"version": version, "at": at})
    return version


async def active_rule_set(tx: Tx) -> Any | None:
    """(version, source, at) of the rule set that decides."""
    return await tx.row(_sql.active_rule_set)


async def hits_since(tx: Tx, since: datetime) -> dict[str, int]:
    """How often each rule hit since a moment of arrival."""
    return dict(await tx.tuples(_sql.hits_since, {"first": first_id_at(since)}))


async def write_decisions(tx: Tx, decisions: Sequence[Decision]) -> None:
    """Receipts of one turn, all of one rule set."""
    attempts = [decision.attempt for decision in decisions]
    await tx.run(
        _sql.write_decisions,
        {
            "ids": [one.id for one in attempts],
            "ats": [from_us(one.at_us) for one in attempts],
            "kinds": [one.kind for one in attempts],
            "customers": [one.customer for one in attempts],
            "payees": [one.payee for one in attempts],
            "amounts": [one.amount for one in attempts],
            "currencies": [one.currency for one in attempts],
            "devices": [one.device for one in attempts],
            "ips": [one.ip for one in attempts],
            "latitudes": [one.latitude for one in attempts],
            "longitudes": [one.longitude for one in attempts],
            "outcomes": [decision.outcome for decision in decisions],
            "reasons": [",".join(decision.reasons) for decision in decisions],
            "features": [decision.features for decision in decisions],
            "rule_set": decisions[0].rule_set,
        },
    )


async def write_labels(tx: Tx, labels: Sequence[Label], at: datetime) -> None:
    """Labels, in the order given."""
    await tx.run(
        _sql.write_labels,
        {
            "payments": [label.payment for label in labels],
            "frauds": [label.fraud for label in labels],
            "sources": [label.source for label in labels],
            "known": [from_us(label.known_at_us) for label in labels],
            "at": at,
        },
    )


async def receipt(tx: Tx, payment: UUID) -> Any | None:
    """One decision with its rule set's source and feature names."""
    return await tx.row(_sql.receipt, {"payment": payment})


async def first_to_remember(tx: Tx, arrivals: int, memory: timedelta) -> UUID | None:
    """The first decision that still matters, when `memory` is counted from the oldest of the last arrivals."""
    oldest: datetime | None = await tx.value(_sql.oldest_of_last, {"count": arrivals})
    if oldest is None:
        return None
    since = oldest - memory
    found: UUID | None = await tx.value(_sql.first_to_remember, {"from_id": first_id_at(since), "since": since})
    return found


async def attempts_from(tx: Tx, first: UUID, batch: int) -> AsyncIterator[list[Attempt]]:
    """History in order of arrival, in bounded batches."""
    async for rows in tx.each(_sql.attempts_from, {"first": first}, batch=batch):
        yield [Attempt(row[0], row[1], to_us(row[2]), *row[3:]) for row in rows]


async def labels_from(tx: Tx, first: UUID, batch: int) -> AsyncIterator[list[tuple[UUID, bool]]]:
    """(payment, fraud) of payments from an id on, in the order they were written."""
    async for rows in tx.each(_sql.labels_from, {"first": first}, batch=batch):
        yield [(row[0], row[1]) for row in rows]

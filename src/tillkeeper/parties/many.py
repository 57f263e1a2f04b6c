"""Parties by the thousand, as histories from elsewhere bring them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")


class Newcomer(msgspec.Struct, frozen=True):
    """A party to add, known to the caller by `reference`, which nobody else may have yet."""

    id: UUID
    name: str
    reference: str


async def customers_by_references(tx: Tx, references: Sequence[str]) -> dict[str, UUID]:
    """Customers by the caller's references; unknown ones are left out."""
    return dict(await tx.tuples(_sql.customers_by_references, {"references": columns.texts(references)}))


async def merchants_by_references(tx: Tx, references: Sequence[str]) -> dict[str, UUID]:
    """Merchants by the caller's references; unknown ones are left out."""
    return dict(await tx.tuples(_sql.merchants_by_references, {"references": columns.texts(references)}))


async def add_customers(tx: Tx, newcomers: Sequence[Newcomer], at: datetime) -> None:
    """Store customers. A reference in use fails the transaction."""
    await tx.run(_sql.add_customers, {**_columns(newcomers), "at": at})


async def add_merchants(
    tx: Tx, newcomers: Sequence[Newcomer], category: str, fee_bps: int, at: datetime
) -> None:
    """Store merchants of one category and fee (hundredths of a percent). A reference in use fails the transaction."""
    params = {**_columns(newcomers), "category": category, "fee_bps": fee_bps, "at": at}
    await tx.run(_sql.add_merchants, params)


def _columns(newcomers: Sequence[Newcomer]) -> dict[str, Any]:
    return {
        "ids": columns.uuids([each.id for each in newcomers]),
        "names": columns.texts([each.name for each in newcomers]),
        "references": columns.texts([each.reference for each in newcomers]),
    }

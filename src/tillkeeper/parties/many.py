"""Parties by the thousand, as histories from elsewhere bring them, or as they stood before there was a vault."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tillkeeper.parties import sealing
from tillkeeper.parties.types import Newcomer
from tillkeeper.store import Tx, columns, queries
from tillkeeper.vault import Vault

_sql = queries(__package__, "queries.sql")


async def customers_by_references(tx: Tx, references: Sequence[str]) -> dict[str, UUID]:
    """Customers by the caller's references; unknown ones are left out."""
    return dict(await tx.tuples(_sql.customers_by_references, {"references": columns.texts(references)}))


async def merchants_by_references(tx: Tx, references: Sequence[str]) -> dict[str, UUID]:
    """Merchants by the caller's references; unknown ones are left out."""
    return dict(await tx.tuples(_sql.merchants_by_references, {"references": columns.texts(references)}))


async def add_customers(tx: Tx, vault: Vault, newcomers: Sequence[Newcomer], at: datetime) -> None:
    """Seal and store customers. A reference in use fails the transaction."""
    params = sealing.seal(vault, newcomers)
    await tx.run(_sql.add_customers, params | {"references": _references(newcomers), "at": at})


async def add_merchants(
    tx: Tx, newcomers: Sequence[Newcomer], category: str, fee_bps: int, at: datetime
) -> None:
    """Store merchants of one category and fee (hundredths of a percent). A reference in use fails the transaction."""
    params: dict[str, Any] = {
        "ids": columns.uuids([each.id for each in newcomers]),
        "names": columns.texts([each.name for each in newcomers]),
        "references": _references(newcomers),
        "category": category,
        "fee_bps": fee_bps,
        "at": at,
    }
    await tx.run(_sql.add_merchants, params)


async def any_in_the_clear(tx: Tx) -> bool:
    """Whether there are customers older than the vault, whose names are not sealed yet."""
    return bool(await tx.value(_sql.any_in_the_clear))


async def seal_in_the_clear(tx: Tx, vault: Vault, limit: int) -> int:
    """Seal the names of up to `limit` customers older than the vault; how many there were. Others wait for these rows."""
    rows = await tx.tuples(_sql.in_the_clear, {"limit": limit})
    if rows:
        await tx.run(_sql.seal_customers, sealing.seal(vault, [Newcomer(id_, name) for id_, name in rows]))
    return len(rows)


def _references(newcomers: Sequence[Newcomer]) -> columns.Column:
    return columns.texts([each.reference for each in newcomers])

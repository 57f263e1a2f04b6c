"""The parties' statements, run."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg import errors

from tillkeeper.base import limits
from tillkeeper.base.results import refuse
from tillkeeper.parties import sealing
from tillkeeper.parties.types import ERASED, Customer, Merchant, Newcomer, Standing
from tillkeeper.store import Sent, Tx, columns, queries
from tillkeeper.vault import Sealed, Vault

_sql = queries(__package__, "queries.sql")
_LAST: Final = UUID(int=2**128 - 1)


async def add_customer(tx: Tx, vault: Vault, newcomer: Newcomer, at: datetime) -> Customer:
    """Seal and store a new customer. Refuses a reference in use (`reference_taken`)."""
    params = sealing.seal(vault, [newcomer]) | {"references": columns.texts([newcomer.reference]), "at": at}
    try:
        await tx.value(_sql.add_customers, params)
    except errors.UniqueViolation:
        raise refuse("reference_taken", "look the customer up by ?reference= instead", "reference") from None
    return (await customers(tx, vault, [newcomer.id]))[newcomer.id]


async def add_merchant(tx: Tx, merchant: Merchant) -> None:
    """Store a new merchant. Refuses a reference in use (`reference_taken`)."""
    try:
        await tx.value(
            _sql.add_merchant,
            {
                "id": merchant.id,
                "name": merchant.name,
                "category": merchant.category,
                "fee_bps": merchant.fee_bps,
                "latitude": merchant.latitude,
                "longitude": merchant.longitude,
                "reference": merchant.reference,
                "at": merchant.created_at,
            },
        )
    except errors.UniqueViolation:
        raise refuse("reference_taken", "look the merchant up by ?reference= instead", "reference") from None


async def customers(tx: Tx, vault: Vault, ids: Sequence[UUID]) -> dict[UUID, Customer]:
    """Customers by id; unknown ids are left out."""
    rows = await tx.tuples(_sql.customers, {"ids": columns.uuids(ids)})
    return {row[0]: sealing.customer(vault, row) for row in rows}


async def merchants(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, Merchant]:
    """Merchants by id; unknown ids are left out."""
    return {row[0]: Merchant(*row) for row in await tx.tuples(_sql.merchants, {"ids": columns.uuids(ids)})}


async def customer_page(tx: Tx, vault: Vault, before: UUID | None, limit: int) -> list[Customer]:
    """Customers, newest first; `before` is the last id already seen."""
    rows = await tx.tuples(_sql.customer_page, {"before": before or _LAST, "limit": limit})
    return [sealing.customer(vault, row) for row in rows]


async def customer_by_reference(tx: Tx, vault: Vault, reference: str) -> Customer | None:
    """The customer with the caller's reference."""
    rows = await tx.tuples(_sql.customer_by_reference, {"reference": reference})
    return sealing.customer(vault, rows[0]) if rows else None


async def customers_by(tx: Tx, vault: Vault, field: str, text: str, limit: int) -> list[Customer]:
    """Up to `limit` customers whose "name", "phone" or "id_number" is a text, newest first; case and width do not count.

    Whoever may ask this often finds out whose number is whose: callers are counted (see base.quota).
    """
    statement = getattr(_sql, f"customers_by_{field}")
    rows = await tx.tuples(statement, sealing.tags(vault, field, text) | {"limit": limits.NAMESAKES})
    found = [sealing.customer(vault, row) for row in rows]
    if field == "name":  # others share its beacon
        found = [each for each in found if isinstance(each.name, Sealed) and vault.is_text(each.name, text)]
    return found[:limit]


async def is_newcomer(tx: Tx, vault: Vault, customer: UUID, newcomer: Newcomer) -> bool:
    """Whether a customer has just the newcomer's name, phone and id number; of one who was erased nobody can say no."""
    found = (await customers(tx, vault, [customer])).get(customer)
    if found is None or found.erased:
        return True
    for field in sealing.COLUMNS:
        value, text = getattr(found, field), getattr(newcomer, field)
        if (value is None) != (text is None):
            return False
        if isinstance(value, Sealed) and not vault.is_text(value, text):
            return False
    return True


async def merchant_page(tx: Tx, before: UUID | None, limit: int) -> list[Merchant]:
    """Merchants, newest first; `before` is the last id already seen."""
    rows = await tx.tuples(_sql.merchant_page, {"before": before or _LAST, "limit": limit})
    return [Merchant(*row) for row in rows]


async def merchant_by_reference(tx: Tx, reference: str) -> Merchant | None:
    """The merchant with the caller's reference."""
    rows = await tx.tuples(_sql.merchant_by_reference, {"reference": reference})
    return Merchant(*rows[0]) if rows else None


async def set_customer_state(tx: Tx, customer: UUID, state: str) -> bool:
    """Freeze ("frozen") or unfreeze ("active"); False if there is no such customer. Refuses an erased one (`customer_erased`)."""
    became = await tx.value(_sql.set_customer_state, {"id": customer, "state": state})
    if became == ERASED:
        raise refuse("customer_erased", "an erased customer stays so")
    return became is not None


async def set_merchant_state(tx: Tx, merchant: UUID, state: str) -> bool:
    """Close ("closed") or reopen ("active"); False if there is no such merchant."""
    return await tx.value(_sql.set_merchant_state, {"id": merchant, "state": state}) is not None


async def send_standings(tx: Tx, ids: Sequence[UUID], *, firm: bool = False) -> Sent:
    """Ask for the standings of parties; read them with `standings`. `firm`: they stay so until the transaction ends."""
    return await tx.send(_sql.lock_standings if firm else _sql.standings, {"ids": columns.uuids(ids)})


async def standings(sent: Sent) -> dict[UUID, Standing]:
    """The standings asked for, by id; unknown parties are left out."""
    return {row[0]: Standing(*row) for row in await sent.tuples()}

"""The parties' statements, run."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from psycopg import errors

from tillkeeper.base.results import refuse
from tillkeeper.parties.types import Customer, Merchant, Standing
from tillkeeper.store import Sent, Tx, columns, queries

_sql = queries(__package__, "queries.sql")
_LAST: Final = UUID(int=2**128 - 1)


async def add_customer(tx: Tx, customer: Customer) -> None:
    """Store a new customer. Refuses a reference in use (`reference_taken`)."""
    try:
        await tx.value(
            _sql.add_customer,
            {
                "id": customer.id,
                "name": customer.name,
                "reference": customer.reference,
                "at": customer.created_at,
            },
        )
    except errors.UniqueViolation:
        raise refuse("reference_taken", "look the customer up by ?reference= instead", "reference") from None


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


async def customers(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, Customer]:
    """Customers by id; unknown ids are left out."""
    return {row[0]: Customer(*row) for row in await tx.tuples(_sql.customers, {"ids": columns.uuids(ids)})}


async def merchants(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, Merchant]:
    """Merchants by id; unknown ids are left out."""
    return {row[0]: Merchant(*row) for row in await tx.tuples(_sql.merchants, {"ids": columns.uuids(ids)})}


async def customer_page(tx: Tx, before: UUID | None, limit: int) -> list[Customer]:
    """Customers, newest first; `before` is the last id already seen."""
    rows = await tx.tuples(_sql.customer_page, {"before": before or _LAST, "limit": limit})
    return [Customer(*row) for row in rows]


async def customer_by_reference(tx: Tx, reference: str) -> Customer | None:
    """The customer with the caller's reference."""
    rows = await tx.tuples(_sql.customer_by_reference, {"reference": reference})
    return Customer(*rows[0]) if rows else None


async def merchant_page(tx: Tx, before: UUID | None, limit: int) -> list[Merchant]:
    """Merchants, newest first; `before` is the last id already seen."""
    rows = await tx.tuples(_sql.merchant_page, {"before": before or _LAST, "limit": limit})
    return [Merchant(*row) for row in rows]


async def merchant_by_reference(tx: Tx, reference: str) -> Merchant | None:
    """The merchant with the caller's reference."""
    rows = await tx.tuples(_sql.merchant_by_reference, {"reference": reference})
    return Merchant(*rows[0]) if rows else None


async def set_customer_state(tx: Tx, customer: UUID, state: str) -> bool:
    """Freeze ("frozen") or unfreeze ("active"); False if there is no such customer."""
    return await tx.value(_sql.set_customer_state, {"id": customer, "state": state}) is not None


async def set_merchant_state(tx: Tx, merchant: UUID, state: str) -> bool:
    """Close ("closed") or reopen ("active"); False if there is no such merchant."""
    return await tx.value(_sql.set_merchant_state, {"id": merchant, "state": state}) is not None


async def send_standings(tx: Tx, ids: Sequence[UUID]) -> Sent:
    """Ask for the standings of parties; read them with `standings`."""
    return await tx.send(_sql.standings, {"ids": columns.uuids(ids)})


async def standings(sent: Sent) -> dict[UUID, Standing]:
    """The standings asked for, by id; unknown parties are left out."""
    return {row[0]: Standing(*row) for row in await sent.tuples()}

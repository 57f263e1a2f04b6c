"""Finding people and shops by name: for consoles, never for a payment."""

from tillkeeper.parties.types import Customer, Merchant
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "browse.sql")


async def customers_named(tx: Tx, text: str, limit: int) -> list[Customer]:
    """The first customers whose name begins with a text, whatever its case."""
    rows = await tx.tuples(_sql.customers_named, {"text": text, "limit": limit})
    return [Customer(*row) for row in rows]


async def merchants_named(tx: Tx, text: str, limit: int) -> list[Merchant]:
    """The first merchants whose name begins with a text, whatever its case."""
    rows = await tx.tuples(_sql.merchants_named, {"text": text, "limit": limit})
    return [Merchant(*row) for row in rows]

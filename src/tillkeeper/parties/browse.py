"""Finding shops by name: for consoles, never for a payment."""

from tillkeeper.parties.types import Merchant
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "browse.sql")


async def merchants_named(tx: Tx, text: str, limit: int) -> list[Merchant]:
    """The first merchants whose name begins with a text, whatever its case."""
    rows = await tx.tuples(_sql.merchants_named, {"text": text, "limit": limit})
    return [Merchant(*row) for row in rows]

"""What tells whether a restored copy holds the same."""

from uuid import UUID

from tillkeeper.store import Fingerprint, Tx, fingerprint, queries

_sql = queries(__package__, "fingerprint.sql")


async def fingerprint_before(tx: Tx, before: UUID) -> Fingerprint:
    """Of all decisions with ids before one; device and address are left out, since an erasure empties them."""
    return await fingerprint(tx, _sql.fingerprint, before)

"""What tells whether two databases hold the same rows of a table that is only ever added to."""

from typing import Final, NamedTuple
from uuid import UUID

from tillkeeper.store.database import Tx
from tillkeeper.store.sql import Statement

_LONG: Final = b"/* store.fingerprint */ SET LOCAL statement_timeout = 0"


class Fingerprint(NamedTuple):
    """How many rows, the sum of their amounts where they have one, and a sum of hashes over what they say."""

    rows: int
    total: int
    digest: int


async def fingerprint(tx: Tx, statement: Statement, before: UUID) -> Fingerprint:
    """Of the rows with ids `before` one; the statement of a package gives the three columns over its table."""
    await tx.run(_LONG)
    rows, total, digest = (await tx.tuples(statement, {"before": before}))[0]
    return Fingerprint(rows, int(total), int(digest))

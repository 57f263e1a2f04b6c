"""Whether the constraints that the platform relies on are still there: a migration gone wrong may have dropped one."""

from collections.abc import Sequence

from tillkeeper.store.database import Tx
from tillkeeper.store.sql import queries

_sql = queries(__package__, "guards.sql")


async def missing(tx: Tx, indexes: Sequence[str], checks: Sequence[tuple[str, str]]) -> list[str]:
    """Of unique indexes, and of constraints (table, name), those that guard nothing any more."""
    gone = await tx.tuples(_sql.missing_indexes, {"names": list(indexes)})
    lost = await tx.tuples(
        _sql.missing_checks,
        {"tables": [table for table, _ in checks], "names": [name for _, name in checks]},
    )
    return [name for (name,) in [*gone, *lost]]

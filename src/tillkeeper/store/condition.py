"""The condition of a database, for the doctor: version, durability, and what the application's role may do."""

from collections.abc import Sequence

import msgspec

from tillkeeper.store.database import Tx
from tillkeeper.store.sql import queries

_sql = queries(__package__, "condition.sql")


class Condition(msgspec.Struct, frozen=True):
    """`off`: durability settings that are switched off. `mighty`: superuser or the like. `owned`: relations.

    `changeable`: of the tables asked about, those whose rows the role could update or delete.
    """

    major: int
    version: str
    off: list[str]
    role: str
    mighty: bool
    owned: int
    changeable: list[str]


async def condition(tx: Tx, append_only: Sequence[str]) -> Condition:
    """How the database stands, seen by the role of the transaction."""
    ((major, version, off),) = await tx.tuples(_sql.server)
    ((role, mighty, owned),) = await tx.tuples(_sql.role)
    changeable = [name for (name,) in await tx.tuples(_sql.changeable, {"tables": list(append_only)})]
    return Condition(major, version, off, role, mighty, owned, changeable)

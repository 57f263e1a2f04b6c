"""How the database server does, by its own statistics."""

import msgspec

from tillkeeper.store.database import Tx
from tillkeeper.store.sql import queries

_sql = queries(__package__, "server.sql")


class Sessions(msgspec.Struct, frozen=True):
    """Connections `used` and `allowed`; of ours, those `waiting` for a lock, and the `oldest` transaction's age in seconds.
    `all_seen`: whether this role may see what other roles' sessions do.
    """

    used: int
    allowed: int
    waiting: int
    oldest: float
    all_seen: bool


class Work(msgspec.Struct, frozen=True):
    """What the database did since its statistics began; `size` in bytes."""

    commits: int
    rollbacks: int
    deadlocks: int
    temporary_bytes: int
    hits: int
    reads: int
    size: int


class Log(msgspec.Struct, frozen=True):
    """Write-ahead log written since statistics began, checkpoints, and the seconds spent writing in them."""

    written: float
    checkpoints: int
    checkpoint_seconds: float


class TableSize(msgspec.Struct, frozen=True):
    """One table: its bytes, those of its indexes, and its dead rows."""

    name: str
    size: int
    indexes: int
    dead: int


async def sessions(tx: Tx) -> Sessions:
    """Who is connected, and who waits."""
    ((*row,),) = await tx.tuples(_sql.connections)
    return Sessions(*row)


async def work(tx: Tx) -> Work:
    """What the database did."""
    ((*row,),) = await tx.tuples(_sql.database)
    return Work(*row)


async def log(tx: Tx) -> Log:
    """Write-ahead log and checkpoints. PostgreSQL 17 or newer."""
    ((*row,),) = await tx.tuples(_sql.log)
    return Log(*row)


async def log_kept(tx: Tx) -> int:
    """Bytes of write-ahead log on the server's disk. Needs pg_monitor."""
    kept: int = await tx.value(_sql.log_kept)
    return kept


async def table_sizes(tx: Tx, limit: int) -> list[TableSize]:
    """The largest tables."""
    return [TableSize(*row) for row in await tx.tuples(_sql.tables, {"limit": limit})]

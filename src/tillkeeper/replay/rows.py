"""The replay schema's statements, run."""

from datetime import datetime
from uuid import UUID

import msgspec

from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


class Run(msgspec.Struct, frozen=True):
    """One file carried through with one mapping. Every row up to `line` is done, and counted in the tally."""

    id: UUID
    line: int
    tally: bytes | None
    started_at: datetime
    finished_at: datetime | None


async def begin(tx: Tx, run_id: UUID, mapping: str, file: str, at: datetime) -> Run:
    """The run of a file: where it was left, or a new one."""
    await tx.run(_sql.begin, {"id": run_id, "mapping": mapping, "file": file, "at": at})
    row = await tx.row(_sql.run, {"id": run_id})
    assert row is not None
    return Run(*row)


async def advance(
    tx: Tx, run_id: UUID, line: int, tally: bytes, at: datetime, finished_at: datetime | None
) -> None:
    """Every row up to a line is done and counted in the tally."""
    params = {"id": run_id, "line": line, "tally": tally, "at": at, "finished_at": finished_at}
    await tx.run(_sql.advance, params)

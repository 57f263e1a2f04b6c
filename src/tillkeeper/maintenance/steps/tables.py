"""Tables: looks at them before a step (is it there, has it these columns, is there room), and tending them."""

import asyncio
import shutil
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from tillkeeper.base import limits
from tillkeeper.maintenance.steps.common import (
    as_step,
    catalogue,
    judged,
    ok,
    patiently,
    telling,
)
from tillkeeper.maintenance.steps.names import sql_name
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, Site, StepError
from tillkeeper.store import Owner

_MIB: Final = 1 << 20


async def table_in(db: Owner, table: str) -> Any | None:
    """The table of that name, if there is one."""
    schema, name = table.split(".")
    return await db.row(catalogue.table_named, {"schema": schema, "name": name})


async def table_at(site: Site, table: str) -> Any | None:
    """The table of that name, seen by a connection of its own."""
    async with as_step(site, "look") as db:
        return await table_in(db, table)


async def missing_columns(site: Site, table: str, columns: Iterable[str]) -> list[Finding]:
    """Whether the table is there, and has the columns."""
    there = await table_at(site, table)
    if there is None:
        return [Finding("no_table", f"there is no table {table}: look at its name and schema")]
    if missing := [each for each in columns if each not in there.columns]:
        return [
            Finding("no_column", f"{table} has no {', '.join(missing)}; it has {', '.join(there.columns)}")
        ]
    return [ok("table", f"{table}: about {max(there.rows, 0):,} rows, {there.bytes // _MIB:,} MiB")]


async def room_for(site: Site, table: str, why: str) -> Finding:
    """Whether the disk has room for the table once more; nobody can say that of a server of one's own."""
    there = await table_at(site, table)
    need = 0 if there is None else there.bytes
    if site.settings.database_url is not None:
        return ok(
            "disk", f"{why}: up to {need // _MIB:,} MiB on the database's own disk, which cannot be seen"
        )
    free = (await asyncio.to_thread(shutil.disk_usage, site.settings.home)).free
    said = f"{free // _MIB:,} MiB are free, {why}: up to {need // _MIB:,} MiB"
    return judged("disk", free > need + limits.STEP_FREE_BYTES, said)


async def tended(site: Site, kind: str, attempt: Attempt, table: str, statement: str) -> Evidence:
    """VACUUM or ANALYZE a table; how it was before and is after."""
    async with as_step(site, kind, lock_ms=limits.STEP_BUILD_LOCK_TIMEOUT_MS) as db:
        before = await table_in(db, table)
        if before is None:
            raise StepError(f"there is no table {table}")
        look = partial(_look, before.id)
        begun = site.clock.monotonic()
        work = f"{statement} {sql_name(table)}"
        await patiently(db, attempt, lambda: telling(site, attempt, db.run(work), look))
        seconds = site.clock.monotonic() - begun
        await attempt.progress(1.0, f"{table}: done")
        after = await table_in(db, table)
    return {
        "table": table,
        "seconds": round(seconds, 3),
        "bytes_before": before.bytes,
        "bytes_after": after.bytes if after else 0,
        "dead_before": before.dead,
    }


async def _look(table: int, beside: Owner) -> tuple[float, str]:
    row = await beside.row(catalogue.vacuum_progress, {"id": table})
    if row is None:
        return 0.0, "waits to begin"
    return (min(0.99, row.done / row.total) if row.total else 0.0), str(row.phase)

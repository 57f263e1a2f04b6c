"""Indexes built and dropped while everybody works: what the kinds about indexes share."""

import re
from typing import Any, Final

from tillkeeper.base import limits
from tillkeeper.maintenance.steps.common import as_step, catalogue, patiently, telling
from tillkeeper.maintenance.steps.names import sql_name
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Site, StepError
from tillkeeper.store import Owner, OwnerError

PATIENT_MS: Final = limits.STEP_BUILD_LOCK_TIMEOUT_MS


async def found(db: Owner, index: str) -> Any | None:
    """The index of that name, if there is one."""
    schema, name = index.split(".")
    return await db.row(catalogue.index_named, {"schema": schema, "name": name})


async def found_at(site: Site, index: str) -> Any | None:
    """The index of that name, seen by a connection of its own."""
    async with as_step(site, "index") as db:
        return await found(db, index)


async def build(site: Site, kind: str, attempt: Attempt, index: str, definition: str) -> Evidence:
    """Build an index that is not there, or not whole, by its definition; one that is whole is left as it is."""
    async with as_step(site, kind, lock_ms=PATIENT_MS) as db:
        there = await found(db, index)
        if there is None or not there.valid:
            await drop(db, attempt, index)
            begun = site.clock.monotonic()
            try:
                await telling(site, attempt, db.run(concurrently(definition)), progress)
            except OwnerError as error:
                await drop(db, attempt, index)
                raise StepError(f"{index} could not be built: {error}") from error
            await attempt.progress(1.0, f"{index} is built")
            seconds = site.clock.monotonic() - begun
        else:
            seconds = 0.0
        made = await found(db, index)
    if made is None:
        raise StepError(f"{index} vanished after it was built: look who drops indexes")
    return {"index": index, "definition": made.definition, "bytes": made.bytes, "seconds": round(seconds, 3)}


async def drop(db: Owner, attempt: Attempt, index: str) -> None:
    """Drop an index, whole or not, if it is there. Nobody who reads or writes the table waits for it."""
    await patiently(db, attempt, lambda: db.run(f"DROP INDEX CONCURRENTLY IF EXISTS {sql_name(index)}"))


def concurrently(definition: str) -> str:
    """The statement that builds an index by its definition while everybody works."""
    return re.sub(r"^CREATE (UNIQUE )?INDEX ", r"CREATE \1INDEX CONCURRENTLY ", definition, count=1)


async def progress(beside: Owner) -> tuple[float, str]:
    """How far the index that is being built is."""
    row = await beside.row(catalogue.index_progress)
    if row is None:
        return 0.0, "waits to begin"
    return (min(0.99, row.done / row.total) if row.total else 0.0), str(row.phase)

"""`index.rebuild`: build an index anew while everybody works, because it has grown or is damaged."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from tillkeeper.maintenance.steps.common import as_step, catalogue, judged, ok, patiently, telling
from tillkeeper.maintenance.steps.indexes import PATIENT_MS, drop, found, found_at, progress
from tillkeeper.maintenance.steps.names import Qualified, sql_name
from tillkeeper.maintenance.steps.tables import room_for
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.store import Owner


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Build an index anew beside the old one while everybody works. The new one is the same, so nothing needs undoing."""

    index: Annotated[Qualified, Meta(description="the index, with its schema")]


class IndexRebuild:
    """See Parameters."""

    name = "index.rebuild"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        there = await found_at(site, given.index)
        if there is None:
            return [Finding("no_index", f"there is no index {given.index}: look at its name and schema")]
        return [
            ok("index", there.definition),
            await room_for(site, there.on_table, "it is built beside the old"),
        ]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        async with as_step(site, self.name, lock_ms=PATIENT_MS) as db:
            before = await found(db, given.index)
            if before is None:
                raise StepError(f"there is no index {given.index}")
            if not attempt.saved:
                await attempt.save({"definition": before.definition, "bytes_before": before.bytes})
            await _take_leftovers(db, attempt, given.index, before.id)
            begun = site.clock.monotonic()
            work = f"REINDEX INDEX CONCURRENTLY {sql_name(given.index)}"
            await patiently(db, attempt, lambda: telling(site, attempt, db.run(work), progress))
            seconds = round(site.clock.monotonic() - begun, 3)
            after = await found(db, given.index)
        return dict(attempt.saved) | {"bytes_after": after.bytes if after else 0, "seconds": seconds}

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        there = await found_at(site, given.index)
        if there is None:
            return [Finding("index_missing", f"{given.index} is not there")]
        same = there.definition == evidence["definition"]
        return [
            judged("index_valid", there.valid, f"{given.index} is {'whole' if there.valid else 'not whole'}"),
            judged("index_same", same, there.definition),
        ]

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        async with as_step(site, self.name, lock_ms=PATIENT_MS) as db:
            there = await found(db, given.index)
            if there is None or not there.valid:
                raise StepError(f"{given.index} is not whole: rebuild it once more")
            return {"leftovers": await _take_leftovers(db, attempt, given.index, there.id)}


async def _take_leftovers(db: Owner, attempt: Attempt, index: str, oid: int) -> list[str]:
    """Drop what broken-off rebuilds left beside the index."""
    params = {"schema": index.partition(".")[0], "id": oid}
    left = [row.name for row in await db.rows(catalogue.leftover_indexes, params)]
    for each in left:
        await drop(db, attempt, each)
    return left

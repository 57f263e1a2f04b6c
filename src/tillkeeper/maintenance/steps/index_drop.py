"""`index.drop`: drop an index while everybody works; its definition is kept."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from tillkeeper.maintenance.steps.common import as_step, ok
from tillkeeper.maintenance.steps.indexes import PATIENT_MS, build, drop, found, found_at
from tillkeeper.maintenance.steps.names import Qualified
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Drop an index while everybody works. Undone by building it again as it was, which takes its time."""

    index: Annotated[Qualified, Meta(description="the index, with its schema")]


class IndexDrop:
    """See Parameters."""

    name = "index.drop"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        there = await found_at(site, given.index)
        if there is None:
            return [Finding("no_index", f"there is no index {given.index}: look at its name and schema")]
        if there.needed:
            return [
                Finding("index_needed", f"{given.index} keeps a promise of {there.on_table}; it must stay")
            ]
        return [ok("index", there.definition)]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        async with as_step(site, self.name, lock_ms=PATIENT_MS) as db:
            there = await found(db, given.index)
            if there is None and not attempt.saved:
                raise StepError(f"there is no index {given.index}")
            if there is not None and there.needed:
                raise StepError(f"{given.index} keeps a promise of {there.on_table}; it must stay")
            kept = dict(attempt.saved) or {"definition": there.definition, "bytes": there.bytes}  # type: ignore[union-attr]
            await attempt.save(kept)
            await drop(db, attempt, given.index)
        return {"index": given.index} | kept

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        if await found_at(site, given.index) is not None:
            return [Finding("index_there", f"{given.index} is still there")]
        return [ok("index_gone", f"{given.index} is gone")]

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        if not evidence:
            return {"built": None}  # nothing was dropped
        return await build(site, self.name, attempt, given.index, evidence["definition"])

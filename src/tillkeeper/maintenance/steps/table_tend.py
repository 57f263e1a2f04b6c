"""`table.vacuum` and `table.analyze`: take dead rows out of a table; look anew at how its values are spread."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from tillkeeper.maintenance.steps.common import ok
from tillkeeper.maintenance.steps.names import Qualified
from tillkeeper.maintenance.steps.tables import missing_columns, table_at, tended
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site


class VacuumParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Take the dead rows out of a table while everybody works. There is nothing to undo."""

    table: Annotated[Qualified, Meta(description="the table, with its schema")]
    analyze: Annotated[bool, Meta(description="and look anew at how its values are spread")] = True


class AnalyzeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Look anew at how a table's values are spread, by which PostgreSQL chooses its ways. There is nothing to undo."""

    table: Annotated[Qualified, Meta(description="the table, with its schema")]


class _Tending:
    """What both kinds share: they change nothing that anybody could read, so undoing is done by leaving it."""

    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, site: Site, given: VacuumParameters | AnalyzeParameters) -> Sequence[Finding]:
        return await missing_columns(site, given.table, [])

    async def verify(
        self, site: Site, given: VacuumParameters | AnalyzeParameters, evidence: Evidence
    ) -> Sequence[Finding]:
        there = await table_at(site, given.table)
        if there is None or "seconds" not in evidence:
            return [Finding("not_tended", f"{given.table} was not done to its end")]
        return [ok("tended", f"{given.table} has about {max(there.rows, 0):,} rows in {there.bytes:,} bytes")]

    async def undo(
        self,
        site: Site,
        given: VacuumParameters | AnalyzeParameters,
        evidence: Evidence,
        attempt: Attempt,
    ) -> Evidence:
        return {}


class TableVacuum(_Tending):
    """See VacuumParameters."""

    name = "table.vacuum"
    parameters: type[msgspec.Struct] = VacuumParameters

    async def run(self, site: Site, given: VacuumParameters, attempt: Attempt) -> Evidence:
        statement = "VACUUM (ANALYZE)" if given.analyze else "VACUUM"
        return await tended(site, self.name, attempt, given.table, statement)


class TableAnalyze(_Tending):
    """See AnalyzeParameters."""

    name = "table.analyze"
    parameters: type[msgspec.Struct] = AnalyzeParameters

    async def run(self, site: Site, given: AnalyzeParameters, attempt: Attempt) -> Evidence:
        return await tended(site, self.name, attempt, given.table, "ANALYZE")

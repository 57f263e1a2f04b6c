"""`sql.contract`: take away from the schema what nobody needs any more."""

from collections.abc import Sequence

import msgspec

from tillkeeper.maintenance.steps.common import Irreversible, ok
from tillkeeper.maintenance.steps.schema import Statements, change, check_removals, standing
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Drop columns, tables, constraints, views, functions. It cannot be undone: what was in them is gone, but in backups.

    Locks are waited for half a second at a time and held for two at most. Books and audit trail are never touched.
    """

    statements: Statements

    def __post_init__(self) -> None:
        """Refuse what does more than to take away what it names."""
        check_removals("statements", self.statements)


class SqlContract(Irreversible):
    """See Parameters."""

    name = "sql.contract"
    parameters: type[msgspec.Struct] = Parameters
    remedy = "what was dropped is in backups only; till backup restore brings it back beside"
    lock_risk: LockRisk = "brief"
    money_risk = True

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        return [ok("statements", f"{len(given.statements)} statements; this step cannot be undone")]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        return await change(site, self.name, attempt, given.statements)

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        return await standing(site, self.name, evidence)

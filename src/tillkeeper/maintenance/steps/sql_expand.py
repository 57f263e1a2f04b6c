"""`sql.expand`: add to the schema, so that the old and the new program both work with it."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from tillkeeper.maintenance.steps.common import ok
from tillkeeper.maintenance.steps.schema import (
    Statements,
    change,
    check_additions,
    check_removals,
    standing,
    take_back,
)
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Add tables, columns, constraints that are not valid yet, views, functions. Locks are waited for half a second at a
    time and held for two at most; a statement that rewrites a table is refused, or found and taken back.
    """

    statements: Statements
    undo: Annotated[Statements, Meta(description="what takes it away again; the schema is compared")]

    def __post_init__(self) -> None:
        """Refuse what does not only add, and an undo that does more."""
        check_additions("statements", self.statements)
        check_removals("undo", self.undo)


class SqlExpand:
    """See Parameters."""

    name = "sql.expand"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "brief"
    money_risk = False

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        return [
            ok(
                "statements",
                f"{len(given.statements)} statements in one transaction, nothing known to be long",
            )
        ]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        return await change(site, self.name, attempt, given.statements)

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        return await standing(site, self.name, evidence)

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        return await take_back(site, self.name, attempt, given.undo, evidence)

"""`index.create`: build an index while everybody works."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tillkeeper.maintenance.steps.common import as_step, judged
from tillkeeper.maintenance.steps.indexes import PATIENT_MS, build, drop, found, found_at
from tillkeeper.maintenance.steps.names import (
    Expression,
    Name,
    Qualified,
    check_expressions,
    schema_of,
    sql_name,
)
from tillkeeper.maintenance.steps.tables import missing_columns, room_for
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.store import quoted

IndexedColumn = Annotated[
    str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}( (asc|desc))?( nulls (first|last))?$", examples=["at desc"])
]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Build an index while everybody reads and writes the table. Undone by dropping it."""

    table: Annotated[Qualified, Meta(description="the table, with its schema")]
    columns: Annotated[
        tuple[IndexedColumn, ...], Meta(min_length=1, max_length=16, description="columns in order")
    ]
    name: Annotated[Name | None, Meta(description="unset: table_columns_idx")] = None
    unique: Annotated[bool, Meta(description="refuse two rows with the same values")] = False
    method: Literal["btree", "hash", "brin", "gin"] = "btree"
    include: Annotated[tuple[Name, ...], Meta(max_length=16, description="columns carried along")] = ()
    where: Annotated[Expression, Meta(description="only rows for which this is true; unset: all")] = ""

    def __post_init__(self) -> None:
        """Refuse what is no expression."""
        check_expressions([("where", self.where)])

    @property
    def bare_columns(self) -> list[str]:
        """The columns without their order."""
        return [each.split(" ", maxsplit=1)[0] for each in self.columns]

    @property
    def index(self) -> str:
        """The index's name, with its schema."""
        schema, table = self.table.split(".")
        return f"{schema}.{self.name or '_'.join([table, *self.bare_columns])[:59] + '_idx'}"

    @property
    def definition(self) -> str:
        """The statement that makes it."""
        columns = ", ".join(
            " ".join([quoted(name), order]).strip()
            for name, _, order in (each.partition(" ") for each in self.columns)
        )
        return " ".join(
            filter(
                None,
                [
                    "CREATE UNIQUE INDEX" if self.unique else "CREATE INDEX",
                    quoted(self.index.partition(".")[2]),
                    f"ON {sql_name(self.table)} USING {self.method} ({columns})",
                    f"INCLUDE ({', '.join(map(quoted, self.include))})" if self.include else "",
                    f"WHERE {self.where}" if self.where else "",
                ],
            )
        )


class IndexCreate:
    """See Parameters."""

    name = "index.create"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        findings = await missing_columns(site, given.table, [*given.bare_columns, *given.include])
        there = await found_at(site, given.index)
        if there is not None:
            said = f"{given.index} is there already: {there.definition}"
            findings.append(judged("index_exists", not there.valid, said))
        findings.append(await room_for(site, given.table, "an index is built beside its table"))
        return findings

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        if not attempt.saved:
            there = await found_at(site, given.index)
            if there is not None and there.valid:
                raise StepError(
                    f"{given.index} is there already: {there.definition}; drop it, or choose a name"
                )
            await attempt.save({"index": given.index})  # from here on whatever has the name is ours
        return await build(site, self.name, attempt, given.index, given.definition)

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        there = await found_at(site, given.index)
        if there is None:
            return [Finding("index_missing", f"{given.index} is not there")]
        same = there.on_table == given.table
        return [
            judged("index_valid", there.valid, f"{given.index} is {'whole' if there.valid else 'not whole'}"),
            judged("index_table", same, f"it is on {there.on_table}, in {schema_of(given.index)}"),
        ]

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        if not evidence:
            return {"dropped": None}  # it never began: what has the name is somebody else's
        async with as_step(site, self.name, lock_ms=PATIENT_MS) as db:
            await drop(db, attempt, given.index)
            if await found(db, given.index) is not None:
                raise StepError(f"{given.index} is still there: drop it by hand")
        return {"dropped": given.index}

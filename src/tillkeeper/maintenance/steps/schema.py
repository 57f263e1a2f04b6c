"""Changes of the schema: checked before, in one transaction with a mark, looked at before they are kept."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from msgspec import Meta

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.steps.common import as_step, catalogue, ok, patiently
from tillkeeper.maintenance.steps.names import BOOKS, StatementText, bare
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, Site, StepError
from tillkeeper.store import Owner

Statements = Annotated[
    tuple[StatementText, ...],
    Meta(
        min_length=1,
        max_length=limits.MAX_STATEMENTS,
        description="SQL statements, carried out in one transaction: all or none",
    ),
]

_THINGS: Final = "(table|view|sequence|function|procedure|trigger|type|domain|schema)"
_ADDS: Final = rf"(alter (table|view|sequence|type|domain)|create (or replace )?{_THINGS}|comment on|(grant|revoke) .+ on)\b"
_TAKES: Final = rf"(alter (table|view|sequence|type|domain)|drop {_THINGS}|comment on|revoke .+ on)\b"

# What is known to rewrite a table, to read all of it under a lock, or not to go in one transaction. Found by its words: what
# these miss, the looks at the files of the tables and the time limit find, when it is tried.
_LONG: Final = (
    (r"\bconcurrently\b", "it does not go in a transaction: take index.create, index.drop or index.rebuild"),
    (r"^create (unique )?index\b", "writers wait while it is built: take index.create"),
    (
        r"\balter (column )?\S+ (set data )?type\b",
        "a new type rewrites the table: add a column and backfill it",
    ),
    (
        r"\badd (column )?.*\b(small|big)?serial\b",
        "serial rewrites the table: add a plain column, backfill it",
    ),
    (
        r"\badd (column )?.*\bgenerated\b",
        "a generated column rewrites the table: add a plain one, backfill it",
    ),
    (r"\bset (un)?logged\b|\bset tablespace\b|\bset access method\b", "it rewrites the table"),
    (r"^(cluster|vacuum|reindex|refresh|truncate)\b", "it holds a lock as long as it works"),
    (
        r"\badd (constraint \S+ )?(primary key|unique|exclude)(?!.*\busing index\b)",
        "writers wait while its index is built: make that by index.create, then add … using index",
    ),
    (
        r"\badd (constraint \S+ )?(check|foreign key)\b(?!.*\bnot valid\b)",
        "it reads the whole table under a lock: add it not valid, and validate it in a step of its own",
    ),
)


def check_additions(field: str, statements: Sequence[str]) -> None:
    """Raise ValueError naming the statement that does not only add, or is known to take long."""
    for place, text in _numbered(field, statements):
        _check_length(place, text)
        if not re.match(_ADDS, text):
            raise ValueError(
                f"{place}: ALTER, CREATE, COMMENT, GRANT or REVOKE of tables and what belongs to them"
            )
        if re.search(r"^alter table .*\bdrop (?!default|not null)|\brename\b", text):
            raise ValueError(f"{place}: what goes away goes by sql.contract, when nobody needs it any more")


def check_removals(field: str, statements: Sequence[str]) -> None:
    """Raise ValueError naming the statement that does more than to take away, or takes more than it names."""
    for place, text in _numbered(field, statements):
        _check_length(place, text)
        if not re.match(_TAKES, text):
            raise ValueError(f"{place}: ALTER, DROP, COMMENT or REVOKE of tables and what belongs to them")
        if re.search(r"\bcascade\b", text):
            raise ValueError(f"{place}: without CASCADE, so that it takes nothing that it does not name")


async def change(site: Site, kind: str, attempt: Attempt, statements: Sequence[str]) -> Evidence:
    """Carry the statements out as one transaction, once: what it added to the schema and what it removed.

    Raises StepError; nothing has changed then.
    """
    mark = attempt.saved.get("mark")
    if mark is None:
        mark = str(new_id())
        await attempt.save({"mark": mark})
    async with as_step(site, kind, statement_ms=limits.STEP_STATEMENT_MS) as db:
        if (did := await db.marked(mark)) is not None:
            return {"mark": mark} | did

        async def all_of_them() -> Evidence:
            async with db.together():
                did = await _changed(db, statements)
                await db.mark(mark, did)
                return did

        return {"mark": mark} | await patiently(db, attempt, all_of_them)


async def take_back(
    site: Site, kind: str, attempt: Attempt, statements: Sequence[str], evidence: Evidence
) -> Evidence:
    """Undo the change of a mark, if it was made, as one transaction. Raises StepError if the schema is not as it was then."""
    async with as_step(site, kind, statement_ms=limits.STEP_STATEMENT_MS) as db:
        mark = evidence.get("mark")
        did = None if mark is None else await db.marked(mark)
        if mark is None or did is None:
            return {"removed": [], "added": []}

        async def all_of_them() -> Evidence:
            async with db.together():
                undone = await _changed(db, statements)
                if left := sorted(set(did["added"]) - set(undone["removed"])):
                    raise StepError(f"the undo statements leave {left[0]} ({len(left)} differences)")
                if gone := sorted(set(did["removed"]) - set(undone["added"])):
                    raise StepError(
                        f"the undo statements do not bring back {gone[0]} ({len(gone)} differences)"
                    )
                await db.unmark(mark)
                return undone

        return await patiently(db, attempt, all_of_them)


async def standing(site: Site, kind: str, evidence: Evidence) -> list[Finding]:
    """Whether what a change added is there, and what it removed is not."""
    async with as_step(site, kind) as db:
        now = await _schema(db)
    missing = [Finding("not_there", f"gone again: {each}") for each in evidence["added"] if each not in now]
    there = [Finding("still_there", f"there again: {each}") for each in evidence["removed"] if each in now]
    said = f"added {len(evidence['added'])}, removed {len(evidence['removed'])}"
    return [*missing, *there] or [ok("schema", said)]


async def _changed(db: Owner, statements: Sequence[str]) -> Evidence:
    """Run the statements and look what became of the schema, before it is kept. Raises StepError."""
    files, schema = await _files(db), await _schema(db)
    for number, statement in enumerate(statements, 1):
        if not bare(statement):
            raise StepError(f"statement {number} is empty")
        await db.run(statement.strip().removesuffix(";"))
    files_now, schema_now = await _files(db), await _schema(db)
    if rewritten := sorted(name for name in files if files_now.get(name, files[name]) != files[name]):
        raise StepError(
            f"it rewrites {', '.join(rewritten)}, and everybody waits meanwhile; nothing was kept"
        )
    added, removed = sorted(schema_now - schema), sorted(schema - schema_now)
    if books := [each for each in (*added, *removed) if each.split()[1].split(".")[0] in BOOKS]:
        raise StepError(f"it changes what no plan changes, {books[0]}; nothing was kept")
    return {"added": added, "removed": removed}


async def _files(db: Owner) -> dict[str, int]:
    return {row.name: row.file for row in await db.rows(catalogue.files_of_tables)}


async def _schema(db: Owner) -> set[str]:
    return {row.what for row in await db.rows(catalogue.schema)}


def _numbered(field: str, statements: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, statement in enumerate(statements):
        yield f"{field}[{number}]", bare(statement)


def _check_length(place: str, text: str) -> None:
    for pattern, remedy in _LONG:
        if re.search(pattern, text):
            raise ValueError(f"{place}: {remedy}")

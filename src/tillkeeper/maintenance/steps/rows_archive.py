"""`rows.archive`: move old rows of a table that only grows into an archive beside it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.steps.common import as_step, judged, ok, patiently
from tillkeeper.maintenance.steps.names import sql_name
from tillkeeper.maintenance.steps.tables import room_for, table_in
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.store import Owner, quoted, quoted_text

ARCHIVE: Final = "archive"
_MARK: Final = "archived_by"


class _Table(NamedTuple):
    """A table whose old rows nobody looks for. `settled`: true for a row that nothing will happen to any more."""

    key: str
    since: str
    settled: str


# Only what holds no money, no personal data, no promise. Whoever adds a table here answers for that.
_TABLES: Final = {
    "store.outbox": _Table(
        "id",
        "at",
        "EXISTS (SELECT FROM store.cursors)"
        " AND NOT EXISTS (SELECT FROM store.cursors AS c WHERE (c.xid, c.id) < (t.xid, t.id))",
    ),
    "payments.webhook_deliveries": _Table("id", "created_at", "t.state <> 'due'"),
}


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Move rows of long ago into a table of the same columns in the schema `archive`, a few at a time, and count them.

    Only news that every reader has read, and webhook messages that have ended, can be moved: never money, decisions or
    the audit trail. Undone by moving the same rows back.
    """

    table: Literal["store.outbox", "payments.webhook_deliveries"]
    older_than_days: Annotated[int, Meta(ge=7, le=3650, description="rows older than so many days")] = 90
    batch: Annotated[int, Meta(ge=1, le=10_000, description="rows moved in one transaction")] = 500
    rest: Annotated[
        float, Meta(ge=0, le=100, description="pause after each batch, in times of its length")
    ] = 4.0

    @property
    def archive(self) -> str:
        """Where the rows go."""
        return f"{ARCHIVE}.{self.table.replace('.', '_')}"


class RowsArchive:
    """See Parameters."""

    name = "rows.archive"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        async with as_step(site, self.name) as db:
            count = await _old(db, given, site.clock.now() - timedelta(days=given.older_than_days))
        said = f"{count:,} rows of {given.table} are older than {given.older_than_days} days and settled"
        return [ok("old_rows", said), await room_for(site, given.table, "moved rows are written once more")]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        if not attempt.saved:
            before = site.clock.now() - timedelta(days=given.older_than_days)
            await attempt.save({"mark": str(new_id()), "before": before.isoformat()})
        mark, before = attempt.saved["mark"], datetime.fromisoformat(attempt.saved["before"])
        async with as_step(site, self.name) as db:
            columns = await _made_ready(db, given)
            moves = f"""
                WITH old AS (
                    SELECT {quoted(_TABLES[given.table].key)} AS till_key FROM {sql_name(given.table)} AS t
                    WHERE {_is_old(given, before)} ORDER BY till_key LIMIT {given.batch} FOR UPDATE SKIP LOCKED
                ), gone AS (
                    DELETE FROM {sql_name(given.table)} AS t USING old
                    WHERE t.{quoted(_TABLES[given.table].key)} = till_key RETURNING t.*
                )
                INSERT INTO {sql_name(given.archive)} ({columns}, {_MARK})
                SELECT {columns}, {quoted_text(mark)}::uuid FROM gone
            """
            total = await _old(db, given, before)
            await _in_batches(site, db, attempt, given, moves, total)
            return {"mark": mark, "before": before.isoformat(), "rows": await _archived(db, given, mark)}

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        async with as_step(site, self.name) as db:
            left = await _old(db, given, datetime.fromisoformat(evidence["before"]))
            there = await _archived(db, given, evidence["mark"])
        return [
            judged("all_moved", left == 0, f"{left:,} old rows are left in {given.table}"),
            judged(
                "all_there",
                there == evidence["rows"],
                f"{there:,} of {evidence['rows']:,} are in the archive",
            ),
        ]

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        if "mark" not in evidence:
            return {"rows": 0}  # it never began
        mark = evidence["mark"]
        async with as_step(site, self.name) as db:
            columns = await _made_ready(db, given)
            key = quoted(_TABLES[given.table].key)
            total = await _archived(db, given, mark)
            moves = f"""
                WITH gone AS (
                    DELETE FROM {sql_name(given.archive)} WHERE {key} IN (
                        SELECT {key} FROM {sql_name(given.archive)}
                        WHERE {_MARK} = {quoted_text(mark)}::uuid ORDER BY {key} LIMIT {given.batch}
                    ) RETURNING *
                )
                INSERT INTO {sql_name(given.table)} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM gone
            """
            await _in_batches(site, db, attempt, given, moves, total)
            if left := await _archived(db, given, mark):
                raise StepError(f"{left:,} rows are still in {given.archive}: move them back by hand")
        return {"rows": total}


async def _in_batches(
    site: Site, db: Owner, attempt: Attempt, given: Parameters, moves: str, total: int
) -> None:
    """Move until nothing is left to move. Each batch is a transaction, so nothing is ever in both places or in none."""
    moved = 0
    while True:
        begun = site.clock.monotonic()
        count = await patiently(db, attempt, lambda: db.run(moves))
        if count == 0:
            return
        moved += count
        await attempt.progress(min(0.99, moved / max(1, total)), f"{moved:,} of {total:,} rows moved")
        await asyncio.sleep((site.clock.monotonic() - begun) * given.rest)


async def _made_ready(db: Owner, given: Parameters) -> str:
    """The archive, made if there is none; the columns that both tables have, as SQL."""
    archive = sql_name(given.archive)
    key = quoted(_TABLES[given.table].key)
    if await table_in(db, given.archive) is None:
        async with db.together():
            await db.run(f"CREATE SCHEMA IF NOT EXISTS {ARCHIVE}")
            await db.run(f"CREATE TABLE {archive} (LIKE {sql_name(given.table)}, PRIMARY KEY ({key}))")
            await db.run(f"ALTER TABLE {archive} ADD COLUMN {_MARK} uuid NOT NULL")
            await db.run(f"CREATE INDEX ON {archive} ({_MARK}, {key})")
    there, source = await table_in(db, given.archive), await table_in(db, given.table)
    if there is None or source is None or (missing := set(source.columns) - set(there.columns)):
        raise StepError(f"{given.archive} lacks columns of {given.table}: add {', '.join(sorted(missing))}")
    return ", ".join(map(quoted, source.columns))


def _is_old(given: Parameters, before: datetime) -> str:
    table = _TABLES[given.table]
    return f"t.{quoted(table.since)} < {quoted_text(before.isoformat())}::timestamptz AND {table.settled}"


async def _old(db: Owner, given: Parameters, before: datetime) -> int:
    count: int = await db.value(
        f"SELECT count(*) FROM {sql_name(given.table)} AS t WHERE {_is_old(given, before)}"
    )
    return count


async def _archived(db: Owner, given: Parameters, mark: str) -> int:
    if await table_in(db, given.archive) is None:
        return 0
    count: int = await db.value(
        f"SELECT count(*) FROM {sql_name(given.archive)} WHERE {_MARK} = {quoted_text(mark)}::uuid"
    )
    return count

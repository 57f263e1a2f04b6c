"""`sql.backfill`: fill a column row by row, a few at a time, resting in between."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from tillkeeper.base import limits
from tillkeeper.maintenance.steps.common import as_step, catalogue, judged, ok, patiently
from tillkeeper.maintenance.steps.names import (
    BOOKS,
    Expression,
    Name,
    Qualified,
    check_expressions,
    schema_of,
    sql_name,
)
from tillkeeper.maintenance.steps.tables import missing_columns, table_in
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.store import Owner, OwnerError, quoted, quoted_text


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fill columns of the rows that are there when it begins, in order of their key, a few at a time.

    Undone by `undo` for the same rows. A row counts as filled when `done` is true for it; in the end all must be.
    """

    table: Annotated[Qualified, Meta(description="the table, with its schema")]
    set: Annotated[Expression, Meta(min_length=1, description="as after SET", examples=["channel = 'app'"])]
    done: Annotated[
        Expression,
        Meta(min_length=1, description="true for a row that is filled", examples=["channel IS NOT NULL"]),
    ]
    undo: Annotated[
        Expression,
        Meta(min_length=1, description="as after SET, to put it back", examples=["channel = NULL"]),
    ]
    key: Annotated[Name, Meta(description="a column with a unique index of its own")] = "id"
    batch: Annotated[int, Meta(ge=1, le=10_000, description="rows changed in one transaction")] = 500
    rest: Annotated[
        float, Meta(ge=0, le=100, description="pause after each batch, in times of its length")
    ] = 4.0

    def __post_init__(self) -> None:
        """Refuse what is no expression, and the books."""
        check_expressions([("set", self.set), ("done", self.done), ("undo", self.undo)])
        if schema_of(self.table) in BOOKS:
            raise ValueError(f"table: {self.table} is written by the turn alone; no step changes it")


class SqlBackfill:
    """See Parameters."""

    name = "sql.backfill"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "brief"
    money_risk = True

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        findings = await missing_columns(site, given.table, [given.key])
        if not findings[0].ok:
            return findings
        async with as_step(site, self.name, statement_ms=limits.STEP_STATEMENT_MS) as db:
            if await _key_type(db, given) is None:
                said = f"{given.table}.{given.key} has no unique index of its own, so rows could be missed"
                return [*findings, Finding("key_not_unique", said)]
            for field, statement in (
                ("set", f"UPDATE {sql_name(given.table)} SET {given.set}"),
                ("undo", f"UPDATE {sql_name(given.table)} SET {given.undo}"),
                ("done", f"SELECT FROM {sql_name(given.table)}"),
            ):
                try:
                    await db.run(f"EXPLAIN {statement} WHERE ({given.done})")
                except OwnerError as error:
                    findings.append(Finding("bad_expression", f"{field}: {error}"))
        return findings

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        state = {} if "undoing" in attempt.saved else attempt.saved
        filling = _Filling(site, self.name, given, attempt, state)
        return await filling.run(given.set, f"({given.done}) IS NOT TRUE")

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        if evidence["bound"] is None:
            return [ok("all_filled", "the table was empty")]
        bound = quoted_text(evidence["bound"])
        async with as_step(site, self.name) as db:
            upto = f"{quoted(given.key)} <= {bound}::{await _key_type(db, given)}"
            left = await db.value(
                f"SELECT count(*) FROM {sql_name(given.table)} WHERE ({given.done}) IS NOT TRUE AND {upto}"
            )
        said = f"{evidence['rows']:,} rows were filled, {left:,} up to {evidence['bound']} are not"
        return [judged("all_filled", left == 0, said)]

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        if evidence.get("bound") is None:
            return {"rows": 0}  # it never began, or found nothing
        state = {"undoing": True, "bound": evidence["bound"]}
        if "undoing" in attempt.saved:
            state = attempt.saved  # a kill broke the undoing off
        back = _Filling(site, self.name, given, attempt, state)
        done = await back.run(given.undo, f"({given.done}) IS TRUE")
        await attempt.save(
            {"undoing": True, "bound": evidence["bound"]}
        )  # whoever runs the step again begins anew
        return done


class _Filling:
    """One walk over the rows up to a bound, in order of their key. How far it is, is saved; a little is gone over again after
    a kill, where nothing is left to do: `rows` lacks what was filled in the second before.
    """

    def __init__(self, site: Site, kind: str, given: Parameters, attempt: Attempt, state: Evidence) -> None:
        self._site = site
        self._kind = kind
        self._given = given
        self._attempt = attempt
        self._state: Evidence = {"rows": 0} | state

    async def run(self, assign: str, needed: str) -> Evidence:
        async with as_step(self._site, self._kind) as db:
            self._type = await _key_type(db, self._given)
            if self._type is None:
                raise StepError(f"{self._given.table}.{self._given.key} has no unique index of its own")
            if "bound" not in self._state:
                self._state["bound"] = await self._last_key(db)
                await self._attempt.save(self._state)
            if self._state["bound"] is not None:
                await self._walk(db, assign, needed)
        await self._attempt.save(self._state)
        return {key: self._state[key] for key in ("bound", "rows")}

    async def _walk(self, db: Owner, assign: str, needed: str) -> None:
        about = max(1, (await _estimate(db, self._given.table)))
        saved_at = self._site.clock.monotonic()
        while True:
            begun = self._site.clock.monotonic()
            row = await patiently(db, self._attempt, lambda: db.row(self._batch(assign, needed)))
            if row is None or row.rows == 0:
                return
            self._state["rows"] += row.rows
            self._state["at"] = row.last
            now = self._site.clock.monotonic()
            if now - saved_at >= limits.STEP_SAVE_SECONDS:
                await self._attempt.save(self._state)
                saved_at = now
            await self._attempt.progress(
                min(0.99, self._state["rows"] / about), f"{self._state['rows']:,} rows filled"
            )
            await asyncio.sleep((now - begun) * self._given.rest)

    def _batch(self, assign: str, needed: str) -> str:
        """The next rows, locked in order of their key as everybody locks them, and changed."""
        table, key = sql_name(self._given.table), quoted(self._given.key)
        after = self._state.get("at")
        begins = "" if after is None else f"{key} > {quoted_text(after)}::{self._type} AND "
        return f"""
            WITH till_few AS (
                SELECT {key} AS till_key FROM {table}
                WHERE {begins}{key} <= {quoted_text(self._state["bound"])}::{self._type} AND {needed}
                ORDER BY {key} LIMIT {self._given.batch} FOR NO KEY UPDATE
            ), till_changed AS (
                UPDATE {table} SET {assign} FROM till_few WHERE {key} = till_key
            )
            SELECT (SELECT till_key::text FROM till_few ORDER BY till_few.till_key DESC LIMIT 1) AS last,
                   (SELECT count(*) FROM till_few) AS rows
        """

    async def _last_key(self, db: Owner) -> str | None:
        key = quoted(self._given.key)
        found: str | None = await db.value(
            f"SELECT {key}::text FROM {sql_name(self._given.table)} ORDER BY {key} DESC LIMIT 1"
        )
        return found


async def _key_type(db: Owner, given: Parameters) -> str | None:
    """The type of the key, if it has a unique index of its own."""
    schema, table = given.table.split(".")
    found: str | None = await db.value(
        catalogue.key_type, {"schema": schema, "table": table, "key": given.key}
    )
    return found


async def _estimate(db: Owner, table: str) -> int:
    found = await table_in(db, table)
    return 0 if found is None else found.rows

"""`till vault map|keys|kept|retention`."""

from collections import Counter
from typing import Annotated, Any

import typer

from tillkeeper import vault as strongroom
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.cli.links import ACTOR
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import Json, say, say_json, say_table
from tillkeeper.store import Store
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()


@app.callback()
def vault() -> None:
    """Show what every column is, the keys of sealed data, how long rows are kept; delete what is past its time."""


@app.command("map")
def map_(
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also the columns that hold nothing personal or secret.")
    ] = False,
    json: Json = False,
) -> None:
    """The data map: each column with its class, how it is kept, purpose, mask, search, retention and erasure.

    Example: till vault map --all
    """
    found = list(strongroom.treatments(strongroom.catalogue()))
    if json:
        say_json({"data": found})
        return
    heads = ["column", "class", "kept as", "what for", "mask", "search", "kept for", "erased with"]
    rows = [
        [
            f"{each.table}.{each.column}",
            each.class_,
            each.kept,
            f"{each.purpose}; {each.reason}" if each.reason else each.purpose,
            each.mask,
            each.search,
            each.retention,
            "" if each.erase == "never" else each.erase,
        ]
        for each in found
        if every or each.class_ in {"C2", "C3"}
    ]
    say_table(heads, rows)
    counted = Counter(each.class_ for each in found)
    classes = ", ".join(f"{number} {class_}" for class_, number in sorted(counted.items()))
    say(f"{len(found)} columns: {classes}.")


@app.command()
def keys(*, json: Json = False) -> None:
    """Every key of sealed data: class, purpose, version, state, age. The keys themselves are shown nowhere.

    Example: till vault keys
    """
    found = run(_keys())
    if json:
        say_json({"data": found})
        return
    rows = [
        [each.class_, each.purpose, str(each.version), each.state, each.root, f"{each.made_at:%Y-%m-%d}",
         f"{(_clock.now() - each.made_at).days} days"]
        for each in found
    ]  # fmt: skip
    say_table(
        ["class", "purpose", "version", "state", "root key", "made", "age"], rows, figures=["version", "age"]
    )


async def _keys() -> list[strongroom.KeyInfo]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli vault keys") as tx:
        return await strongroom.keys(tx)


@app.command()
def kept(*, json: Json = False) -> None:
    """How long the rows of every table are kept and why, what deletes them then, and what was deleted so far.

    Example: till vault kept --json
    """
    swept = run(_swept())
    found = [_kept(name, table, swept.get(name)) for name, table in sorted(strongroom.catalogue().items())]
    if json:
        say_json({"data": found})
        return
    timed = [each for each in found if each["days"] is not None]
    rows = [
        [
            each["table"],
            str(each["days"]),
            each["why"],
            each["by"],
            f"{each['deleted']:,}",
            f"{each['done_at']:%Y-%m-%d %H:%M}" if each["done_at"] else "–",
        ]
        for each in timed
    ]
    heads = ["table", "days", "why", "deleted by", "deleted", "up to date at (UTC)"]
    say_table(heads, rows, figures=["days", "deleted"])
    forever = sum(each["kept"] == "forever" for each in found)
    say(
        f"{len(found)} tables: {len(timed)} for a time, {forever} for ever, the others as long as they are used: --json has all."
    )


async def _swept() -> dict[str, strongroom.Sweep]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli vault kept") as tx:
        return {each.name: each for each in await strongroom.sweeps(tx)}


def _kept(name: str, table: strongroom.Table, swept: strongroom.Sweep | None) -> dict[str, Any]:
    return {
        "table": name,
        "kept": table.kept,
        "days": table.days,
        "why": table.why,
        "by": table.by or ("sweeping" if table.days is not None else ""),
        "deleted": swept.rows if swept else 0,
        "swept_at": swept.swept_at if swept else None,
        "done_at": swept.done_at if swept else None,
    }


@app.command()
def retention(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    json: Json = False,
) -> None:
    """Empty the sealed columns and delete the rows that are past their time. The agent does the same every hour, and every night.

    Example: till vault retention --dry-run
    """
    cells, rows = run(_retention(dry_run=dry_run))
    if json:
        say_json({"emptied": not dry_run, "cells": cells, "rows": rows})
        return
    for column, number in cells.items():
        say(f"{column}: {number:,} cells {'past retention' if dry_run else 'emptied'}")
    for table, number in rows.items():
        say(f"{table}: {number:,} rows {'past their time' if dry_run else 'deleted'}")


async def _retention(*, dry_run: bool) -> tuple[dict[str, int], dict[str, int]]:
    tables = strongroom.catalogue()
    swept = strongroom.swept_tables(tables)
    async with opened(settings(), size=1) as (store, _):
        async with store.tx("cli vault retention") as tx:
            found = await strongroom.overdue(tx, tables, _clock)
            rows = {each.name: await strongroom.past(tx, each, _clock) for each in swept}
        if dry_run:
            return found, rows
        emptied: Counter[str] = Counter(dict.fromkeys(found, 0))
        step = found
        while any(step.values()):
            step = await strongroom.empty_overdue(store, tables, _clock, ACTOR)
            emptied.update(step)
        return dict(emptied), {each.name: await _emptied(store, each) for each in swept}


async def _emptied(store: Store, each: strongroom.Swept) -> int:
    """Delete all rows of a table that are past their time; how many."""
    deleted = 0
    while rows := await strongroom.sweep(store, each, _clock, ACTOR):
        deleted += rows
    return deleted

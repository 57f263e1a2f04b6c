"""`till vault map|keys|retention`."""

from collections import Counter
from typing import Annotated

import typer

from tillkeeper import vault as strongroom
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.cli.links import ACTOR
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import Json, say, say_json, say_table
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()


@app.callback()
def vault() -> None:
    """Show what every column is and the keys of sealed data; empty what is past its retention."""


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
def retention(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    json: Json = False,
) -> None:
    """Empty the sealed columns that are past their retention. The agent does the same every hour.

    Example: till vault retention --dry-run
    """
    found = run(_retention(dry_run=dry_run))
    if json:
        say_json({"emptied": not dry_run, "cells": found})
        return
    done = "past retention" if dry_run else "emptied"
    for column, number in found.items():
        say(f"{column}: {number:,} cells {done}")
    if not found:
        say("No column is declared with a retention: all are kept as long as their rows.")


async def _retention(*, dry_run: bool) -> dict[str, int]:
    tables = strongroom.catalogue()
    async with opened(settings(), size=1) as (store, _):
        async with store.tx("cli vault retention") as tx:
            found = await strongroom.overdue(tx, tables, _clock)
        if dry_run:
            return found
        emptied: Counter[str] = Counter(dict.fromkeys(found, 0))
        step = found
        while any(step.values()):
            step = await strongroom.empty_overdue(store, tables, _clock, ACTOR)
            emptied.update(step)
        return dict(emptied)

"""`till bench`: the benches stand beside the package in a clone, so that an installation does not carry them."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import tillkeeper
from tillkeeper.faces.cli.output import CliError

app = typer.Typer(add_completion=False)


@app.command(context_settings={"ignore_unknown_options": True})
def bench(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[payments|ledger|risk|replay|growth]...", help="Which; unset: all but growth."
        ),
    ] = None,
) -> None:
    """Measure payments, ledger, risk and replay on this machine.

    With a yardstick measured in the same run; printed, and written as JSON under bench/out. Works in a clone only.

    Example: till bench payments --quick
    """
    clone = Path(tillkeeper.__file__).resolve().parents[2]
    if not (clone / "bench" / "__main__.py").exists():
        raise CliError(
            "the benches are not part of an installation", "clone the repository and run: make bench"
        )
    os.chdir(clone)
    os.execv(sys.executable, [sys.executable, "-m", "bench", *(arguments or [])])  # noqa: S606 - ourselves, no shell

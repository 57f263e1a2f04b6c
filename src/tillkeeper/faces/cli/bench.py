"""`till bench`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import tillkeeper
from tillkeeper.faces.cli.output import CliError

app = typer.Typer(add_completion=False)


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="payments, ledger, risk, replay, growth, vault, access, audit, maintenance, backups, faults; unset: the first four."
        ),
    ] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter, and less sure.")] = False,
) -> None:
    """Measure payments, ledger, risk and replay on this machine, beside bare pgbench as the yardstick.

    Everything is made in a temporary folder and thrown away. Figures are printed and written to bench/out.

    Example: till bench payments --quick
    """
    checkout = Path(tillkeeper.__file__).parents[2]
    if not (checkout / "bench" / "__main__.py").exists():
        raise CliError(
            "the benches are not part of the installed package", "run it in a checkout of Tillkeeper"
        )
    command = [sys.executable, "-m", "bench", *(names or []), *(["--quick"] if quick else [])]
    raise typer.Exit(subprocess.run(command, cwd=checkout, check=False).returncode)

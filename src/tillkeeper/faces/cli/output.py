"""How commands speak: people read tables on standard output, programs read `--json`; complaints go to standard error."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

CANNOT: Final = 2
FOUND: Final = 1


class CliError(Exception):
    """A command cannot go on. `remedy` says what to do next."""

    def __init__(self, message: str, remedy: str = "", code: int = CANNOT) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code


def complain(error: CliError) -> None:
    """Say on standard error what is wrong and what to do."""
    sys.stderr.write(f"till: {error}\n")
    if error.remedy:
        sys.stderr.write(f"  -> {error.remedy}\n")


def say(text: str = "") -> None:
    """A line for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(value: Any) -> None:
    """One JSON value on one line. Times are RFC 3339, amounts integers of minor units."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def say_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, figures: Sequence[str] = ()) -> None:
    """A table for people; the columns named in `figures` are right-aligned."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head in figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)

"""How commands speak: people read tables on standard output, programs read `--json`; complaints go to standard error."""

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

CANNOT: Final = 2
FOUND: Final = 1
_PIPED: Final = 160  # columns where nobody's terminal says how many there are
_BETWEEN: Final = 3  # columns between two columns of a table


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
    """A table for people; the columns named in `figures` are right-aligned. Where a terminal is too narrow for the longest
    words (an id that somebody wants to copy), each row is written as lines of its own.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    terminal = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED)
    longest = [
        max(cell_len(word) for cell in column for word in (cell.split() or [""]))
        for column in zip(heads, *rows, strict=True)
    ]
    if sys.stdout.isatty() and sum(longest) + _BETWEEN * (len(heads) - 1) > terminal.width:
        say("\n".join(records(heads, rows)))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head in figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    terminal.print(table)


def records(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Each row as lines of head and value, with an empty line after it; what is empty is left out."""
    wide = max(map(len, heads))
    for row in rows:
        for head, cell in zip(heads, row, strict=True):
            for number, line in enumerate(cell.splitlines()):
                yield f"{head if number == 0 else '':{wide}}  {line}"
        yield ""

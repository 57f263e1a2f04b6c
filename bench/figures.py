"""Figures: percentiles, ratios, tables for people, and JSON beside the bench for programs. Pure but for `keep`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

OUT: Final = Path(__file__).parent / "out"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank). The values are in ascending order."""
    if not ordered:
        return float("nan")
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def growth(first: float, last: float) -> float:
    """How much more the last is than the first, in percent of the first."""
    return (last / first - 1) * 100


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"


def show(title: str, rows: Sequence[dict[str, str]]) -> None:
    """Print a table; its columns are the keys of the rows."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in rows[0]:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*row.values())
    Console(highlight=False, width=160).print(table)


def keep(name: str, figures: Any) -> None:
    """Write a bench's figures to bench/out/<name>.json."""
    OUT.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(figures), indent=2)
    (OUT / f"{name}.json").write_bytes(text + b"\n")

"""How long work of risk shows how far it is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tillkeeper.base.clock import SystemClock

_PLAIN_SECONDS: Final = 10.0

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""


@contextmanager
def progress(*, quiet: bool) -> Iterator[Tell]:
    """A bar for each stage on a terminal; otherwise a line every few seconds on standard error."""
    if quiet or not sys.stdout.isatty():
        yield _plain()
        return
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

    tasks: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    ) as bar:

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield tell


def _plain() -> Tell:
    clock, told, last = SystemClock(), -_PLAIN_SECONDS, ""

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal told, last
        if stage != last or clock.monotonic() - told >= _PLAIN_SECONDS:
            told, last = clock.monotonic(), stage
            sys.stderr.write(f"{stage}: {done:,} of {total:,}\n")

    return tell

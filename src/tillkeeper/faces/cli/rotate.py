"""`till keys rotate data|index|root`."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Annotated, Any, Final

import typer

from tillkeeper import vault
from tillkeeper.access import ROOT_CHANGE, RootChange
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.second import second_person
from tillkeeper.maintenance.backups import BackupError, chest_of
from tillkeeper.store import sole
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()

_PLAIN_SECONDS: Final = 5.0
_REST: Final = 4.0  # a fifth of the time, one short step at a time: see docs/performance.md
_NICENESS: Final = 10  # payments go first where processors are few
_CONNECTIONS: Final = 5  # three lanes of work, the refreshing of keys, and one to spare

Gently = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=100.0,
        help="Rest after each step, in times of its length, so that payments do not notice; 0: full speed.",
    ),
]


@app.callback()
def rotate() -> None:
    """Replace the keys of sealed data while everybody works; killed, the same command goes on where it was left."""


@app.command()
def data(*, rest: Gently = _REST, json: Json = False) -> None:
    """Seal all cells anew with a new key, and destroy the old one when nothing of it is left.

    Example: till keys rotate data
    """
    _rotate("data", rest, json=json)


@app.command()
def index(*, rest: Gently = _REST, json: Json = False) -> None:
    """Make all blind indexes anew with a new key, and destroy the old one when nothing of it is left.

    Example: till keys rotate index --rest 0
    """
    _rotate("index", rest, json=json)


@app.command()
def root(
    to: Annotated[
        str | None,
        typer.Option(
            help="Where the new one shall be: file, split:<path>,<path> or transit:<url>; unset: as now."
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Wrap the class keys with a new root key. The old one stays readable until the new one is in use.

    A second person must agree in the console first: a security admin.

    Example: till keys rotate root --to split:/media/anna/till.share,/media/bela/till.share
    """
    try:
        done = run(_root(to))
    except BackupError as error:
        remedy = "the keys of the backups are wrapped anew too: see that TILL_BACKUPS can be reached, and run it again"
        raise CliError(str(error), remedy) from error
    if json:
        say_json(done)
        return
    say(f"{done.keys} class keys and {done.others} of backups are wrapped with a new root key: {done.name}.")
    say(done.remark)
    if to is not None:
        say(f"Set TILL_ROOT_KEY={to} and restart the processes: with the old setting none starts any more.")


async def _root(to: str | None) -> vault.NewRoot:
    chosen = settings()
    old = vault.root_of(chosen)
    new = vault.root_of(chosen, to) if to else old
    chest = chest_of(chosen)
    terms = RootChange(old.name, new.name)
    async with opened(chosen, size=1) as (store, urls), _alone(urls.app):
        await second_person(store, chosen, ROOT_CHANGE, terms)
        return await vault.rotate_root(store, old, new, own_handle(), lambda: chest.wrap_anew(new))


def _rotate(purpose: str, rest: float, *, json: bool) -> None:
    try:
        proof = run(_rotated(purpose, vault.Pace.resting(rest), quiet=json))
    except vault.StuckError as error:
        remedy = "mend or empty these cells, then run the same command; nothing was destroyed"
        raise CliError(str(error), remedy, FOUND) from error
    except KeyboardInterrupt:
        sys.stderr.write(f"till: stopped; till keys rotate {purpose} goes on where it was left\n")
        raise
    if json:
        say_json(proof)
        return
    rows = [
        [column, str(version), f"{count:,}"]
        for column, versions in proof.counted.items()
        for version, count in (versions or {proof.version: 0}).items()
    ]
    say_table(
        ["column", "version", "tags" if purpose == "index" else "cells"],
        rows,
        figures=["version", "cells", "tags"],
    )
    gone = ", ".join(map(str, proof.destroyed))
    say(
        f"Nothing is left of version {gone}, counted in one snapshot: it is destroyed. Version {proof.version} is in use."
    )


async def _rotated(purpose: str, pace: vault.Pace, *, quiet: bool) -> vault.Proof:
    chosen = settings()
    os.nice(_NICENESS)
    async with AsyncExitStack() as stack:
        store, urls = await stack.enter_async_context(opened(chosen, size=_CONNECTIONS))
        await stack.enter_async_context(_alone(urls.app))
        root_key = vault.root_of(chosen)
        strongroom = await stack.enter_async_context(vault.Vault.opened(store, root_key, _clock))
        tell = stack.enter_context(_progress(purpose, quiet=quiet))
        return await vault.Rotation(store, strongroom, root_key, _clock, purpose, own_handle()).run(
            tell, pace
        )


@asynccontextmanager
async def _alone(url: str) -> AsyncIterator[None]:
    """The one process that rotates keys. Raises CliError."""
    try:
        async with sole.sole(url, vault.JOB, _stop):
            yield
    except sole.TakenError as error:
        raise CliError(
            "another process rotates keys now", "wait for it, or stop it: this command goes on"
        ) from error


async def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _progress(purpose: str, *, quiet: bool) -> Iterator[Callable[[vault.Progress], None]]:
    """A bar on a terminal; otherwise plain lines, on standard error where standard output is for a program."""
    if quiet or not sys.stdout.isatty():
        yield _plain(sys.stderr if quiet else sys.stdout)
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*columns, TextColumn("{task.fields[said]}")) as bar:
        task = bar.add_task(f"{purpose} key", total=1.0, said="")

        def tell(now: vault.Progress) -> None:
            bar.update(task, description=now.doing, completed=now.share, said=f"{now.done:,} rows")

        yield tell


def _plain(out: Any) -> Callable[[vault.Progress], None]:
    told, what = -_PLAIN_SECONDS, ""

    def tell(now: vault.Progress) -> None:
        nonlocal told, what
        if now.doing != what or _clock.monotonic() - told >= _PLAIN_SECONDS:
            told, what = _clock.monotonic(), now.doing
            out.write(f"{now.share:4.0%}  {now.doing}, {now.done:,} rows\n")
            out.flush()

    return tell

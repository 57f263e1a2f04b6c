"""`till backup now|list|restore|drill|prune`."""

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
import typer

from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.times import moment_of
from tillkeeper.maintenance import backups
from tillkeeper.maintenance.backups import Backup, BackupError, Backups, Drill, Tell
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)
T = TypeVar("T")
_clock = SystemClock()
_PLAIN_SECONDS: Final = 5.0
_LISTED: Final = 100

By = Annotated[str | None, typer.Option(hidden=True, help="Who asked the agent.")]
To = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="The moment, as 2026-11-22T14:30:00+08:00; unset: the latest."),
]


@app.callback()
def backup() -> None:
    """Take backups, restore them, and prove that they can be restored."""


@app.command()
def now(
    *,
    full: Annotated[bool, typer.Option("--full", help="All of it, not only what has changed.")] = False,
    asked_by: By = None,
    json: Json = False,
) -> None:
    """Take a backup while everybody works: what has changed since the last one, or all of it if there is none.

    Example: till backup now --full
    """
    with _progress("backup", quiet=json) as tell:
        by = asked_by or own_handle()
        taken = _run(backups.backup_now(settings(), _clock, full=full, by=by, tell=tell))
    if json:
        say_json(taken)
        return
    say(
        f"{taken.kind.capitalize()} backup {taken.id} lies in {settings().backup_place}: {_mib(taken.bytes)}."
    )
    say("It counts as good when a drill has restored it: till backup drill")


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """Show the backups of the repository, and which of them a drill has restored. Works without the database.

    Example: till backup list
    """
    chosen = settings()
    found, known = _run(_list(chosen))
    if json:
        say_json(found)
        return
    say_table(
        ["backup", "kind", "ended", "size", "database", "restored in a drill"],
        [_line(each, known=known) for each in found],
        figures=["size", "database"],
    )
    if not found:
        say(f"{chosen.backup_place} holds no backup yet: till backup now")


@app.command()
def restore(
    into: Annotated[Path, typer.Option(help="An empty folder, or one that does not exist yet.")],
    *,
    to: To = None,
    json: Json = False,
) -> None:
    """Restore into a folder that till up can start from. Needs the repository and the key folder, nothing else.

    Example: till backup restore --to 2026-11-22T14:30:00+08:00 --into /srv/till-restored
    """
    chosen, home = settings(), into.absolute()
    with _progress("restore", quiet=json) as tell:
        done = _run(backups.restore_into(chosen, home, _clock, to=moment_of("--to", to), tell=tell))
    if json:
        say_json(done)
        return
    say(
        f"Restored in {done.seconds:.1f} s, as of {done.target:%Y-%m-%d %H:%M:%S} UTC, into {home}. Start it by:"
    )
    say(f"  TILL_HOME={home} TILL_KEYS={chosen.key_folder.absolute()} till up")
    say(
        "Customers who were erased since then are erased again at its start; then say why to the audit trail:"
    )
    say('  till audit restored --reason "…"')


@app.command()
def drill(*, to: To = None, asked_by: By = None, json: Json = False) -> None:
    """Restore the newest backup beside, look at everything in it, compare it with production, and remove it again.

    Exit code 1 if anything is not as it should be.

    Example: till backup drill
    """
    with _progress("drill", quiet=json) as tell:
        found = _run(
            backups.drill(
                settings(), _clock, to=moment_of("--to", to), by=asked_by or own_handle(), tell=tell
            )
        )
    if json:
        say_json(found)
    else:
        _show(found)
    if not found.passed:
        raise CliError("the drill found a fault: this backup does not count", "till backup now --full", FOUND)


@app.command()
def prune(*, json: Json = False) -> None:
    """Remove backups that are past their time, and the log that none of the others needs. The agent does it too.

    Example: till backup prune
    """
    gone = _run(backups.prune(settings(), _clock))
    if json:
        say_json([each.id for each in gone])
    else:
        say(f"{len(gone)} backups removed.")


async def _list(chosen: Settings) -> tuple[list[Backup], bool]:
    """What lies in the repository; and whether the database could say what drills found."""
    there = await backups.in_repository(chosen)
    if chosen.database_url is None and not (chosen.home / "postgres" / "PG_VERSION").exists():
        return there, False
    async with opened(chosen, size=1) as (store, _):
        drills = {each.id: each.drill for each in await Backups(store).list(_LISTED)}
    return [msgspec.structs.replace(each, drill=drills.get(each.id)) for each in there], True


def _line(each: Backup, *, known: bool) -> list[str]:
    proof = "no database here to ask" if not known else "not yet"
    if each.drill is not None:
        proof = f"{'yes' if each.drill.passed else 'FAILED'}, {each.drill.ended_at:%Y-%m-%d %H:%M}"
    ended = f"{each.ended_at:%Y-%m-%d %H:%M:%S}" if each.ended_at else ""
    return [str(each.id), each.kind, ended, _mib(each.bytes), _mib(each.database_bytes), proof]


def _show(found: Drill) -> None:
    say_table(
        ["looked at", "", "found"],
        [[each.name, "NO" if each.state == "broken" else each.state, each.said] for each in found.checks],
    )
    say(f"Backup {found.backup}, restored as of {found.target:%Y-%m-%d %H:%M:%S} UTC.")
    say(
        f"RPO {found.rpo_seconds:.1f} s: so much would have been lost. RTO {found.rto_seconds:.1f} s: so long it took."
    )


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:,.1f} MiB"


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return run(work)
    except BackupError as error:
        raise CliError(str(error), "till doctor shows where backups go") from error


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[Tell]:
    """A bar on a terminal; otherwise a line every few seconds on standard error."""
    if quiet or not sys.stdout.isatty():
        yield _plain(what)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[said]}")) as bar:
        task = bar.add_task(what, total=1.0, said="")
        yield lambda share, said: bar.update(task, completed=share, said=said)


def _plain(what: str) -> Callable[[float, str], None]:
    told = -_PLAIN_SECONDS

    def tell(share: float, said: str) -> None:
        nonlocal told
        if _clock.monotonic() - told >= _PLAIN_SECONDS:
            told = _clock.monotonic()
            sys.stderr.write(f"{what}: {share:4.0%}  {said}\n")

    return tell

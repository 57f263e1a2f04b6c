"""`till run list|show|watch|pause|resume|abort|undo`."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
import typer

from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.cli import watching
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run as carry
from tillkeeper.faces.cli.opening import settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.runs import ENDS, Run, RunView, Wish
from tillkeeper.monitoring import measure
from tillkeeper.store import Store
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()
_ORIGIN: Final = "cli"
_LOOK_SECONDS: Final = 1.0
_RATE_SECONDS: Final = 5.0

Id = Annotated[str | None, typer.Argument(metavar="ID", help="The run's id, run_…; unset: the latest.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the journal.")]


@app.callback()
def run() -> None:
    """Look at the runs of maintenance plans, and steer the one that is under way."""


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List the runs, the latest first.

    Example: till run list
    """
    found = carry(_listed())
    if json:
        say_json([_shown(each) for each in found])
    elif found:
        heads = ["id", "state", "asked by", "asked (UTC)", "begun", "ended"]
        say_table(heads, list(map(watching.row, found)))
    else:
        say("There was no run yet. till plan start begins one.")


@app.command()
def show(id_: Id = None, *, json: Json = False) -> None:
    """Show a run: its steps, its guardrails, its journal.

    Example: till run show run_01k…
    """
    seen = carry(_seen(id_))
    if json:
        say_json(_whole(seen))
        return
    for line in watching.outline(seen):
        say(line)


@app.command()
def watch(id_: Id = None, *, json: Json = False) -> None:
    """Follow a run until it has ended. Exit code 1 unless it succeeded. With --json: a line whenever something changes.

    Example: till run watch
    """
    ended = carry(_watch(id_, quiet=json))
    if not json:
        say(watching.headline(ended))
    raise typer.Exit(0 if ended.run.state == "succeeded" else FOUND)


@app.command()
def pause(id_: Id = None, *, reason: Reason = "", json: Json = False) -> None:
    """Have a run rest at the next point where its step can; its guardrails go on.

    Example: till run pause --reason "support is busy"
    """
    _tell(id_, "pause", reason, json=json)


@app.command()
def resume(id_: Id = None, *, reason: Reason = "", json: Json = False) -> None:
    """Let a paused run go on: what failed is tried again, what stood in the way is looked at anew.

    Example: till run resume
    """
    _tell(id_, "resume", reason, json=json)


@app.command()
def abort(id_: Id = None, *, reason: Reason = "", json: Json = False) -> None:
    """Stop a run at once, and put back everything that can be.

    Example: till run abort --reason "wrong day"
    """
    _tell(id_, "abort", reason, json=json)


@app.command()
def undo(id_: Id = None, *, reason: Reason = "", json: Json = False) -> None:
    """Put back what a run did, also after it has succeeded.

    Example: till run undo run_01k… --reason "searches became slower"
    """
    _tell(id_, "undo", reason, json=json)


def _tell(id_: str | None, wish: Wish, reason: str, *, json: bool) -> None:
    told = carry(_told(id_, wish, reason))
    if json:
        say_json(_shown(told))
    else:
        say(f"{told.public} is {told.state}; till run watch follows it.")


async def _listed() -> list[Run]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli runs") as tx:
        return await runs.list_runs(tx, limit=50)


async def _seen(id_: str | None) -> RunView:
    async with opened(settings(), size=1) as (store, _):
        return await _view(store, await _which(store, id_))


async def _told(id_: str | None, wish: Wish, reason: str) -> Run:
    async with opened(settings(), size=1) as (store, _):
        which = await _which(store, id_)
        async with store.tx("cli run") as tx:
            done = await runs.command(tx, which, wish, own_handle(), _clock, reason=reason, origin=_ORIGIN)
    if isinstance(done, Refusal):
        raise Refused(done)
    return done


async def _watch(id_: str | None, *, quiet: bool) -> RunView:
    """Until the run has ended. A database that restarts meanwhile is waited for by the store."""
    async with opened(settings(), size=1) as (store, _):
        which = await _which(store, id_)
        if quiet:
            return await _follow(store, which, _Lines())
        with watching.Picture() as picture:
            return await _follow(store, which, picture.draw)


async def _follow(store: Store, run_: UUID, draw: Callable[[RunView, float | None], None]) -> RunView:
    while True:
        seen = await _view(store, run_)
        async with store.tx("cli run rate") as tx:
            rate = await measure(tx, "payments.rate", _RATE_SECONDS, _clock)
        draw(seen, rate.value)
        if seen.run.state in ENDS:
            return seen
        await asyncio.sleep(_LOOK_SECONDS)


class _Lines:
    """One JSON line whenever the journal has grown."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, seen: RunView, rate: float | None) -> None:
        if seen.events[-1].seq != self._said:
            self._said = seen.events[-1].seq
            say_json(_whole(seen) | {"payments_per_second": rate, "events": [], "last": seen.events[-1]})


async def _which(store: Store, id_: str | None) -> UUID:
    if id_ is not None:
        try:
            return from_typeid("run", id_)
        except BadIdError as error:
            raise CliError("that is no run's id", "they begin with run_; till run list shows them") from error
    async with store.tx("cli latest run") as tx:
        latest = await runs.list_runs(tx, limit=1)
    if not latest:
        raise CliError("there was no run yet", "till plan start begins one")
    return latest[0].id


async def _view(store: Store, run_: UUID) -> RunView:
    async with store.tx("cli run") as tx:
        seen = await runs.view(tx, run_)
    if seen is None:
        raise CliError("there is no such run", "till run list shows them")
    return seen


def _shown(found: Run) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain | {"id": found.public, "digest": found.digest.hex()}


def _whole(seen: RunView) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(seen)
    plan = plain.pop("plan")
    return plain | {"run": _shown(seen.run), "goal": plan["goal"]}

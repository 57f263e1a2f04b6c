"""`till plan rehearse`: a plan on a restored copy, with its progress."""

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.opening import run
from tillkeeper.faces.cli.output import CliError
from tillkeeper.maintenance import plans, runs
from tillkeeper.maintenance.backups import BackupError, Tell
from tillkeeper.maintenance.plans import Rehearsed
from tillkeeper.maintenance.steps import KINDS
from tillkeeper.store.opening import opened

T = TypeVar("T")


def rehearsed(chosen: Settings, plan: UUID, by: str, clock: Clock, *, quiet: bool) -> Rehearsed:
    """Rehearse a plan. Raises CliError where it could not even be tried."""
    with _progress(quiet=quiet) as tell:
        return _carried(_rehearse(chosen, plan, by, clock, tell))


async def _rehearse(chosen: Settings, plan: UUID, by: str, clock: Clock, tell: Tell) -> Rehearsed:
    async with opened(chosen, size=1) as (store, _), store.tx("cli rehearse plan") as tx:
        filed = await plans.get(tx, plan)
    if filed is None:
        raise Refused(Refusal("unknown_plan", "till plan list shows them"))
    found = await runs.rehearse(chosen, filed, KINDS, clock, by=by, tell=tell)
    if isinstance(found, Refusal):
        raise Refused(found)
    return found


def _carried(work: Coroutine[Any, Any, T]) -> T:
    try:
        return run(work)
    except BackupError as error:
        raise CliError(str(error), "till backup now takes one; till backup list shows them") from error


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Tell]:
    """A bar on a terminal; nothing for programs."""
    if quiet:
        yield lambda _share, _said: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, said: bar.update(task, completed=share, description=said)

"""`till report list|show|verify|review`."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import typer

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.links import ACTOR, ORIGIN
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CANNOT, FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.maintenance import reports
from tillkeeper.maintenance.reports import Document, Listed, Task
from tillkeeper.store import Tx
from tillkeeper.store.opening import opened
from tillkeeper.store.private import PrivateFileError

app = typer.Typer(no_args_is_help=True, add_completion=False)

Wanted = Annotated[str, typer.Argument(help="rep_…, or the run's id, run_…")]
_VERDICTS = {
    "holds": "It is as it was signed.",
    "changed": "IT IS NOT AS IT WAS SIGNED.",
    "stranger": "It was signed by a key that is not in this key folder.",
    "unreadable": "It is no report of ours.",
}
_EXITS = {"holds": 0, "changed": FOUND, "stranger": CANNOT, "unreadable": CANNOT}


@app.callback()
def report() -> None:
    """Read, verify and review the reports of maintenance runs."""


@app.command("list")
def list_(
    limit: Annotated[
        int, typer.Option(min=1, max=limits.PAGE_MAX, help="So many at most.")
    ] = limits.PAGE_DEFAULT,
    *,
    json: Json = False,
) -> None:
    """List reports, the newest first; those that nobody has reviewed say so.

    Example: till report list --json
    """
    found = run(_list(limit))
    if json:
        say_json([_as_dict(each) for each in found])
        return
    rows = [
        [
            to_typeid(reports.PREFIX, each.id),
            f"{each.made_at:%Y-%m-%d %H:%M}",
            each.outcome,
            each.goal,
            each.review.person if each.review else f"nobody; {each.owner} is asked",
            str(each.open_tasks),
        ]
        for each in found
    ]
    heads = ["report", "written (UTC)", "outcome", "goal", "reviewed by", "open tasks"]
    say_table(heads, rows, figures=["open tasks"])


async def _list(limit: int) -> list[Listed]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli reports") as tx:
        return await reports.listed(tx, limit=limit)


@app.command()
def show(wanted: Wanted, *, json: Json = False) -> None:
    """Show a report in short, and where its files are. --json prints the signed file.

    Example: till report show run_01k…
    """
    chosen = settings()
    listed, file, tasks = run(_show(chosen, wanted))
    if json:
        say_json(msgspec.Raw(file.strip()))
    else:
        _say(chosen, listed, reports.document_of(file), tasks)


async def _show(chosen: Settings, wanted: str) -> tuple[Listed, bytes, list[Task]]:
    async with opened(chosen, size=1) as (store, _), store.tx("cli report") as tx:
        listed = await _find(tx, wanted)
        file = await reports.file_of(tx, listed.id)
        assert file is not None  # it was just found
        return listed, file, await reports.tasks_of(tx, listed.id)


def _say(chosen: Settings, listed: Listed, document: Document, tasks: list[Task]) -> None:
    words = reports.Words("en", document.timezone)
    say(f"{document.plan.goal}: {words(f'outcome.{document.outcome}').unescape()}")
    for line in reports.summary(document, words):
        say(f"  {line}")
    rows = [
        [str(step.place + 1), step.title or step.kind, step.state, words.lasted(step.seconds)]
        for step in document.steps
    ]
    say_table(["", "step", "state", "took"], rows)
    for each in tasks:
        mark = "done" if each.state == "done" else "open"
        say(f"  {mark}: {words(f'item.{each.code}', detail=each.detail).unescape()}")
    by = listed.review
    say(
        f"Reviewed by {by.person}: {by.remark}" if by else f"Nobody has reviewed it; {listed.owner} is asked."
    )
    for path in sorted(reports.folder_of(chosen).glob(f"*{document.run}*")):
        say(str(path))


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The report: the JSON file or one of the pages.")],
    *,
    json: Json = False,
) -> None:
    """Say whether a report's file is as it was signed. It needs the key folder and no database.

    Exit code 1 if it was changed, 2 if that cannot be said.

    Example: till report verify .till/reports/20261122-031500-run_01k….json
    """
    try:
        content = file.read_bytes()
        ring = audit.find_ring(settings().key_folder)
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from error
    except PrivateFileError as error:
        raise CliError(str(error)) from error
    if ring is None:
        raise CliError("there are no keys to verify with", "is TILL_KEYS right? till doctor shows it")
    verdict = reports.verify(content, ring)
    if json:
        say_json({"file": str(file), "verdict": verdict})
    else:
        say(_VERDICTS[verdict])
    raise typer.Exit(_EXITS[verdict])


@app.command()
def review(
    wanted: Wanted,
    remark: Annotated[str, typer.Option(help="What you think of it.")],
    *,
    json: Json = False,
) -> None:
    """Say that you have read a report.

    Example: till report review rep_01k… --remark "as planned"
    """
    listed = run(_review(wanted, remark))
    if json:
        say_json(_as_dict(listed))
    else:
        say(f"Reviewed by {ACTOR}.")


async def _review(wanted: str, remark: str) -> Listed:
    if not remark.strip() or len(remark) > limits.MAX_TEXT or forbidden(remark):
        raise CliError(
            f"a remark has 1 to {limits.MAX_TEXT} characters and no card number", '--remark "as planned"'
        )
    async with opened(settings(), size=1) as (store, _), store.tx("cli report review") as tx:
        listed = await _find(tx, wanted)
        said = await reports.review(tx, listed.id, ACTOR, remark.strip(), SystemClock(), origin=ORIGIN)
        if isinstance(said, Refusal):
            raise Refused(said)
        return await _find(tx, wanted)


async def _find(tx: Tx, wanted: str) -> Listed:
    found = await reports.find(tx, _id(wanted))
    if found is None:
        raise CliError(f"{wanted}: there is no such report", "till report list shows which there are")
    return found


def _id(wanted: str) -> UUID:
    prefix = wanted.partition("_")[0]
    try:
        return from_typeid(prefix if prefix in {reports.PREFIX, "run"} else reports.PREFIX, wanted)
    except BadIdError as error:
        raise CliError(str(error), "till report list shows the ids of reports") from error


def _as_dict(listed: Listed) -> dict[str, object]:
    return {
        "report": to_typeid(reports.PREFIX, listed.id),
        "run": to_typeid("run", listed.run),
        "goal": listed.goal,
        "outcome": listed.outcome,
        "owner": listed.owner,
        "made_at": listed.made_at,
        "review": listed.review,
        "open_tasks": listed.open_tasks,
    }

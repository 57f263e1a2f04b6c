"""`till audit verify|prove|search|restored`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.faces.cli.links import ACTOR
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CANNOT, FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.store.opening import opened
from tillkeeper.store.private import PrivateFileError

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()
_SUBJECT = "audit"
_WHY = 20  # characters of a reason in the table, so that ids stand on one line; --json has all of it
_VERDICTS = {
    "holds": "The trail is as it was sealed, signed and anchored.",
    "broken": "THE TRAIL IS NOT AS IT WAS.",
    "not assessed": "Nothing wrong was found, but not everything could be looked at.",
}
_EXITS = {"holds": 0, "broken": FOUND, "not assessed": CANNOT}


@app.callback()
def trail() -> None:
    """Verify, prove and search the audit trail."""


@app.command()
def verify(*, json: Json = False) -> None:
    """Recompute the whole trail and compare it with every signature and every anchor; name the first bad event.

    Exit code 1 if anything was changed, 2 if something could not be looked at. Events may be written meanwhile.

    Example: till audit verify --json
    """
    report = run(_verify(quiet=json))
    if json:
        say_json(_as_dict(report))
    else:
        _show(report)
    raise typer.Exit(_EXITS[report.state])


async def _verify(*, quiet: bool) -> audit.Report:
    chosen = settings()
    anchors = audit.anchors_of(chosen.key_folder, chosen.audit_anchors.split())
    ring = _ring()
    async with opened(chosen, size=1) as (store, _):
        with _progress(quiet=quiet) as tell:
            report = await audit.verify(store, ring, anchors, _clock, tell)
        async with store.tx("cli audit verified") as tx:
            result: audit.Result = "done" if report.state == "holds" else "failed"
            found = f"{report.size} events, {report.fault_count} faults, {report.state}"
            await audit.append(tx, ACTOR, "audit.verified", _SUBJECT, found, "cli", result)
    return report


def _ring() -> audit.Ring | None:
    try:
        return audit.find_ring(settings().key_folder)
    except PrivateFileError as error:
        raise CliError(str(error)) from error


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar, for people at a terminal."""
    if quiet or not sys.stdout.isatty():
        yield lambda _done, _size: None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("events")
        yield lambda done, size: bar.update(task, completed=done, total=size)


def _as_dict(report: audit.Report) -> dict[str, object]:
    return {
        "state": report.state,
        "events": report.size,
        "root": report.root.hex(),
        "parts": report.parts,
        "first_bad": report.first and _fault(report.first),
        "fault_count": report.fault_count,
        "faults": [_fault(each) for each in report.faults],
    }


def _fault(fault: audit.Fault) -> dict[str, object]:
    return {"number": fault.seq, "event": _named(fault.event), "part": fault.part, "what": fault.what}


def _named(event: str | None) -> str | None:
    return to_typeid("evt", UUID(event)) if event else None


def _show(report: audit.Report) -> None:
    say_table(
        ["looked at", "state", "found"], [[each.name, each.state, each.detail] for each in report.parts]
    )
    if report.faults:
        rows = [[str(each.seq), _named(each.event) or "-", each.part, each.what] for each in report.faults]
        say_table(["number", "event", "part", "what is wrong"], rows, figures=["number"])
    if report.first is not None:
        say(f"The first bad event is number {report.first.seq}: {_named(report.first.event) or 'gone'}.")
    say(f"{report.size:,} events, root {report.root.hex()}.")
    say(_VERDICTS[report.state])


@app.command()
def restored(
    reason: Annotated[
        str, typer.Option(help="Why, and from which copy; kept in the key file and the trail.")
    ],
    *,
    json: Json = False,
) -> None:
    """Say that the database fell back behind its anchors because an older copy was restored.

    From then on till audit verify tells what was lost and by whose word, and no longer calls it a cut. It needs the key
    folder: whoever rules only the database cannot say so.

    Example: till audit restored --reason "disk failed, copy of 03:00"
    """
    found = run(_restored(reason))
    if found is None:
        raise CliError("nothing that the anchors hold is missing", "till audit verify says how things are")
    if json:
        say_json(found)
    else:
        say(
            f"Noted: what was anchored beyond event {found.size - 1} before {found.at:%Y-%m-%d %H:%M:%S} UTC is lost."
        )


async def _restored(reason: str) -> audit.Restore | None:
    chosen = settings()
    anchors = audit.anchors_of(chosen.key_folder, chosen.audit_anchors.split())
    try:
        async with opened(chosen, size=1) as (store, _):
            return await audit.note_restore(
                store, chosen.key_folder, anchors, _clock, by=ACTOR, reason=reason
            )
    except PrivateFileError as error:
        raise CliError(str(error)) from error


@app.command()
def prove(
    event: Annotated[str, typer.Argument(help="The event's id, evt_…")],
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Prove it under the head of so many events, as an anchor has it."),
    ] = None,
) -> None:
    """Print, as JSON, the proof that an event is in the sealed trail. docs/decisions/0011 says how to check it.

    Example: till audit prove evt_01k… --size 1200
    """
    try:
        say_json(run(_prove(_event(event), size)))
    except audit.ProofError as error:
        raise CliError(str(error)) from error


async def _prove(event: UUID, size: int | None) -> audit.Proof:
    ring = _ring()
    async with opened(settings(), size=1) as (store, _):
        return await audit.prove(store, event, ring, size)


def _event(text: str) -> UUID:
    try:
        return from_typeid("evt", text)
    except BadIdError as error:
        raise CliError(str(error), "till audit search shows the ids of events") from error


@app.command()
def search(
    person: Annotated[str | None, typer.Option(help="Who did it: a person's handle, a key, system.")] = None,
    action: Annotated[str | None, typer.Option(help="What was done, like payment.released.")] = None,
    subject: Annotated[str | None, typer.Option(help="To what: pay_…, cus_…, key_…, a person.")] = None,
    result: Annotated[str | None, typer.Option(help="done, refused or failed.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time, UTC.")] = None,
    before: Annotated[
        str | None, typer.Option(help="Go on before this event: the cursor of the last page.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=limits.AUDIT_PAGE, help="So many at most.")
    ] = limits.PAGE_DEFAULT,
    *,
    json: Json = False,
) -> None:
    """List events, newest first; --json says more of each.

    Example: till audit search --person anna --since 2026-11-01 --json
    """
    wanted = audit.Filter(person, action, subject, result, _utc(since), _utc(until))
    page = run(_search(wanted, _event(before) if before else None, limit))
    cursor = to_typeid("evt", page.next_before) if page.next_before else None
    if json:
        events = [{**_public(each), "id": to_typeid("evt", each.id)} for each in page.events]
        say_json({"data": events, "next_before": cursor, "partial": page.partial})
        return
    say_table(
        ["id", "at (UTC)", "who", "did", "to", "why", "number"],
        [_row(each) for each in page.events],
        figures=["number"],
    )
    if cursor:
        say(f"{'Not all was looked through yet' if page.partial else 'There are more'}: --before {cursor}")


async def _search(wanted: audit.Filter, before: UUID | None, limit: int) -> audit.Page:
    async with opened(settings(), size=1) as (store, _), store.tx("cli audit search") as tx:
        return await audit.search(tx, wanted, before, limit)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _public(event: audit.Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def _row(event: audit.Event) -> list[str]:
    number = "waits" if event.seq is None else str(event.seq)
    at = f"{event.at:%Y-%m-%d %H:%M:%S}"
    did = event.action if event.result == "done" else f"{event.action} ({event.result})"
    why = f"{event.reason[:_WHY]}…" if len(event.reason) > _WHY else event.reason
    return [to_typeid("evt", event.id), at, event.actor, did, event.subject, why, number]

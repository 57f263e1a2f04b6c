"""`till alerts list|ack|silence|test|check`."""

from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from tillkeeper import audit
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.faces.cli.links import ACTOR, ORIGIN
from tillkeeper.faces.cli.opening import in_tx, run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.times import span_of
from tillkeeper.monitoring import MEASURES, alerting
from tillkeeper.store import Tx
from tillkeeper.store.opening import opened
from tillkeeper.store.private import PrivateFileError

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()


@app.callback()
def alerts() -> None:
    """List alerts; acknowledge and silence them; test the channels; check a rule book."""


@app.command("list")
def list_alerts(*, json: Json = False) -> None:
    """Show what fires, what is silenced, and how old the last look is. Exit code 1 if anything fires or nobody looks.

    Example: till alerts list --json
    """
    board = run(in_tx("cli alerts", lambda tx: alerting.browse.board(tx, _book(), _clock)))
    if json:
        say_json(_as_dict(board))
    else:
        _show(board)
    raise typer.Exit(FOUND if board.stale or any(each.state == "firing" for each in board.alerts) else 0)


@app.command()
def ack(alert: str) -> None:
    """Say that you look after an alert: nobody is reminded of it any more. ALERT: its id, or the name of its rule.

    Example: till alerts ack disk_filling
    """
    found = run(in_tx("cli alerts", lambda tx: _acknowledge(tx, alert)))
    for each in found:
        say(f"{each.rule} {alerting.public_id(each)}: acknowledged by {each.acknowledged_by}")


@app.command()
def silence(
    rule: str,
    *,
    lasting: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d; at most 7d.")],
    reason: Annotated[str, typer.Option("--reason", help="Why nobody need be told.")],
) -> None:
    """Tell nobody of a rule for some time. It fires again when the time is over and it is still bad.

    Example: till alerts silence backup_old --for 2h --reason "the store is being moved"
    """
    seconds = span_of("--for", lasting).total_seconds()
    made = run(
        in_tx(
            "cli alerts",
            lambda tx: alerting.silence(tx, _book(), rule, None, seconds, reason, ACTOR, _clock, ORIGIN),
        )
    )
    if isinstance(made, Refusal):
        raise CliError(f"{made.title}: {rule}", made.detail)
    say(
        f"{rule} is silenced until {made.until:%Y-%m-%d %H:%M} UTC ({to_typeid(alerting.SILENCE_PREFIX, made.id)})"
    )


@app.command("test")
def send_test(*, json: Json = False) -> None:
    """Send a test notice to every channel. Exit code 1 if one does not take it.

    Example: till alerts test
    """
    taken, left = run(_test())
    if json:
        say_json({"taken": [each.name for each in taken], "not_taken": [each.name for each in left]})
    else:
        rows = [[each.name, "taken"] for each in taken] + [[each.name, "NOT TAKEN"] for each in left]
        say_table(["channel", "test notice"], rows)
    raise typer.Exit(FOUND if left else 0)


@app.command()
def check(file: Path) -> None:
    """Read a rule book and say what is wrong with it.

    Example: till alerts check objectives.toml
    """
    try:
        book = alerting.read_book(file, MEASURES)
    except alerting.BadBookError as error:
        raise CliError(str(error), "docs/operating/alerts.md explains every field") from error
    say(f"{file} can be used: {len(book.objectives)} objectives, {len(book.rules)} rules")


async def _acknowledge(tx: Tx, wanted: str) -> list[alerting.Alert]:
    lasting = (await alerting.browse.board(tx, _book(), _clock)).alerts
    ids = [_id(wanted)] if wanted.startswith(f"{alerting.PREFIX}_") else [
        each.id for each in lasting if each.rule == wanted and each.state == "firing"
    ]  # fmt: skip
    if not ids:
        raise CliError(f"no alert of {wanted} fires", "till alerts list shows those that do")
    found = []
    for each in ids:
        said = await alerting.acknowledge(tx, each, ACTOR, _clock, ORIGIN)
        if isinstance(said, Refusal):
            raise CliError(f"{said.title}: {wanted}", said.detail)
        found.append(said)
    return found


async def _test() -> tuple[list[alerting.Channel], list[alerting.Channel]]:
    chosen = settings()
    try:
        channels = alerting.read_channels(chosen.alert_channels)
    except (alerting.ChannelError, PrivateFileError) as error:
        raise CliError(
            str(error), "one Apprise address a line, mode 0600; docs/operating/alerts.md"
        ) from error
    if not channels:
        raise CliError(
            "there are no channels", "set TILL_ALERT_CHANNELS to a file with one Apprise address a line"
        )
    text = f"A test by {ACTOR}. Nothing is wrong. · {ACTOR} 的测试，一切正常。"
    taken, left = await alerting.send_all(channels, "Tillkeeper 掌柜: test", text, "info")
    async with opened(chosen, size=1) as (store, _), store.tx("cli alerts tested") as tx:
        told = f"{len(taken)} of {len(channels)} channels took it"
        await audit.append(tx, ACTOR, "alert.tested", "alerts", told, ORIGIN, "failed" if left else "done")
    return taken, left


def _book() -> alerting.RuleBook:
    try:
        return alerting.read_book(settings().objectives_file, MEASURES)
    except alerting.BadBookError as error:
        raise CliError(str(error), "till alerts check FILE says what is wrong") from error


def _id(text: str) -> UUID:
    try:
        return from_typeid(alerting.PREFIX, text)
    except BadIdError as error:
        raise CliError(str(error), "till alerts list shows the ids") from error


def _as_dict(board: alerting.browse.Board) -> dict[str, Any]:
    return {
        "looked_at": board.looked_at,
        "stale": board.stale,
        "alerts": [
            {
                "id": alerting.public_id(each),
                "rule": each.rule,
                "labels": each.names,
                "severity": each.severity,
                "state": each.state,
                "cause": each.cause,
                "value": each.value,
                "bound": each.bound,
                "fired_at": each.fired_at,
                "acknowledged_by": each.acknowledged_by,
                "silenced_until": each.silenced_until,
            }
            for each in board.alerts
        ],
        "unknown": [each.rule.name for each in board.rules if each.verdict == "unknown"],
        "silences": [
            {
                "id": to_typeid(alerting.SILENCE_PREFIX, each.id),
                "rule": each.rule,
                "person": each.person,
                "reason": each.reason,
                "until": each.until,
            }
            for each in board.silences
        ],
    }


def _show(board: alerting.browse.Board) -> None:
    if board.stale:
        since = f"since {board.looked_at:%Y-%m-%d %H:%M:%S} UTC" if board.looked_at else "yet"
        say(f"NOBODY HAS LOOKED {since}: is the agent running? What follows is old.")
    if board.alerts:
        rows = [
            [
                each.severity,
                each.rule,
                " ".join(f"{name}={value}" for name, value in each.names.items()) or "-",
                each.state if each.cause == "bad" else f"{each.state}, no data",
                alerting.figure(each.value),
                alerting.figure(each.bound),
                f"{each.fired_at:%m-%d %H:%M}",
                alerting.public_id(each),
            ]
            for each in board.alerts
        ]
        say_table(
            ["severity", "rule", "instance", "state", "value", "bound", "since (UTC)", "id"],
            rows,
            figures=["value", "bound"],
        )
    else:
        say("No alert lasts." if not board.stale else "")
    for silence in board.silences:
        say(
            f"silenced until {silence.until:%m-%d %H:%M} UTC: {silence.rule} ({silence.person}: {silence.reason})"
        )
    unknown = [each.rule.name for each in board.rules if each.verdict == "unknown"]
    if unknown:
        say(f"Nothing is known of: {', '.join(unknown)}")

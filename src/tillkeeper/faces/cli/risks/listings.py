"""Lists: whom and what people block, trust or watch, until when and why."""

from typing import Annotated

import typer

from tillkeeper import risk
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import in_tx, run
from tillkeeper.faces.cli.output import Json, say, say_json, say_table
from tillkeeper.faces.cli.risks.reasons import (
    ENTITY_HELP,
    KEY_HELP,
    UNTIL_HELP,
    Why,
    key_of,
    reason_of,
    say_ended,
    until_text,
)
from tillkeeper.faces.cli.times import end_of
from tillkeeper.risk import Listing

app = typer.Typer(no_args_is_help=True, help="Whom and what people block, trust or watch.")
_clock = SystemClock()

List = Annotated[str, typer.Argument(metavar="LIST", help="block, trust or watch.")]
Entity = Annotated[str, typer.Argument(metavar="ENTITY", help=f"{ENTITY_HELP}.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help=KEY_HELP)]


@app.command("list")
def listed(*, json: Json = False) -> None:
    """Show the entries in force, the newest first.

    Example: till risk lists list
    """
    found = run(in_tx("cli lists", lambda tx: risk.listings(tx, _clock.now())))
    if json:
        say_json(found)
    elif not found:
        say("The lists are empty.")
    else:
        rows = [
            [each.list, each.entity, each.key, until_text(each.until), each.author, each.reason]
            for each in found
        ]
        say_table(["list", "entity", "key", "until (UTC)", "by", "reason"], rows)


@app.command()
def add(
    list_: List,
    entity: Entity,
    key: Key,
    until: Annotated[str | None, typer.Option(help=f"{UNTIL_HELP}; trust must end.")] = None,
    reason: Why = "",
    *,
    json: Json = False,
) -> None:
    """Put one on a list: block refuses its payments, trust lets them pass all rules, watch is a feature that rules read.

    It decides within two seconds. A block goes before trust.

    Example: till risk lists add block device phone-77 --until 7d --reason "case 4711"
    """
    now = _clock.now()
    end = None if until is None else end_of("--until", until, now)
    why = reason_of(reason, needed=True)
    entry = Listing(list_, entity, key_of(entity, key), end, why, own_handle(), now)
    run(in_tx("cli list add", lambda tx: risk.put_on_list(tx, entry, _clock)))
    if json:
        say_json(entry)
    else:
        lasting = f" until {until_text(end)} UTC" if end else ""
        say(f"{entity} {key} is on the {list_} list{lasting}.")


@app.command()
def end(list_: List, entity: Entity, key: Key, reason: Why = "", *, json: Json = False) -> None:
    """Take one off a list. Exit code 1 if it is not on it.

    Example: till risk lists end block device phone-77 --reason "case 4711 closed"
    """
    named, why = key_of(entity, key), reason_of(reason, needed=True)
    ended = run(
        in_tx(
            "cli list end",
            lambda tx: risk.take_off_list(tx, list_, entity, named, own_handle(), why, _clock),
        )
    )
    said, otherwise = (
        f"{entity} {key} is off the {list_} list.",
        f"{entity} {key} is not on the {list_} list.",
    )
    say_ended(ended=ended, said=said, otherwise=otherwise, json=json)

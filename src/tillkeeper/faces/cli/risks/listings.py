"""Lists: whom and what people block, trust or watch, until when and why."""

from typing import Annotated, Any

import typer

from tillkeeper import risk
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, Json, say, say_json, say_table
from tillkeeper.faces.cli.risks.reasons import end_of, key_of, reason_of
from tillkeeper.risk import Listing
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, help="Whom and what people block, trust or watch.")
_clock = SystemClock()

List = Annotated[str, typer.Argument(metavar="LIST", help="block, trust or watch.")]
Entity = Annotated[str, typer.Argument(metavar="ENTITY", help="customer, payee, device or ip.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="cus_…, mer_…, a device's name, an address.")]
Why = Annotated[str, typer.Option(help="Kept with it: a ticket, a case; no personal data.")]


@app.command("list")
def listed(*, json: Json = False) -> None:
    """Show the entries in force, the newest first.

    Example: till risk lists list
    """
    found = run(_listed())
    if json:
        say_json([_entry(each) for each in found])
    elif not found:
        say("The lists are empty.")
    else:
        rows = [
            [
                each.list,
                each.entity,
                each.key,
                f"{each.until:%Y-%m-%d %H:%M}" if each.until else "–",
                each.author,
                each.reason,
            ]
            for each in found
        ]
        say_table(["list", "entity", "key", "until (UTC)", "by", "reason"], rows)


@app.command()
def add(
    list_: List,
    entity: Entity,
    key: Key,
    until: Annotated[str | None, typer.Option(help="90m, 24h, 7d, or a moment; trust must end.")] = None,
    reason: Why = "",
    *,
    json: Json = False,
) -> None:
    """Put one on a list: block refuses its payments, trust lets them pass all rules, watch is a feature that rules read.

    It decides within two seconds. A block goes before trust.

    Example: till risk lists add block device phone-77 --until 7d --reason "case 4711"
    """
    now = _clock.now()
    entry = Listing(
        list_,
        entity,
        key_of(entity, key),
        end_of(until, now),
        reason_of(reason, needed=True),
        own_handle(),
        now,
    )
    run(_add(entry))
    if json:
        say_json(_entry(entry))
    else:
        end = f" until {entry.until:%Y-%m-%d %H:%M} UTC" if entry.until else ""
        say(f"{entity} {key} is on the {list_} list{end}.")


@app.command()
def end(list_: List, entity: Entity, key: Key, reason: Why = "", *, json: Json = False) -> None:
    """Take one off a list. Exit code 1 if it is not on it.

    Example: till risk lists end block device phone-77 --reason "case 4711 closed"
    """
    done = run(_end(list_, entity, key_of(entity, key), reason_of(reason, needed=True)))
    if json:
        say_json({"ended": done})
    else:
        say(
            f"{entity} {key} is off the {list_} list."
            if done
            else f"{entity} {key} is not on the {list_} list."
        )
    raise typer.Exit(0 if done else FOUND)


async def _listed() -> list[Listing]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli lists") as tx:
        return await risk.listings(tx, _clock.now())


async def _add(entry: Listing) -> None:
    async with opened(settings(), size=1) as (store, _), store.tx("cli list add") as tx:
        await risk.put_on_list(tx, entry, _clock)


async def _end(list_: str, entity: str, key: str, reason: str) -> bool:
    async with opened(settings(), size=1) as (store, _), store.tx("cli list end") as tx:
        return await risk.take_off_list(tx, list_, entity, key, own_handle(), reason, _clock)


def _entry(each: Listing) -> dict[str, Any]:
    return {
        "list": each.list,
        "entity": each.entity,
        "key": each.key,
        "until": each.until,
        "reason": each.reason,
        "author": each.author,
        "at": each.at,
    }

"""Declared features: list, show, add, retire."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tillkeeper import risk
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.results import Refused
from tillkeeper.faces.cli.links import ACTOR
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CliError, Json, say, say_json, say_table
from tillkeeper.risk import declared, models
from tillkeeper.store import Tx
from tillkeeper.store.opening import opened

app = typer.Typer()
features = typer.Typer(
    no_args_is_help=True, help="What rules and models may read: declared once, computed everywhere."
)
app.add_typer(features, name="features")
_clock = SystemClock()
Chinese = Annotated[bool, typer.Option("--zh", help="Meanings in Chinese.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A feature's name.")]


@features.command("list")
def list_(
    *,
    mine: Annotated[bool, typer.Option("--mine", help="Only what this installation declared.")] = False,
    zh: Chinese = False,
    json: Json = False,
) -> None:
    """List everything a rule or a model may read.

    Example: till risk features list --mine
    """
    known, own = run(_known())
    names = [name for name in known if not mine or name in own]
    if json:
        say_json([_as_dict(known[name], own.get(name)) for name in names])
        return
    rows = [
        (one.name, one.unit.value, "here" if name in own else "package", one.zh if zh else one.en)
        for name in names
        for one in [known[name]]
    ]
    if rows:
        say_table(["feature", "unit", "from", "meaning"], rows)
    else:
        say("This installation declared no features: till risk features add FILE.")


@features.command()
def show(name: Name, *, zh: Chinese = False, json: Json = False) -> None:
    """Show how a feature is declared, and the SQL it is over history.

    Example: till risk features show payee_risk_7d
    """
    known, own = run(_known())
    if name not in known:
        raise CliError(f"there is no feature {name[:60]!r}", "till risk features list")
    one = known[name]
    if json:
        say_json(_as_dict(one, own.get(name)) | {"sql": _sql(known, name)})
        return
    say(f"{name}: {one.zh if zh else one.en}")
    for key, value in _as_dict(one, own.get(name)).items():
        if value and key not in {"name", "zh", "en"}:
            say(f"  {key} = {value}")
    say("\nDuckDB:")
    for statement in _sql(known, name):
        say(f"{statement};")


@features.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Declarations: TOML, under [[feature]].")],
    *,
    json: Json = False,
) -> None:
    """Declare features. The api fills them from history beside the running decisions; until then they are unknown.

    What a declaration is made of: docs/reference/features.md. It is never changed afterwards: retire it, declare another.

    Example: till risk features add usual_hours.toml
    """
    try:
        source = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(
            f"{file} cannot be read: {error}", "give a file of declarations, TOML in UTF-8"
        ) from error
    try:
        made = run(_add(source, file.name))
    except risk.BadDeclarationsError as error:
        raise CliError(str(error), "docs/reference/features.md says how a feature is declared") from error
    except Refused as error:
        raise CliError(str(error), "till risk features list --mine") from error
    if json:
        say_json([one.name for one in made])
        return
    for one in made:
        say(f"{one.name} is declared: {one.en}")
    say("Once something in force reads it, the api fills it from history; it is unknown (NaN) until then.")


@features.command()
def retire(
    name: Name,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail.")],
    json: Json = False,
) -> None:
    """Compute a feature no longer. What read it in the past is explained as ever: receipts hold their values.

    Example: till risk features retire usual_hours --reason "nothing reads it"
    """
    try:
        run(_retire(name, reason))
    except Refused as error:
        raise CliError(str(error), "till risk features list --mine") from error
    if json:
        say_json({"retired": name})
    else:
        say(f"{name} is retired. The same declaration brings it back.")


async def _known() -> tuple[risk.Catalogue, dict[str, declared.Declared]]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli features") as tx:
        found = await declared.declared(tx)
        return await declared.catalogue(tx), {one.name: one for one in found if one.computed}


async def _add(source: str, name: str) -> tuple[risk.Declaration, ...]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli add features") as tx:
        return await declared.add(tx, source, name, ACTOR, _clock.now())


async def _retire(name: str, reason: str) -> None:
    async with opened(settings(), size=1) as (store, _), store.tx("cli retire feature") as tx:
        known = await declared.catalogue(tx)
        await models.registry.check_unread(tx, name, known)
        await declared.retire(tx, name, ACTOR, reason, _clock.now(), await _used(tx, known))


async def _used(tx: Tx, known: risk.Catalogue) -> set[str]:
    """Every feature that rules in force read."""
    used = set[str]()
    for active in await risk.activations(tx, 1):
        rules = risk.read_rules(active.source, "rules in force", known)
        used |= {*rules.features, *rules.login_features}
    return used


def _sql(known: risk.Catalogue, name: str) -> list[str]:
    return list(declared.create(declared.compile_to(declared.DUCKDB, known, [name], settings().timezone)))


def _as_dict(one: risk.Feature, own: declared.Declared | None) -> dict[str, Any]:
    what = one.declaration
    assert what is not None
    found: dict[str, Any] = {
        "name": one.name, "version": what.version, "unit": one.unit.value, "zh": one.zh, "en": one.en,
        "entity": what.entity, "event": what.event if what.aggregate else "", "aggregate": what.aggregate,
        "of": what.of, "window": what.window, "delay_s": what.delay_us // 1_000_000, "frauds": what.frauds,
        "past": what.past, "where": what.where.source if what.where else "",
        "value": what.value.source if what.value else "",
    }  # fmt: skip
    if own is not None:
        found |= {"author": own.author, "at": own.at}
    return found

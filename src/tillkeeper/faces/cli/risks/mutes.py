"""Mutes: rules that are silent for a while, for everybody or for one. Their hits stay on the receipts."""

from typing import Annotated

import typer

from tillkeeper import risk
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import in_tx, run
from tillkeeper.faces.cli.output import CliError, Json, say, say_json, say_table
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
from tillkeeper.risk import Mute
from tillkeeper.store import Tx

app = typer.Typer(no_args_is_help=True, help="Rules that are silent for a while; their hits are still noted.")
_clock = SystemClock()

RuleName = Annotated[str, typer.Argument(metavar="RULE", help="The rule's name.")]
Entity = Annotated[str, typer.Option("--entity", help=f"{ENTITY_HELP}; unset: for everybody.")]
Key = Annotated[str, typer.Option("--key", help=KEY_HELP)]


@app.command("list")
def listed(*, json: Json = False) -> None:
    """Show which rules are silent, for whom and until when.

    Example: till risk mutes list
    """
    found = run(in_tx("cli mutes", lambda tx: risk.mutes(tx, _clock.now())))
    if json:
        say_json(found)
    elif not found:
        say("No rule is muted.")
    else:
        rows = [
            [
                each.rule,
                f"{each.entity} {each.key}".strip() or "everybody",
                until_text(each.until),
                each.author,
                each.reason,
            ]
            for each in found
        ]
        say_table(["rule", "for", "until (UTC)", "by", "reason"], rows)


@app.command()
def add(
    rule: RuleName,
    until: Annotated[str, typer.Option(help=f"{UNTIL_HELP}.")],
    reason: Why = "",
    entity: Entity = "",
    key: Key = "",
    *,
    json: Json = False,
) -> None:
    """Silence a rule for a while. It decides nothing from within two seconds on, and its hits stay on the receipts.

    Example: till risk mutes add busy_device --until 24h --entity device --key kiosk-3 --reason "a kiosk, ticket 12"
    """
    now = _clock.now()
    end, why = end_of("--until", until, now), reason_of(reason, needed=True)
    wanted = Mute(rule, entity, _key(entity, key), end, why, own_handle(), now)
    run(in_tx("cli mute", lambda tx: _mute(tx, wanted)))
    if json:
        say_json(wanted)
    else:
        say(f"{rule} is silent until {until_text(end)} UTC.")


@app.command()
def end(rule: RuleName, reason: Why = "", entity: Entity = "", key: Key = "", *, json: Json = False) -> None:
    """Let a rule speak again. Exit code 1 if it is not silent.

    Example: till risk mutes end busy_device --entity device --key kiosk-3 --reason "the kiosk is gone"
    """
    named, why = _key(entity, key), reason_of(reason, needed=True)
    ended = run(
        in_tx("cli unmute", lambda tx: risk.unmute(tx, rule, entity, named, own_handle(), why, _clock))
    )
    say_ended(ended=ended, said=f"{rule} speaks again.", otherwise=f"{rule} is not muted.", json=json)


def _key(entity: str, key: str) -> str:
    if bool(entity) != bool(key):
        raise CliError(
            "name both --entity and --key, or neither", "neither: the rule is silent for everybody"
        )
    return key_of(entity, key) if entity else ""


async def _mute(tx: Tx, wanted: Mute) -> None:
    active = await risk.activations(tx, 1)
    known = {rule.name for each in active for rule in risk.stored_rules(each.source).rules}
    if wanted.rule not in known:
        raise CliError(
            f"no rule in force is called {wanted.rule[:60]!r}", "till risk rules list; the console shows them"
        )
    await risk.mute(tx, wanted, _clock)

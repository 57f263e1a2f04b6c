"""Mutes: rules that are silent for a while, for everybody or for one. Their hits stay on the receipts."""

from typing import Annotated, Any

import typer

from tillkeeper import risk
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.risks.reasons import end_of, key_of, reason_of
from tillkeeper.risk import Mute
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, help="Rules that are silent for a while; their hits are still noted.")
_clock = SystemClock()

RuleName = Annotated[str, typer.Argument(metavar="RULE", help="The rule's name.")]
Entity = Annotated[str, typer.Option("--entity", help="customer, payee, device or ip; unset: for everybody.")]
Key = Annotated[str, typer.Option("--key", help="cus_…, mer_…, a device's name, an address.")]
Why = Annotated[str, typer.Option(help="Kept with it: a ticket, a case; no personal data.")]


@app.command("list")
def listed(*, json: Json = False) -> None:
    """Show which rules are silent, for whom and until when.

    Example: till risk mutes list
    """
    found = run(_listed())
    if json:
        say_json([_mute(each) for each in found])
    elif not found:
        say("No rule is muted.")
    else:
        rows = [
            [
                each.rule,
                f"{each.entity} {each.key}".strip() or "everybody",
                f"{each.until:%Y-%m-%d %H:%M}",
                each.author,
                each.reason,
            ]
            for each in found
        ]
        say_table(["rule", "for", "until (UTC)", "by", "reason"], rows)


@app.command()
def add(
    rule: RuleName,
    until: Annotated[str, typer.Option(help="90m, 24h, 7d, or a moment.")],
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
    wanted = Mute(
        rule,
        entity,
        _key(entity, key),
        end_of(until, now) or now,
        reason_of(reason, needed=True),
        own_handle(),
        now,
    )
    run(_add(wanted))
    if json:
        say_json(_mute(wanted))
    else:
        say(f"{rule} is silent until {wanted.until:%Y-%m-%d %H:%M} UTC.")


@app.command()
def end(rule: RuleName, reason: Why = "", entity: Entity = "", key: Key = "", *, json: Json = False) -> None:
    """Let a rule speak again. Exit code 1 if it is not silent.

    Example: till risk mutes end busy_device --entity device --key kiosk-3 --reason "the kiosk is gone"
    """
    done = run(_end(rule, entity, _key(entity, key), reason_of(reason, needed=True)))
    if json:
        say_json({"ended": done})
    else:
        say(f"{rule} speaks again." if done else f"{rule} is not muted.")
    raise typer.Exit(0 if done else FOUND)


def _key(entity: str, key: str) -> str:
    if bool(entity) != bool(key):
        raise CliError(
            "name both --entity and --key, or neither", "neither: the rule is silent for everybody"
        )
    return key_of(entity, key) if entity else ""


async def _listed() -> list[Mute]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli mutes") as tx:
        return await risk.mutes(tx, _clock.now())


async def _add(wanted: Mute) -> None:
    async with opened(settings(), size=1) as (store, _), store.tx("cli mute") as tx:
        active = await risk.activations(tx, 1)
        known = {rule.name for each in active for rule in risk.stored_rules(each.source).rules}
        if wanted.rule not in known:
            raise CliError(
                f"no rule in force is called {wanted.rule[:60]!r}",
                "till risk rules list; the console shows them",
            )
        await risk.mute(tx, wanted, _clock)


async def _end(rule: str, entity: str, key: str, reason: str) -> bool:
    async with opened(settings(), size=1) as (store, _), store.tx("cli unmute") as tx:
        return await risk.unmute(tx, rule, entity, key, own_handle(), reason, _clock)


def _mute(each: Mute) -> dict[str, Any]:
    return {
        "rule": each.rule,
        "entity": each.entity,
        "key": each.key,
        "until": each.until,
        "reason": each.reason,
        "author": each.author,
        "at": each.at,
    }

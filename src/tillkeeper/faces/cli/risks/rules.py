"""Rules: what is in force, proposals, activation by two people."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tillkeeper import access, risk
from tillkeeper.access import Asker
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.risks import listings, mutes
from tillkeeper.faces.cli.risks.backtest import show as show_report
from tillkeeper.faces.cli.risks.reasons import reason_of
from tillkeeper.faces.rule_deeds import ACTIVATE, change_of
from tillkeeper.risk import BadRulesError, EngineState, Proposal, backtest
from tillkeeper.risk.backtest import Asked
from tillkeeper.store import Store
from tillkeeper.store.opening import opened

app = typer.Typer()
_rules = typer.Typer(
    no_args_is_help=True, help="What decides: propose rules, look at them, put them in force."
)
app.add_typer(_rules, name="rules")
app.add_typer(listings.app, name="lists")
app.add_typer(mutes.app, name="mutes")

_clock = SystemClock()
_POLL_SECONDS = 1.0
Which = Annotated[str, typer.Argument(metavar="ID", help="The proposal: rpr_01k…")]


@_rules.command("list")
def listed(*, json: Json = False) -> None:
    """Say which rules are in force, since when and by whom, and what is proposed. Exit code 1 if the api could not take them.

    Example: till risk rules list
    """
    active, proposals, engine, trips = run(_standing())
    if json:
        say_json(
            {
                "active": _activation(active[0]) if active else None,
                "engine": engine,
                "proposals": [_proposal(each) for each in proposals],
                "breakers": [
                    {"rule": trip.rule, "hits": trip.hits, "at_us": trip.at_us} for trip, _ in trips
                ],
            }
        )
    else:
        _show_standing(active, proposals, engine, trips)
    raise typer.Exit(FOUND if engine and engine.faults else 0)


@_rules.command()
def check(file: Annotated[Path, typer.Argument(help="A rules file.")], *, json: Json = False) -> None:
    """Check a rules file without keeping it: every fault with its line. Exit code 1 if there is any.

    Example: till risk rules check mine.toml
    """
    try:
        rules = risk.read_rules(_text(file), file.name)
    except BadRulesError as error:
        if json:
            say_json({"good": False, "faults": error.faults})
        else:
            say(str(error))
        raise typer.Exit(FOUND) from None
    if json:
        say_json({"good": True, "rules": len(rules.rules)})
    else:
        say(f"{file.name}: {len(rules.rules)} rules over {len(rules.features)} features. Nothing is wrong.")


@_rules.command()
def propose(
    file: Annotated[Path, typer.Argument(help="The whole rule set, a TOML file.")],
    reason: Annotated[str, typer.Option(help="What they are to change, and why; kept with them.")] = "",
    *,
    json: Json = False,
) -> None:
    """Keep a rule set that is to come into force. It decides nothing until it was tried on history and two people agree.

    Example: till risk rules propose mine.toml --reason "card testing on the 21st"
    """
    text, why = _text(file), reason_of(reason)
    try:
        made = run(_propose(text, why))
    except BadRulesError as error:
        raise CliError(
            f"the rules cannot be used:\n{error}", "mend these lines; till risk rules check"
        ) from error
    public = risk.proposal_id(made.id)
    if json:
        say_json(_proposal(made))
    else:
        say(f"{public} is kept: rule set {made.rule_set}, in place of {made.base}.")
        say(
            f"The agent tries it on history: till risk rules show {public}; then till risk rules activate {public}"
        )


@_rules.command()
def show(
    which: Which,
    *,
    text: Annotated[bool, typer.Option("--text", help="The rules themselves.")] = False,
    json: Json = False,
) -> None:
    """Show a proposal: who wants it and why, what it changes, and the backtest.

    Example: till risk rules show rpr_01k… --text
    """
    found, base, tried = run(_one(which))
    changes = _changes(found, base)
    if json:
        told = {
            "changes": changes,
            "report": tried and tried.report,
            "source": found.source if text else None,
        }
        say_json(_proposal(found) | told)
        return
    say(f"{risk.proposal_id(found.id)}  rule set {found.rule_set}, made from {found.base}")
    say(f"by {found.author}, {found.at:%Y-%m-%d %H:%M} UTC: {found.reason or 'no reason given'}")
    say(_state(found))
    for each in changes:
        say(f"  {each}")
    _show_backtest(tried)
    if text:
        say()
        say(found.source)


@_rules.command()
def activate(
    which: Which,
    reason: Annotated[str, typer.Option(help="For whoever is to agree.")] = "",
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is in force.")] = True,
    json: Json = False,
) -> None:
    """Ask a second person to put a proposal in force; from their yes on it decides everywhere within two seconds.

    Ctrl-C leaves the question standing: the same command finds it again.

    Example: till risk rules activate rpr_01k…
    """
    done = run(_activate(which, reason_of(reason), settings(), wait=wait, quiet=json))
    if json:
        say_json(_proposal(done))
    elif done.active_since is not None:
        say(f"Rule set {done.rule_set} is in force since {done.active_since:%Y-%m-%d %H:%M:%S} UTC.")


async def _standing() -> tuple[list[risk.Activation], list[Proposal], EngineState | None, list[Any]]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli rules") as tx:
        return (
            await risk.activations(tx, limits.PAGE_DEFAULT),
            await risk.proposals(tx, limits.PAGE_DEFAULT),
            await risk.engine_state(tx),
            await risk.trips(tx, limits.PAGE_DEFAULT),
        )


async def _propose(text: str, reason: str) -> Proposal:
    async with opened(settings(), size=1) as (store, _):
        async with store.tx("cli propose rules") as tx:
            made, known = (
                await risk.propose(tx, text, own_handle(), reason, _clock),
                await risk.has_history(tx),
            )
        if known and made.backtest is None:
            question = await backtest.question_of(store, _clock, text)
            async with store.tx("cli ask backtest") as tx:
                await backtest.ask(tx, question, own_handle(), _clock.now())
        return made


async def _one(which: str) -> tuple[Proposal, str, Asked | None]:
    """A proposal, the text it was made from, and its newest backtest."""
    async with opened(settings(), size=1) as (store, _), store.tx("cli proposal") as tx:
        found = await risk.proposal(tx, _id(which))
        sources = {each.rule_set: each.source for each in await risk.activations(tx, limits.PAGE_MAX)}
        tried = None if found is None else await backtest.of_rules(tx, found.source)
    if found is None:
        raise _unknown(which)
    return found, sources.get(found.base or 0, ""), tried


async def _activate(which: str, reason: str, chosen: Settings, *, wait: bool, quiet: bool) -> Proposal:
    async with opened(chosen, size=1) as (store, _):
        found = await _found(store, which)
        if found.active_since is None:
            where = await _ask(store, found, reason, chosen)
            if not quiet:
                say(f"A second person must agree, here: {where}")
            while wait and found.active_since is None:
                await asyncio.sleep(_POLL_SECONDS)
                found = await _found(store, which)
                if found.active_since is None:
                    await _ask(store, found, reason, chosen)  # refused, or void: this says so
        return found


async def _found(store: Store, which: str) -> Proposal:
    async with store.tx("cli proposal") as tx:
        found = await risk.proposal(tx, _id(which))
    if found is None:
        raise _unknown(which)
    return found


async def _ask(store: Store, found: Proposal, reason: str, chosen: Settings) -> str:
    """Ask, or find the question that waits; where it is answered. Raises CliError when it cannot be asked."""
    asker = Asker(own_handle(), None, "cli")
    async with store.tx("cli activate rules") as tx:
        said = await access.approvals.ask(tx, ACTIVATE, change_of(found), asker, _clock, reason)
    if isinstance(said, Refusal):
        raise CliError(said.title, said.detail)
    return f"{chosen.console_address}/approvals#{access.approvals.approval_id(said)}"


def _show_standing(
    active: list[risk.Activation], proposals: list[Proposal], engine: EngineState | None, trips: list[Any]
) -> None:
    if not active:
        say("No rules are in force yet: they come with the first start of the api.")
    for each in active[:1]:
        count = len(risk.stored_rules(each.source).rules)
        say(
            f"Rule set {each.rule_set}, {count} rules, is in force since {_when(each.at)} UTC, by {each.origin} ({each.author})."
        )
    if engine is not None:
        say(
            f"The api decides by configuration {engine.configuration} (rule set {engine.rule_set}), since {_when(engine.since)} UTC."
        )
        for fault in engine.faults:
            say(f"  wrong: {fault}")
    if proposals:
        rows = [
            [
                risk.proposal_id(each.id),
                str(each.rule_set),
                each.author,
                _when(each.at),
                _state(each),
                each.reason,
            ]
            for each in proposals
        ]
        say_table(["proposal", "rule set", "by", "at (UTC)", "state", "reason"], rows)
    if trips:
        rows = [
            [trip.rule, str(rule_set), str(trip.hits), f"{trip.at_most} in {trip.within_us // 1_000_000} s"]
            for trip, rule_set in trips
        ]
        say("Circuit breakers that opened, the newest first: these rules were weakened to a challenge.")
        say_table(["rule", "rule set", "hits", "at most"], rows, figures=["hits"])


def _show_backtest(tried: Asked | None) -> None:
    if tried is None:
        return
    say()
    if tried.report is not None:
        show_report(tried.report)
    else:
        say(f"Its backtest is {tried.state}, {tried.share:.0%} done. {tried.said}".rstrip())


def _state(found: Proposal) -> str:
    if found.active:
        return "in force"
    if found.active_since is not None:
        return f"was in force from {_when(found.active_since)}"
    return "backtest done, waits for two people" if found.backtest else "to be tried on history first"


def _changes(found: Proposal, base: str) -> list[str]:
    """What a proposal changes of the rules it was made from, a line a rule."""
    before = {rule.name: rule for rule in risk.stored_rules(base).rules} if base else {}
    after = {rule.name: rule for rule in risk.stored_rules(found.source).rules}
    said = [
        f"+ {name}: {rule.outcome} when {rule.when}" for name, rule in after.items() if name not in before
    ]
    said += [f"- {name}" for name in before if name not in after]
    for name, rule in after.items():
        old = before.get(name)
        if old is not None and _terms(old) != _terms(rule):
            said.append(f"~ {name}: {rule.outcome} when {rule.when} (was: {old.outcome} when {old.when})")
    return said


def _terms(rule: risk.Rule) -> tuple[object, ...]:
    return rule.outcome, rule.when, rule.on, rule.shadow, rule.until_us, rule.at_most, rule.zh, rule.en


def _proposal(found: Proposal) -> dict[str, Any]:
    return {
        "id": risk.proposal_id(found.id),
        "rule_set": found.rule_set,
        "base": found.base,
        "author": found.author,
        "reason": found.reason,
        "at": found.at,
        "sha256": found.sha256.hex(),
        "backtest": found.backtest,
        "active_since": found.active_since,
        "active": found.active,
    }


def _activation(found: risk.Activation) -> dict[str, Any]:
    return {"rule_set": found.rule_set, "at": found.at, "origin": found.origin, "author": found.author}


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > limits.MAX_RULES_TEXT:
            raise CliError(f"{file} is longer than {limits.MAX_RULES_TEXT} bytes", "is it a rules file?")
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{file} cannot be read: {error}", "check the path") from error


def _id(which: str) -> Any:
    try:
        return from_typeid(risk.PROPOSAL_PREFIX, which)
    except BadIdError:
        raise _unknown(which) from None


def _unknown(which: str) -> CliError:
    return CliError(f"there is no proposal {which[:60]!r}", "till risk rules list shows them")

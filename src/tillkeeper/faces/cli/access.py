"""`till access why|check`: which policy decides, and whether the policies can be used."""

from typing import Annotated
from uuid import UUID

import typer

from tillkeeper import access
from tillkeeper.access import HOUSE, Policies, PolicyError, Thing, Verdict, Who
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json
from tillkeeper.store import Tx
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def rights() -> None:
    """Say which policy lets somebody do something, or which would."""


@app.command()
def why(
    who: Annotated[str, typer.Argument(metavar="PERSON", help="A person's handle, or an API key: key_…")],
    action: Annotated[str, typer.Argument(help="What they want to do, like payment.review.")],
    resource: Annotated[
        str | None,
        typer.Argument(
            help="To what: apr_…, grt_…, a session's id, a person; not needed for what is nobody's own."
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Name the policy that decides. Denied by none means: nothing permits it. Exit code 1 if it is denied.

    Example: till access why anna payment.review pay_01k…
    """
    found = _policies()
    if action not in found.actions:
        near = ", ".join(sorted(each for each in found.actions if each.partition(".")[0] in action))
        raise CliError(
            f"there is no action {action}", f"there are: {near or ', '.join(sorted(found.actions))}"
        )
    actor, thing = run(_parties(who, next(iter(found.actions[action])), resource))
    verdict = found.judge(actor, action, thing)
    others = found.permitting(actor.kind, action, thing) if not verdict.allowed else []
    if json:
        would = [{"policy": policy, "takes": group} for policy, group in others]
        say_json({"allowed": verdict.allowed, "by": verdict.by, "would_permit": would})
    else:
        _tell(actor, action, verdict, others)
    raise typer.Exit(0 if verdict.allowed else FOUND)


@app.command()
def check(*, json: Json = False) -> None:
    """Check the policies against their schema, as every start does; and print their hash.

    Example: till access check
    """
    found = _policies()
    if json:
        say_json({"policies": sorted(found.names), "actions": sorted(found.actions), "sha256": found.digest})
    else:
        say(f"{len(found.names)} policies about {len(found.actions)} actions fit the schema: {found.digest}")


def _policies() -> Policies:
    try:
        return access.policies()
    except PolicyError as error:
        raise CliError(str(error), "mend src/tillkeeper/access/policies") from error


async def _parties(who: str, kind: str, resource: str | None) -> tuple[Who, Thing]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli access why") as tx:
        return await _actor(tx, who), await _thing(tx, kind, resource)


async def _actor(tx: Tx, who: str) -> Who:
    if who.startswith("key_"):
        key_id = _id("key", who)
        found = next((key for key in await access.list_keys(tx) if key.id == key_id), None)
        if found is None:
            raise CliError(f"there is no key {who}", "till keys list shows them")
        return Who("Service", found.name, frozenset(found.scopes))
    person = await access.person(tx, who)
    if person is None:
        raise CliError(f"{who} is nobody here", "till people list shows who is")
    return Who("Person", person.person, person.roles)


async def _thing(tx: Tx, kind: str, resource: str | None) -> Thing:
    """What an action is about. Payments, customers and the like are nobody's own: all of them are the house."""
    if kind == HOUSE.kind:
        return HOUSE
    if resource is None:
        raise CliError(f"the action is about a {kind}", "name it")
    if kind == "Person":
        return access.somebody(resource)
    if kind == "Approval" and (approval := await access.approvals.find(tx, _id("apr", resource))):
        return access.approvals.thing(approval)
    if kind == "Grant" and (grant := await access.grants.find_grant(tx, _id("grt", resource))):
        return access.grants.thing(grant)
    if kind == "Session":
        for session in await access.list_sessions(tx, SystemClock()):
            if session.id == resource:
                return access.own_session(session.id, session.person)
    raise CliError(f"there is no {kind} {resource}")


def _id(prefix: str, text: str) -> UUID:
    try:
        return from_typeid(prefix, text)
    except BadIdError as error:
        raise CliError(str(error)) from error


def _tell(actor: Who, action: str, verdict: Verdict, others: list[tuple[str, str]]) -> None:
    groups = ", ".join(sorted(actor.groups)) or "nothing"
    say(f"{actor.name} ({groups}), {action}: {'allowed' if verdict.allowed else 'denied'}.")
    if verdict.by:
        say(f"{'Permitted' if verdict.allowed else 'Forbidden'} by: {'; '.join(verdict.by)}")
    elif not verdict.allowed:
        say("No policy permits it, and what none permits is denied.")
    for policy, group in others:
        say(f"  it would take {group}: {policy}")

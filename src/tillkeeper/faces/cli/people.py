"""`till people list|invite|roles|suspend|sessions`: the team, for whoever has this machine's shell."""

from typing import Annotated

import typer

from tillkeeper import access
from tillkeeper.access import Person, Session
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.limits import INVITATION_SECONDS
from tillkeeper.base.results import refuse
from tillkeeper.faces.cli.links import ACTOR, ORIGIN, link_to
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import Json, say, say_json, say_table
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()

Handle = Annotated[str, typer.Argument(metavar="PERSON", help="The person's handle.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help=f"Repeatable: {', '.join(access.ROLES)}.")]


@app.callback()
def people() -> None:
    """List the team; invite, change roles, suspend, sign out."""


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List everybody with roles and state, and who lacks a second factor.

    Example: till people list --json
    """
    found, bare = run(_list())
    if json:
        say_json({"data": [_public(each) | {"second_factor": each.person not in bare} for each in found]})
        return
    rows = [
        [
            each.person,
            each.name,
            ", ".join(_ordered(each)) or "-",
            each.state,
            "none" if each.person in bare else "yes",
        ]
        for each in found
    ]
    say_table(["handle", "name", "roles", "state", "second factor"], rows)


async def _list() -> tuple[list[Person], set[str]]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli list people") as tx:
        return await access.people(tx), set(await access.people_without_second_factor(tx))


@app.command()
def invite(
    person: Annotated[str, typer.Argument(help="The handle: names them in the audit trail, for ever.")],
    role: Roles = None,
    name: Annotated[str, typer.Option(help="What colleagues call them; unset: the handle.")] = "",
    *,
    json: Json = False,
) -> None:
    """Make somebody new and print the link that lets them in once, within three days.

    Example: till people invite anna --role risk_analyst --name "Anna Schmidt"
    """
    url = run(_invite(person, name, role or []))
    if json:
        say_json({"person": person, "roles": sorted(role or []), "url": url})
        return
    say(url)
    say(
        f"Hand it to {name or person} and to nobody else: it works once, within {INVITATION_SECONDS // 86400} days."
    )


async def _invite(person: str, name: str, roles: list[str]) -> str:
    chosen = settings()
    async with opened(chosen, size=1) as (store, _), store.tx("cli invite") as tx:
        await access.add_person(tx, person, name, roles, _clock, actor=ACTOR, origin=ORIGIN)
        token = await access.sign_in_link(tx, person, _clock, actor=ACTOR, origin=ORIGIN, invitation=True)
    return link_to(chosen, token)


@app.command()
def roles(person: Handle, role: Roles = None, *, json: Json = False) -> None:
    """Make a person be exactly these roles, from their next click on; without --role none.

    In the console this takes a second person. Here whoever has the shell decides; the audit trail says so.

    Example: till people roles anna --role operator --role support
    """
    changed = run(_roles(person, role or []))
    if json:
        say_json(_public(changed))
    else:
        say(f"{person} is: {', '.join(_ordered(changed)) or 'nothing'}.")


async def _roles(person: str, wanted: list[str]) -> Person:
    async with opened(settings(), size=1) as (store, _), store.tx("cli roles") as tx:
        return await access.set_roles(tx, person, wanted, ACTOR, origin=ORIGIN)


@app.command()
def suspend(
    person: Handle,
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.")] = "",
    *,
    lift: Annotated[bool, typer.Option("--lift", help="Let them in again.")] = False,
    json: Json = False,
) -> None:
    """Close the door to a person at once: sessions end, links are void; --lift opens it again.

    Example: till people suspend anna --reason "left the company"
    """
    run(_suspend(person, reason, lift=lift))
    state = "active" if lift else "suspended"
    if json:
        say_json({"person": person, "state": state})
    else:
        say(f"{person} is {state}.")


async def _suspend(person: str, reason: str, *, lift: bool) -> None:
    async with opened(settings(), size=1) as (store, _), store.tx("cli suspend") as tx:
        if lift:
            await access.reinstate(tx, person, actor=ACTOR, origin=ORIGIN, reason=reason)
        else:
            await access.suspend(tx, person, _clock, actor=ACTOR, origin=ORIGIN, reason=reason)


@app.command()
def sessions(
    person: Annotated[str | None, typer.Argument(help="Whose; unset: everybody's.")] = None,
    *,
    end: Annotated[bool, typer.Option("--end", help="Sign this person out everywhere.")] = False,
    json: Json = False,
) -> None:
    """List the browsers that are signed in; with --end sign a person out of all of them.

    Example: till people sessions anna --end
    """
    found = run(_sessions(person, end=end))
    if json:
        say_json({"data": [] if end else [_shown(each) for each in found], "ended": len(found) if end else 0})
    elif end:
        say(f"{person}: {len(found)} sessions ended.")
    else:
        rows = [
            [each.person, each.browser, each.origin, each.opened_by, f"{each.seen_at:%Y-%m-%d %H:%M}"]
            for each in found
        ]
        say_table(["person", "browser", "address", "came in by", "last used (UTC)"], rows)


async def _sessions(person: str | None, *, end: bool) -> list[Session]:
    if end and person is None:
        raise refuse("unknown_person", "name the person whose sessions end")
    async with opened(settings(), size=1) as (store, _), store.tx("cli sessions") as tx:
        found = await access.list_sessions(tx, _clock, person)
        if end and person is not None:
            await access.end_sessions_of(tx, person, _clock, actor=ACTOR, origin=ORIGIN)
        return found


def _ordered(person: Person) -> list[str]:
    return [role for role in access.ROLES if role in person.roles]


def _public(person: Person) -> dict[str, object]:
    return {
        "person": person.person,
        "name": person.name,
        "roles": _ordered(person),
        "state": person.state,
        "created_at": person.created_at,
    }


def _shown(session: Session) -> dict[str, object]:
    return {
        "person": session.person,
        "browser": session.browser,
        "origin": session.origin,
        "opened_by": session.opened_by,
        "created_at": session.created_at,
        "seen_at": session.seen_at,
    }

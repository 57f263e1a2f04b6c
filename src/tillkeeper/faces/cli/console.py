"""`till console link`."""

from typing import Annotated

import typer

from tillkeeper import access
from tillkeeper.faces.cli.links import sign_in_url
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import Json, say, say_json
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def console() -> None:
    """Make a one-time sign-in link for the console."""


@app.command()
def link(
    person: Annotated[
        str | None, typer.Option(help="Who signs in, by handle, as the audit trail names them; unset: you.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help=f"Make a new person with this role, repeatable: {', '.join(access.ROLES)}."),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Print a link that opens the console once, within 15 minutes.

    The first person of all needs no --role and gets every role of daily work.

    Example: till console link --person anna --role risk_analyst
    """
    url = run(_link(person, role or []))
    if json:
        say_json({"url": url})
    else:
        say(url)


async def _link(person: str | None, roles: list[str]) -> str:
    chosen = settings()
    async with opened(chosen, size=1) as (store, _):
        return await sign_in_url(store, chosen, person, roles)

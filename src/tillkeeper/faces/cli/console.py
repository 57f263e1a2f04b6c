"""`till console link`."""

from typing import Annotated

import typer

from tillkeeper.faces.cli.opening import run, settings, sign_in_url
from tillkeeper.faces.cli.output import Json, say, say_json
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def console() -> None:
    """Make a one-time sign-in link for the console."""


@app.command()
def link(
    person: Annotated[
        str | None, typer.Option(help="Who signs in, as the audit trail will name them; unset: you.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Print a link that opens the console once, within 15 minutes.

    Example: till console link --person anna
    """
    url = run(_link(person))
    if json:
        say_json({"url": url})
    else:
        say(url)


async def _link(person: str | None) -> str:
    chosen = settings()
    async with opened(chosen, size=1) as (store, _):
        return await sign_in_url(store, chosen, person)

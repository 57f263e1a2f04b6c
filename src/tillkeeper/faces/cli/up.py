"""`till up`."""

import asyncio

import typer

from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.links import first_link
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import Json, say, say_json
from tillkeeper.faces.cli.platform import platform
from tillkeeper.faces.cli.serve import Tls, with_tls
from tillkeeper.store import Store

app = typer.Typer(add_completion=False)


@app.command()
def up(*, tls: Tls = False, json: Json = False) -> None:
    """Start everything: PostgreSQL, api, console, agent, status page. Ctrl-C stops it.

    A process that dies is started again; one that keeps dying stops everything, with its last words.
    Without TILL_DATABASE_URL the data lie in TILL_HOME (./.till).

    Example: till up
    """
    try:
        run(_up(with_tls(settings(), asked=tls), json=json))
    except KeyboardInterrupt:
        if not json:
            say("Everything is stopped.")


async def _up(chosen: Settings, *, json: bool) -> None:
    async with platform(chosen) as running:
        async with Store.opened(running.urls.app, size=1) as store:
            link = await first_link(store, chosen)
        if json:
            say_json(
                {
                    "api": running.api_url,
                    "console": running.console_url,
                    "status": running.status_url,
                    "sign_in": link,
                    "logs": str(running.logs),
                }
            )
        else:
            say(f"Console  {link or chosen.console_address}")
            once = "signs you in once, within 15 minutes; till console link makes another"
            say(f"         ({once if link else 'till console link --person NAME makes a link'})")
            say(f"API      {running.api_url}   (till keys create NAME makes a key)")
            say(f"Status   {running.status_url}   (for everybody)")
            say(f"Logs     {running.logs}")
            say("Ctrl-C stops everything.")
        await asyncio.Event().wait()

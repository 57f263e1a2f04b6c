"""`till migrate`."""

import typer

from tillkeeper import store
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import Json, say, say_json
from tillkeeper.store.opening import database

app = typer.Typer(add_completion=False)


@app.command()
def migrate(*, json: Json = False) -> None:
    """Bring the database schema up to date.

    Safe while others run: each file is one transaction with a lock timeout, and two that start together take turns.

    Example: till migrate
    """
    applied = run(_migrate())
    if json:
        say_json({"applied": applied})
        return
    for name in applied:
        say(f"applied {name}")
    say("The schema is up to date.")


async def _migrate() -> list[str]:
    async with database(settings()) as urls:
        return await store.migrate(urls.admin)

"""`till migrate`."""

import typer

from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import Json, say, say_json
from tillkeeper.faces.cli.schema import UpToDate, bring_up_to_date
from tillkeeper.store.opening import database

app = typer.Typer(add_completion=False)


@app.command()
def migrate(*, json: Json = False) -> None:
    """Bring the database up to date: its schema, and what is in it from before it could be sealed.

    Safe while others run: each file is one transaction with a lock timeout, and two that start together take turns. Killed,
    it goes on where it was left. In a database that was restored from an older copy, customers who were erased since are
    erased again.

    Example: till migrate
    """
    done = run(_migrate())
    if json:
        say_json(done)
        return
    for name in done.applied:
        say(f"applied {name}")
    if done.sealed:
        say(f"sealed {done.sealed:,} rows that stood in the clear; copies made before still have them")
    if not done.rewritten:
        say("their old bytes are still in the tables' files: VACUUM FULL them in a quiet hour")
    for customer in done.erased_again:
        say(f"erased {customer} again, as the register of erasures says")
    say("The database is up to date.")


async def _migrate() -> UpToDate:
    chosen = settings()
    async with database(chosen) as urls:
        return await bring_up_to_date(chosen, urls)

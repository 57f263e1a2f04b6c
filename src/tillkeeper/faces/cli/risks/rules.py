"""Rules: propose, put in force, lists, mutes."""

import typer

app = typer.Typer()

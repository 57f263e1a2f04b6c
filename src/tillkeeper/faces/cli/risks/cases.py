"""Cases: the queue, claims, decisions."""

import typer

app = typer.Typer()

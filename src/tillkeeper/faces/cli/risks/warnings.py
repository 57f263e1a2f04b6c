"""Early warning: signals, attacks, proposed rules."""

import typer

app = typer.Typer()

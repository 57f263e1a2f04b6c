"""The published protocols, run."""

import typer

app = typer.Typer()

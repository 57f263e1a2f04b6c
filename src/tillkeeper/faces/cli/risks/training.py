"""Models: train, challenge, promote, retire."""

import typer

app = typer.Typer()

"""Declared features."""

import typer

app = typer.Typer()

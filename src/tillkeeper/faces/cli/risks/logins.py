"""Logins and what was thought of them."""

import typer

app = typer.Typer()

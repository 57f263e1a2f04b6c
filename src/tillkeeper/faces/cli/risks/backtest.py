"""The live evaluator over history."""

import typer

app = typer.Typer()

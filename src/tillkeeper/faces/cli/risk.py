"""`till risk`: rules, features, models, backtests, logins, early warning, cases."""

import typer

from tillkeeper.faces.cli.risks import backtest, cases, evaluate, features, logins, rules, training, warnings

app = typer.Typer(no_args_is_help=True)

for part in (rules, features, training, evaluate, backtest, logins, warnings, cases):
    app.registered_commands += part.app.registered_commands
    app.registered_groups += part.app.registered_groups


@app.callback()
def risk() -> None:
    """Risk: rules, features, models, backtests, logins, early warning, cases."""

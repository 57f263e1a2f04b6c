"""`till`: finds the command, loads its file only, and turns what goes wrong into a sentence and an exit code.

Exit codes: 0 done · 1 done, and found something wrong (books differ, doctor found a fault) · 2 could not be done.
"""

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from tillkeeper.base.discretion import DiscreetFormatter
from tillkeeper.faces.cli.output import CANNOT, CliError, complain

log = logging.getLogger(__name__)

COMMANDS: Final[dict[str, str]] = {
    "up": "Start everything: PostgreSQL, api, console, agent, status page. Ctrl-C stops it.",
    "demo": "Start everything and let a city of customers, shops and thieves live in it.",
    "serve": "Start one process: api, console, agent or status.",
    "replay": "Stream a CSV or Parquet file of historic payments through the turn.",
    "bench": "Measure payments, ledger, risk and replay on this machine, beside bare pgbench as the yardstick.",
    "ledger": "Verify the books.",
    "risk": "Risk: rules, features, models, backtests, logins, early warning, cases.",
    "decision": "Explain a risk decision.",
    "access": "Say which policy lets somebody do something, or which would.",
    "console": "Make a one-time sign-in link for the console.",
    "people": "List the team; invite, change roles, suspend, sign out.",
    "keys": "Create, renew, list and revoke API keys; rotate the keys of sealed data.",
    "vault": "Show what every column is, the keys of sealed data, how long rows are kept; delete what is past its time.",
    "alerts": "List alerts; acknowledge and silence them; test the channels; check a rule book.",
    "audit": "Verify, prove and search the audit trail.",
    "report": "Read, verify and review the reports of maintenance runs.",
    "customer": "Erase a customer for good; hold one whom the law wants kept.",
    "plan": "Plan maintenance: write it, check it, have it rehearsed and agreed to, find it a window.",
    "run": "Look at the runs of maintenance plans, and steer the one that is under way.",
    "migrate": "Bring the database up to date: its schema, and what is in it from before it could be sealed.",
    "backup": "Take backups, restore them, and prove that they can be restored.",
    "doctor": "Say what is set, from where, and what is wrong.",
}


class Lazy(TyperGroup):
    """Knows the commands by name and help; the file of a command is imported when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args and args[0] in COMMANDS:
            module = import_module(f"tillkeeper.faces.cli.{args[0]}")
            self.commands[args[0]] = typer.main.get_command(module.app)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Lazy,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps: till up · till keys create shop --scope payments:write · till doctor",
)


@app.callback()
def till() -> None:
    """Tillkeeper: a payment platform that runs with one command and keeps itself in repair."""


def _stand_in() -> None:
    """Stands in the list of commands; Lazy puts the command itself in its place."""


for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(_stand_in)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the program `till`."""
    logging.basicConfig(level=logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(DiscreetFormatter("%(levelname)s %(name)s: %(message)s"))
    try:
        app(arguments, prog_name="till")
    except CliError as error:
        complain(error)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        # Not exit code 1: whoever asks whether the books balance must not read a crash as an answer.
        log.exception("a fault of ours; please report it with the lines above")
        sys.exit(CANNOT)

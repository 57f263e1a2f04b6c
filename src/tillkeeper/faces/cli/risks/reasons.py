"""What several commands of risk are told and say: a reason, whom it is about, until when."""

from datetime import datetime
from typing import Annotated, Final

import typer

from tillkeeper.base import limits
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.faces.cli.output import FOUND, CliError, say, say_json

ENTITIES: Final = ("customer", "payee", "device", "ip")

Why = Annotated[str, typer.Option("--reason", help="Kept with it: a ticket, a case; no personal data.")]
ENTITY_HELP: Final = "customer, payee, device or ip"
KEY_HELP: Final = "cus_…, mer_…, a device's name, an address."
UNTIL_HELP: Final = "90m, 24h, 7d, or a moment"


def reason_of(text: str, *, needed: bool = False) -> str:
    """A reason as given. Raises CliError for one that must not be kept, or is missing."""
    if needed and not text.strip():
        raise CliError("say why: --reason", f"1 to {limits.MAX_TEXT} characters, without personal data")
    if len(text) > limits.MAX_TEXT:
        raise CliError(f"--reason is longer than {limits.MAX_TEXT} characters", "ids and dates say enough")
    if refusal := gossip(text):
        raise CliError(refusal.title, refusal.detail)
    return text.strip()


def key_of(entity: str, text: str) -> str:
    """What a list keeps of an entity that was named. Raises CliError."""
    if entity not in ENTITIES:
        raise CliError(f"{entity[:40]!r} is no entity", f"one of {', '.join(ENTITIES)}")
    if entity in ("device", "ip"):
        return text
    for prefix in ("cus", "mer"):
        try:
            return str(from_typeid(prefix, text))
        except BadIdError:
            continue
    raise CliError(f"{text[:60]!r} is no customer's or merchant's id", "they begin with cus_ or mer_")


def until_text(until: datetime | None) -> str:
    """An end in a table; a dash for none."""
    return f"{until:%Y-%m-%d %H:%M}" if until else "–"


def say_ended(*, ended: bool, said: str, otherwise: str, json: bool) -> None:
    """Whether what should end did, in words or as JSON; exit code 1 if there was nothing to end."""
    if json:
        say_json({"ended": ended})
    else:
        say(said if ended else otherwise)
    raise typer.Exit(0 if ended else FOUND)

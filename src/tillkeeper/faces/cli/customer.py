"""`till customer erase|hold|release-hold`."""

from typing import Annotated
from uuid import UUID

import typer

from tillkeeper import parties, payments
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.limits import MAX_TEXT
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CliError, Json, say, say_json
from tillkeeper.faces.cli.schema import erase_again
from tillkeeper.parties import Register
from tillkeeper.store import StoreUnavailableError, is_transient
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()
_ORIGIN = "cli"

Who = Annotated[str, typer.Argument(help="The customer's id, cus_…")]
Why = Annotated[
    str, typer.Option(help="Kept in the audit trail: a ticket, a letter's date; no personal data.")
]


@app.callback()
def customer() -> None:
    """Erase a customer for good; hold one whom the law wants kept."""


@app.command()
def erase(
    who: Annotated[str | None, typer.Argument(help="The customer's id, cus_…")] = None,
    reason: Why = "",
    *,
    replay: Annotated[
        bool, typer.Option("--replay", help="After a restore: erase again whoever was erased before.")
    ] = False,
    json: Json = False,
) -> None:
    """Destroy a customer's key, name, numbers and index tags, for good. The books stay whole, under an id that leads to nobody.

    Refused while money is in a wallet, payments are under way, or a legal hold is in force. Written down outside the database
    too, so that a restore brings nobody back: `till migrate` and `till up` replay that register, as --replay does.

    Example: till customer erase cus_01k… --reason "request of 2026-11-20, ticket 4711"
    """
    if replay == (who is not None):
        raise CliError("name one customer, or give --replay", "till customer erase cus_… --reason …")
    if replay:
        again = run(_replay())
        if json:
            say_json({"erased_again": again})
        else:
            say(f"{len(again)} customers were erased again." if again else "Nobody had to be erased again.")
        return
    run(_erase(_customer(who or ""), _reason(reason)))
    _tell(json, who or "", "erased")


@app.command()
def hold(who: Who, reason: Why = "", *, json: Json = False) -> None:
    """Place a legal hold: until it is released, erasing this customer is refused.

    Example: till customer hold cus_01k… --reason "court order 12 C 345/26"
    """
    run(_hold(_customer(who), _reason(reason)))
    _tell(json, who, "held")


@app.command("release-hold")
def release_hold(who: Who, reason: Why = "", *, json: Json = False) -> None:
    """Release a legal hold.

    Example: till customer release-hold cus_01k… --reason "case closed 2026-11-20"
    """
    run(_release(_customer(who), _reason(reason)))
    _tell(json, who, "released")


async def _replay() -> list[str]:
    chosen = settings()
    async with opened(chosen, size=1) as (store, _):
        return await erase_again(chosen, store)


async def _erase(who: UUID, reason: str) -> None:
    chosen = settings()
    async with opened(chosen, size=1) as (store, _):
        try:
            async with store.tx("cli erase") as tx:
                register = Register(chosen.key_folder)
                done = await payments.erase_customer(
                    tx, register, who, reason, _clock, actor=own_handle(), origin=_ORIGIN
                )
        except Exception as error:
            if isinstance(error, StoreUnavailableError) or not is_transient(error):
                raise
            raise CliError(
                "payments are under way that do not end, or the database is away", "try again"
            ) from error
    _unless_refused(done)


async def _hold(who: UUID, reason: str) -> None:
    async with opened(settings(), size=1) as (store, _), store.tx("cli hold") as tx:
        done = await parties.place_hold(tx, who, reason, _clock, actor=own_handle(), origin=_ORIGIN)
    _unless_refused(done)


async def _release(who: UUID, reason: str) -> None:
    async with opened(settings(), size=1) as (store, _), store.tx("cli release hold") as tx:
        done = await parties.release_hold(tx, who, reason, _clock, actor=own_handle(), origin=_ORIGIN)
    _unless_refused(done)


def _unless_refused(done: object) -> None:
    if isinstance(done, Refusal):
        raise Refused(done)


def _customer(text: str) -> UUID:
    try:
        return from_typeid("cus", text)
    except BadIdError as error:
        raise CliError("that is no customer's id", "they begin with cus_; the console shows them") from error


def _reason(text: str) -> str:
    if not 0 < len(text.strip()) <= MAX_TEXT:
        raise CliError("say why: --reason", f"1 to {MAX_TEXT} characters, without personal data")
    if refusal := gossip(text):
        raise CliError(refusal.title, refusal.detail)
    return text.strip()


def _tell(json: bool, who: str, state: str) -> None:  # noqa: FBT001 - the flag as it came
    if json:
        say_json({"id": who, "state": state})
    else:
        say(f"{who} is {state}.")

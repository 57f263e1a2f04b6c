"""Logins and what was thought of them: `till risk logins …`, and one customer's timeline."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import typer

from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.money import format_money
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CliError, Json, say, say_json, say_table
from tillkeeper.risk import logins
from tillkeeper.risk.logins import protocol, watch
from tillkeeper.store import Tx
from tillkeeper.store.opening import opened

app = typer.Typer()
group = typer.Typer(no_args_is_help=True)
app.add_typer(group, name="logins")

Chinese = Annotated[bool, typer.Option("--zh", help="Reasons in Chinese.")]
Hours = Annotated[int, typer.Option(min=1, max=24 * 90, help="How far to look back.")]
Rows = Annotated[int, typer.Option(min=1, max=limits.PAGE_MAX, help="Rows at most.")]
_FIGURES: Final = ("logins", "failed", "customers", "addresses", "score")


@group.callback()
def group_help() -> None:
    """Who logs in, from where, and what was done about it."""


@group.command("riskiest")
def riskiest(*, hours: Hours = 24, limit: Rows = 25, zh: Chinese = False, json: Json = False) -> None:
    """List the logins of the highest score, and what became of those who were asked again.

    Example: till risk logins riskiest --hours 1
    """

    async def ask(tx: Tx, since: datetime) -> tuple[list[watch.Risky], watch.Answers]:
        return await watch.riskiest(tx, since, limit), await watch.answered(tx, since)

    found, answers = run(_since(hours, ask))
    if json:
        say_json({"logins": [_risky(each) for each in found], "asked_again": answers})
        return
    rows = [_row(each.login, zh=zh, customer=to_typeid("cus", each.customer)) for each in found]
    say_table(
        ["at", "customer", "login", "outcome", "score", "from", "with", "what speaks against it"],
        rows,
        figures=_FIGURES,
    )
    say(f"asked again: {answers.passed} passed, {answers.failed} failed, {answers.never} never answered")


@group.command("networks")
def networks(*, hours: Hours = 24, limit: Rows = 25, json: Json = False) -> None:
    """List the networks that most failed logins come from.

    Example: till risk logins networks --json
    """

    async def ask(tx: Tx, since: datetime) -> list[watch.NetworkRow]:
        return await watch.by_network(tx, since, limit)

    found = run(_since(hours, ask))
    if json:
        say_json(found)
        return
    rows = [
        (
            each.network or "none",
            each.country,
            *map(str, (each.logins, each.failed, each.customers, each.addresses)),
        )
        for each in found
    ]
    say_table(["network", "country", "logins", "failed", "customers", "addresses"], rows, figures=_FIGURES)


def show_protocol(found: protocol.Found) -> None:
    """The protocol's table and what the platform's own thresholds do."""
    say_table(protocol.HEADS, protocol.table(found), figures=protocol.HEADS[2:])
    live = found.live
    say(f"{found.logins} honest logins of {found.people} people in each of {len(found.seeds)} made-up crowds")
    for known, shares in ((protocol.KNOWN, live.stopped), (protocol.EARLY, live.early)):
        stopped = ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items())
        say(f"at the platform's own thresholds, logins known: {known}: stopped {stopped};")
    say(
        f"honest people are asked again at {live.honest_asked:.1%} of their logins, blocked at {live.honest_blocked:.2%}"
    )


@app.command("timeline")
def timeline(
    customer: Annotated[str, typer.Argument(metavar="ID", help="The customer: cus_01h4…")],
    *,
    before: Annotated[str | None, typer.Option(help="`next` of the page before.")] = None,
    limit: Rows = 25,
    zh: Chinese = False,
    json: Json = False,
) -> None:
    """Show all that a customer did, newest first: logins, settings, payments, payouts, and what payments turned out to be.

    Example: till risk timeline cus_01kx7m4v9zf1zvjm3zc4c1q5j0
    """
    try:
        who = from_typeid("cus", customer)
        from_ = from_typeid("cur", before) if before else None
    except BadIdError as error:
        raise CliError(
            str(error), "customers look like cus_01kx7m4v9zf1zvjm3zc4c1q5j0, pages like cur_…"
        ) from None

    async def ask() -> list[logins.Moment]:
        async with opened(settings(), size=1) as (store, _), store.tx("cli timeline") as tx:
            return await logins.timeline(tx, who, from_, limit)

    found = run(ask())
    following = to_typeid("cur", found[-1].id) if len(found) == limit else None
    if json:
        say_json({"data": [_moment(each) for each in found], "next": following})
        return
    say_table(
        ["at", "", "what", "outcome", "score", "from", "with", "what is known"],
        [_row(each, zh=zh) for each in found],
    )
    if following:
        say(f"more: --before {following}")


def _row(moment: logins.Moment, *, zh: bool, customer: str | None = None) -> tuple[str, ...]:
    language = "zh" if zh else "en"
    outcome = moment.outcome
    if moment.answer is not None:
        outcome += ", passed" if moment.answer else ", failed"
    device = f"{moment.device}{' (new)' if moment.new_device else ''}" if moment.device else ""
    return (
        moment.at.strftime("%Y-%m-%d %H:%M:%S"),
        customer or moment.kind,
        _what(moment),
        outcome,
        "" if moment.score is None else f"{moment.score:.2f}",
        " ".join(each for each in (moment.ip, moment.network, moment.country) if each),
        " ".join(each for each in (moment.browser, moment.system, device) if each),
        "; ".join([*_label(moment), *(logins.reason_words(each, language) for each in moment.reasons)]),
    )


def _what(moment: logins.Moment) -> str:
    if moment.amount is None or moment.currency is None:
        return moment.what
    return f"{moment.what} {format_money(moment.amount, moment.currency, 'en')}"


def _label(moment: logins.Moment) -> list[str]:
    if moment.fraud is None or moment.known_at is None:
        return []
    return [f"{'fraud' if moment.fraud else 'no fraud'}, known since {moment.known_at:%Y-%m-%d}"]


def _moment(moment: logins.Moment) -> dict[str, Any]:
    prefix = {"login": "lgn", "setting": "chg"}.get(moment.kind, "pay")
    values = {name: getattr(moment, name) for name in moment.__struct_fields__}
    return values | {"id": to_typeid(prefix, moment.id)}


def _risky(each: watch.Risky) -> dict[str, Any]:
    return {"customer": to_typeid("cus", each.customer)} | _moment(each.login)


async def _since(hours: int, ask: Any) -> Any:
    since = SystemClock().now() - timedelta(hours=hours)
    async with opened(settings(), size=1) as (store, _), store.tx("cli logins") as tx:
        return await ask(tx, since)

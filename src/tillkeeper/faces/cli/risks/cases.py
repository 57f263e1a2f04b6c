"""`till risk cases`: the queue, one case, claims, notes, verdicts."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
import typer

from tillkeeper import access
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.money import format_money
from tillkeeper.base.results import Refusal
from tillkeeper.faces.cli.links import ACTOR, ORIGIN
from tillkeeper.faces.cli.opening import in_tx, run
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.risk import cases
from tillkeeper.risk.cases import Case, Dossier, Picture
from tillkeeper.store import Tx

T = TypeVar("T")

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, help="Cases: the queue, claims, verdicts.")
app.add_typer(group, name="cases")
_clock = SystemClock()

CaseId = Annotated[str, typer.Argument(metavar="CASE", help="The case: case_01h4…")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a sentence.")]


@group.command("list")
def list_cases(
    *,
    show: Annotated[str, typer.Option(help="open, free, mine, late or closed.")] = "open",
    json: Json = False,
) -> None:
    """Show cases, the largest expected loss first. Exit code 1 if any case is late.

    Example: till risk cases list --show late --json
    """
    wanted = next((each for each in cases.SHOWS if each == show), None)
    if wanted is None:
        raise CliError(f"{show} is no list of cases", f"one of {', '.join(cases.SHOWS)}")
    now = _clock.now()
    page = run(in_tx("cli cases", lambda tx: cases.listed(tx, wanted, ACTOR, now)))
    if json:
        say_json([_as_dict(each) for each in page.rows])
    else:
        _show_list(page.rows, now)
        say("There are more: the console shows them all." if page.after else "")
    raise typer.Exit(FOUND if any(each.is_late(now) for each in page.rows) else 0)


@group.command()
def show(case: CaseId, *, json: Json = False) -> None:
    """Show one case: what raised it, what became of it, who is near.

    Example: till risk cases show case_01kx7m4v9zf1zvjm3zc4c1q5j0
    """
    found, near = run(in_tx("cli cases", lambda tx: _read(tx, _id(case))))
    if json:
        say_json(_whole(found, near))
        return
    _show_list([found.case], _clock.now())
    rows = [
        [
            each.kind,
            f"{each.at:%m-%d %H:%M}",
            to_typeid("pay", each.payment) if each.payment else "-",
            f"{each.probability_ppm / 10_000:.1f} %",
            format_money(each.expected_loss, each.currency, "en"),
            " ".join(each.reasons),
        ]
        for each in found.alerts
    ]
    say_table(
        ["alert", "at (UTC)", "payment", "fraud", "expected loss", "rules"], rows, figures=["expected loss"]
    )
    for event in found.events:
        say(f"{event.at:%m-%d %H:%M:%S} {event.kind} {event.person or '-'} {event.detail}".rstrip())
    for edge in near.edges:
        user, thing = near.nodes[edge.user], near.nodes[edge.thing]
        say(f"near: {user.entity} - {thing.kind} {thing.entity} ({edge.times} times)")


@group.command()
def claim(case: CaseId) -> None:
    """Work on a case: nobody else decides it meanwhile.

    Example: till risk cases claim case_01kx7m4v9zf1zvjm3zc4c1q5j0
    """
    done = run(_acted(case, lambda tx, id_: cases.claim(tx, id_, ACTOR, _clock, ORIGIN)))
    say(f"{done.public_id} is yours until {done.claimed_until:%H:%M} UTC")


@group.command()
def release(case: CaseId) -> None:
    """Give a case back to the queue.

    Example: till risk cases release case_01kx7m4v9zf1zvjm3zc4c1q5j0
    """
    done = run(_acted(case, lambda tx, id_: cases.release(tx, id_, ACTOR, _clock, ORIGIN)))
    say(f"{done.public_id} is back in the queue")


@group.command("hand-over")
def hand_over(
    case: CaseId,
    to: Annotated[str, typer.Option(help="The handle of a colleague.")],
    *,
    remark: Annotated[str, typer.Option(help="What they should know.")] = "",
) -> None:
    """Give a case to a colleague.

    Example: till risk cases hand-over case_01kx7m4v9zf1zvjm3zc4c1q5j0 --to ben --remark "my shift ends"
    """

    async def act(tx: Tx, id_: UUID) -> Case | Refusal:
        person = await access.person(tx, to)
        may = access.policies().permitted("Person", frozenset(person.roles)) if person else frozenset()
        if person is None or person.state != "active" or "case.work" not in may:
            return Refusal(
                "unknown_person", "till people list shows who works cases: risk_analyst, operator", "to"
            )
        return await cases.hand_over(tx, id_, ACTOR, to, _clock, remark, ORIGIN)

    done = run(_acted(case, act))
    say(f"{done.public_id} is with {done.claimed_by} until {done.claimed_until:%m-%d %H:%M} UTC")


@group.command()
def note(case: CaseId, text: Annotated[str, typer.Argument(help="What was found out.")]) -> None:
    """Write something down for whoever works on a case next.

    Example: till risk cases note case_01kx7m4v9zf1zvjm3zc4c1q5j0 "the shop knows the customer"
    """
    done = run(_acted(case, lambda tx, id_: cases.note(tx, id_, ACTOR, text, _clock, ORIGIN)))
    say(f"{done.public_id}: noted")


@group.command()
def decide(
    case: CaseId,
    verdict: Annotated[str, typer.Argument(help="fraud, genuine or unclear.")],
    *,
    reason: Reason,
    payment: Annotated[
        list[str] | None,
        typer.Option(
            help="A payment it is about; several times for several. Unset: all that were alerted about."
        ),
    ] = None,
) -> None:
    """Say what a case was. Its payments are labelled with it, known from now on; unclear labels nothing.

    Example: till risk cases decide case_01kx7m4v9zf1zvjm3zc4c1q5j0 fraud --reason "the customer says it was not them"
    """
    chosen = [_id(each, "pay") for each in payment or ()]

    async def act(tx: Tx, id_: UUID) -> Case | Refusal:
        payments = chosen
        if payment is None and (found := await cases.dossier(tx, id_)) is not None:
            payments = [each[0] for each in found.payments]
        return await cases.decide(tx, id_, ACTOR, verdict, payments, reason, _clock, ORIGIN)

    done = run(_acted(case, act))
    say(f"{done.public_id}: {done.verdict}")


@group.command()
def reopen(case: CaseId, *, reason: Reason) -> None:
    """Work on a decided case again.

    Example: till risk cases reopen case_01kx7m4v9zf1zvjm3zc4c1q5j0 --reason "the customer called back"
    """
    done = run(_acted(case, lambda tx, id_: cases.reopen(tx, id_, ACTOR, reason, _clock, ORIGIN)))
    say(f"{done.public_id} is open again, and yours until {done.claimed_until:%H:%M} UTC")


@group.command()
def sample(*, json: Json = False) -> None:
    """Show what stopping is worth, by the payments that were let through as a sample.

    Example: till risk cases sample --json
    """
    found = run(in_tx("cli cases", lambda tx: cases.measure(tx, _clock.now())))
    if json:
        say_json([{**msgspec.structs.asdict(each), "precision": each.precision} for each in found])
        return
    if not found:
        say("No sample is let through: a [bypass] table in the rules begins one.")
        return
    rows = [
        [
            each.outcome,
            str(each.passed),
            str(each.known),
            "-" if each.precision is None else "{:.0%} ({:.0%} to {:.0%})".format(*each.precision),
            format_money(each.fraud_amount, each.currency, "en"),
            format_money(each.genuine_amount, each.currency, "en"),
        ]
        for each in found
    ]
    heads = ["would have been", "let through", "known", "was fraud (95 %)", "lost", "honest money"]
    say_table(heads, rows, figures=heads[1:])


async def _acted(case: str, act: Callable[[Tx, UUID], Awaitable[Case | Refusal]]) -> Case:
    id_ = _id(case)
    done = await in_tx("cli cases", lambda tx: act(tx, id_))
    if isinstance(done, Refusal):
        raise CliError(f"{done.title}: {case}", done.detail)
    return done


async def _read(tx: Tx, case: UUID) -> tuple[Dossier, Picture]:
    found = await cases.dossier(tx, case)
    if found is None:
        raise CliError(f"there is no case {to_typeid(cases.PREFIX, case)}", "till risk cases list shows them")
    return found, await cases.vicinity(tx, found, _clock.now())


def _id(text: str, prefix: str = cases.PREFIX) -> UUID:
    try:
        return from_typeid(prefix, text)
    except BadIdError as error:
        raise CliError(str(error), "till risk cases list shows the ids") from error


def _show_list(found: Sequence[Case], now: datetime) -> None:
    if not found:
        say("No case is like that.")
        return
    rows = [
        [
            each.public_id,
            f"{each.subject_kind} {_subject(each)}",
            each.severity,
            format_money(each.expected_loss, each.currency, "en"),
            str(each.alerts),
            each.verdict or ("LATE" if each.is_late(now) else f"{each.due_at:%m-%d %H:%M}"),
            each.closed_by or each.claimant(now) or "-",
        ]
        for each in found
    ]
    heads = ["case", "about", "urgency", "expected loss", "alerts", "due (UTC) or verdict", "who"]
    say_table(heads, rows, figures=["expected loss", "alerts"])


def _subject(case: Case) -> str:
    return to_typeid("cus" if case.subject_kind == "customer" else "mer", case.subject)


def _as_dict(case: Case) -> dict[str, Any]:
    return {**msgspec.structs.asdict(case), "id": case.public_id, "subject": _subject(case)}


def _whole(found: Dossier, near: Picture) -> dict[str, Any]:
    return {
        "case": _as_dict(found.case),
        "alerts": found.alerts,
        "events": found.events,
        "verdicts": found.verdicts,
        "payments": [to_typeid("pay", each[0]) for each in found.payments],
        "labels": {to_typeid("pay", each): fraud for each, fraud in found.labels.items()},
        "near": near,
    }

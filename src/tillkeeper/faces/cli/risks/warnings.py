"""Early warning: signals, alerts ranked to what people can look into, rules proposed against attacks."""

from datetime import timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.money import format_money
from tillkeeper.base.results import Refusal
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import in_tx, run
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.risk import BadRulesError, warning
from tillkeeper.store import Tx

T = TypeVar("T")

app = typer.Typer()
_warnings = typer.Typer(
    no_args_is_help=True, help="What leaves its band, attacks as they begin, whom to look at first."
)
app.add_typer(_warnings, name="warnings")

_clock = SystemClock()
_PARTIES = {"customer": "cus", "merchant": "mer"}
_STALE = timedelta(seconds=limits.ALERT_STALE_SECONDS)

Which = Annotated[
    str, typer.Argument(metavar="SIGNAL", help="sig_01k…, or the kind of the only one that lasts.")
]
Why = Annotated[str, typer.Option("--reason", help="Kept with it.")]
Past = Annotated[bool, typer.Option("--past", help="What is over, too.")]
Below = Annotated[bool, typer.Option("--below", help="Those below the budget: kept, counted, not queued.")]


@_warnings.command("list")
def listed(*, past: Past = False, json: Json = False) -> None:
    """Show the signals that last, and how the alert budget of 24 hours is used. Exit code 1 if any lasts or nobody looks.

    Example: till risk warnings list
    """
    board = run(in_tx("cli warnings", lambda tx: warning.board(tx, _clock.now())))
    stale = board.looked_at is None or _clock.now() - board.looked_at > _STALE
    signals = [*board.open, *(board.past if past else ())]
    if json:
        found = {"looked_at": board.looked_at, "stale": stale, "queued": board.queued, "below": board.below}
        say_json(found | {"signals": [_as_dict(each) for each in signals]})
    else:
        if stale:
            since = f"since {board.looked_at:%Y-%m-%d %H:%M:%S} UTC" if board.looked_at else "yet"
            say(f"NOBODY HAS LOOKED {since}: is the agent running?")
        _show_all(signals)
        say(f"Alerts of 24 hours: {board.queued} queued, {board.below} below the budget.")
    raise typer.Exit(FOUND if board.open or stale else 0)


@_warnings.command()
def show(which: Which, *, json: Json = False) -> None:
    """Show one signal: what was seen, whom it concerns, the rule that is proposed against it.

    Example: till risk warnings show card_testing
    """
    shown = run(in_tx("cli warnings", lambda tx: _found(tx, which)))
    if json:
        say_json(_as_dict(shown) | {"alerts": [_alert_dict(each) for each in shown.alerts]})
        return
    signal = shown.signal
    say(
        f"{_public(signal)}  {warning.kind_in_words(signal.kind, 'en')} · {warning.kind_in_words(signal.kind, 'zh')}"
    )
    say(f"about {warning.about_in_words(signal.about_kind, 'en')} {signal.about}".rstrip())
    say(f"{warning.said(signal, 'en')}\n{warning.said(signal, 'zh')}")
    say(f"began {signal.begun_at:%Y-%m-%d %H:%M:%S}, found {signal.found_at:%H:%M:%S}, {_state(signal)} UTC")
    if signal.log_bound:
        say(
            f"evidence: e^{signal.log_e:.1f}; a false alarm at e^{signal.log_bound:.1f} is as rare as the documents say"
        )
    for act in shown.acts:
        say(f"{act.at:%Y-%m-%d %H:%M} {act.person} {act.act} {act.proposal}: {act.reason}")
    if shown.alerts:
        _show_alerts(list(shown.alerts))
    if shown.remedy is not None:
        say(f"Proposed by the machine, until {shown.remedy.until:%Y-%m-%d %H:%M} UTC:\n\n{shown.remedy.rule}")
        say(_tried(shown))
        say(f"Next: till risk warnings propose {_public(signal)} --reason …")


@_warnings.command()
def propose(which: Which, reason: Why, *, json: Json = False) -> None:
    """Propose the rules in force with a signal's short-lived rule among them. A second person puts them in force.

    Example: till risk warnings propose card_testing --reason "it goes on"
    """
    try:
        made = run(in_tx("cli warnings", lambda tx: _propose(tx, which, reason)))
    except BadRulesError as error:
        raise CliError(
            f"the rule cannot join those in force:\n{error}", "till risk rules propose FILE"
        ) from error
    public = risk.proposal_id(made.id)
    if json:
        say_json({"proposal": public, "rule_set": made.rule_set})
    else:
        say(f"{public} is kept. Next: till risk rules show {public}, then till risk rules activate {public}")


@_warnings.command()
def close(which: Which, reason: Why) -> None:
    """Say that a signal is dealt with, or is none. If it goes on it is found again.

    Example: till risk warnings close sig_01k… --reason "the shop's own tablet"
    """
    done = run(in_tx("cli warnings", lambda tx: _close(tx, which, reason)))
    say(f"{_public(done)} {done.kind}: closed")


@_warnings.command()
def alerts(
    *,
    below: Below = False,
    limit: Annotated[int, typer.Option(min=1, max=limits.PAGE_MAX)] = limits.PAGE_DEFAULT,
    json: Json = False,
) -> None:
    """Show the alerts of 24 hours, those with the most to lose first: what cases are made of.

    Example: till risk warnings alerts --below
    """
    since = _clock.now() - timedelta(days=1)
    found = run(
        in_tx("cli warnings", lambda tx: warning.alerts_ranked(tx, since, queued=not below, limit=limit))
    )
    if json:
        say_json([_alert_dict(each) for each in found])
    elif found:
        _show_alerts(found)
    else:
        say("There is none.")


@_warnings.command("draw-up")
def draw_up(
    count: Annotated[int, typer.Argument(min=1, max=limits.PAGE_MAX)] = 10, *, json: Json = False
) -> None:
    """Take the best alerts from below the budget into the queue: somebody has time.

    Example: till risk warnings draw-up 10
    """
    drawn = run(in_tx("cli warnings", lambda tx: _draw_up(tx, count)))
    if json:
        say_json({"drawn_up": drawn})
    else:
        say(f"{drawn} alerts are queued now.")


async def _found(tx: Tx, which: str) -> warning.Shown:
    shown = await warning.show(tx, await _id(tx, which))
    if shown is None:
        raise CliError(f"there is no signal {which}", "till risk warnings list --past shows them")
    return shown


async def _propose(tx: Tx, which: str, reason: str) -> risk.Proposal:
    made = await warning.propose(tx, await _id(tx, which), own_handle(), reason, _clock)
    return _done(made, which)


async def _close(tx: Tx, which: str, reason: str) -> warning.Signal:
    return _done(await warning.close(tx, await _id(tx, which), own_handle(), reason, _clock), which)


async def _draw_up(tx: Tx, count: int) -> int:
    since = _clock.now() - timedelta(days=1)
    best = await warning.alerts_ranked(tx, since, queued=False, limit=count)
    return await warning.draw_up(tx, [each.id for each in best], own_handle())


def _done(said: T | Refusal, which: str) -> T:
    if isinstance(said, Refusal):
        raise CliError(f"{said.title}: {which}", said.detail)
    return said


async def _id(tx: Tx, which: str) -> UUID:
    """An id, or the kind of the only signal of that kind that lasts."""
    if which in warning.KINDS:
        found = [each.id for each in await warning.open_signals(tx) if each.kind == which]
        if len(found) != 1:
            raise CliError(f"{len(found)} signals of {which} last", "till risk warnings list names their ids")
        return found[0]
    try:
        return from_typeid(warning.PREFIX, which)
    except BadIdError as error:
        raise CliError(str(error), "till risk warnings list shows the ids") from error


def _public(signal: warning.Signal) -> str:
    return to_typeid(warning.PREFIX, signal.id)


def _state(signal: warning.Signal) -> str:
    return f"over {signal.over_at:%H:%M:%S}" if signal.over_at else f"seen last {signal.seen_at:%H:%M:%S}"


def _money(amount: int, currency: str) -> str:
    return format_money(amount, currency, "en") if currency.strip() else "-"


def _as_dict(shown: warning.Shown) -> dict[str, Any]:
    signal = shown.signal
    told = {name: getattr(signal, name) for name in signal.__struct_fields__ if name != "id"}
    remedy = None
    if shown.remedy is not None:
        remedy = {"name": shown.remedy.name, "rule": shown.remedy.rule, "until": shown.remedy.until}
    words = {"en": warning.said(signal, "en"), "zh-CN": warning.said(signal, "zh")}
    acts = [{"at": act.at, "person": act.person, "act": act.act, "reason": act.reason, "proposal": act.proposal} for act in shown.acts]  # fmt: skip
    tried = None
    if shown.backtest is not None:
        tried = {"id": shown.backtest.id, "state": shown.backtest.state, "share": shown.backtest.share}
    return (
        {"id": _public(signal)} | told | {"words": words, "remedy": remedy, "backtest": tried, "acts": acts}
    )


def _alert_dict(alert: warning.Alert) -> dict[str, Any]:
    told = {name: getattr(alert, name) for name in alert.__struct_fields__}
    return told | {
        "id": to_typeid("ral", alert.id),
        "subject": to_typeid(_PARTIES[alert.subject_kind], alert.subject),
        "payment": to_typeid("pay", alert.payment) if alert.payment else None,
        "signal": to_typeid(warning.PREFIX, alert.signal) if alert.signal else None,
    }


def _tried(shown: warning.Shown) -> str:
    """What the proposed rule would have done, if that is known."""
    asked = shown.backtest
    if asked is None:
        return "It was not tried on history with the rules that are in force now: till risk backtest --rules FILE"
    if asked.report is None:
        return f"Its backtest is {asked.state} ({asked.share:.0%}) {asked.said}".rstrip()
    name = shown.remedy.name if shown.remedy else ""
    line = next((each for each in asked.report.candidate.each_rule if each.rule == name), None)
    if line is None:
        return "Its backtest is done; the rule had nothing to say."
    return (
        f"Backtest {asked.from_at:%Y-%m-%d} to {asked.to_at:%Y-%m-%d}: {line.hits} hits, {line.frauds} frauds, {line.honest} honest;"
        f" alone it catches {line.alone} and costs {line.alone_honest} honest payments."
    )


def _show_all(signals: list[warning.Shown]) -> None:
    if not signals:
        say("No signal lasts.")
        return
    rows = [
        [
            each.signal.severity,
            warning.kind_in_words(each.signal.kind, "en"),
            f"{warning.about_in_words(each.signal.about_kind, 'en')} {each.signal.about}".strip(),
            warning.said(each.signal, "en"),
            f"{each.signal.found_at:%m-%d %H:%M}",
            "over" if each.signal.over_at else ("rule proposed" if each.remedy else "lasts"),
            _public(each.signal),
        ]
        for each in signals
    ]
    say_table(["severity", "signal", "about", "seen", "since (UTC)", "state", "id"], rows)


def _show_alerts(found: list[warning.Alert]) -> None:
    rows = [
        [
            _money(each.expected_loss, each.currency),
            f"{each.probability_ppm / 10_000:.0f} %",
            _money(each.amount, each.currency),
            each.kind,
            to_typeid(_PARTIES[each.subject_kind], each.subject),
            ", ".join(each.reasons) or "-",
            f"{each.found_at:%m-%d %H:%M}",
        ]
        for each in found
    ]
    heads = ["expected loss", "probable", "amount", "kind", "subject", "rules", "found (UTC)"]
    say_table(heads, rows, figures=heads[:3])

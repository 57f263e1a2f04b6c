"""The live evaluator over history."""

from collections.abc import AsyncIterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import typer

from tillkeeper import replay, risk
from tillkeeper.base.clock import SystemClock, from_us, to_us
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.money import format_money
from tillkeeper.base.results import refuse
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.risks.progress import Tell, progress
from tillkeeper.faces.cli.times import moment_of
from tillkeeper.risk import backtest, declared, models
from tillkeeper.risk.backtest import Asked, Question, Report, Side
from tillkeeper.risk.history import LABEL_DELAY_US, Apart, FileHistory, HistoryError, Layout, Stretch
from tillkeeper.store.opening import opened

app = typer.Typer()
_clock: Final = SystemClock()

From = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Payments from then on; unset: the last 28 days.")
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Payments before; unset: now.")]
Rules = Annotated[Path | None, typer.Option("--rules", help="A rules file; unset: the rules in force.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="A model by number or name, or none; unset: the one in force.", show_default=False
    ),
]
Data = Annotated[
    Path | None,
    typer.Option("--file", help="Payments of a CSV or Parquet file, in place of those stored here."),
]
Map = Annotated[
    Path | None, typer.Option("--map", help="Mapping of the file's columns; unset: a ready one that fits.")
]


@app.command("backtest")
def backtest_(
    *,
    from_: From = None,
    to: To = None,
    rules: Rules = None,
    model: Model = None,
    file: Data = None,
    map_: Map = None,
    asked: Annotated[str | None, typer.Option("--asked", hidden=True)] = None,
    json: Json = False,
) -> None:
    """Run what decides live over history: what it would have caught and cost, rule by rule, beside what is in force.

    No label counts before the day it was known. The report is kept and shown with a proposal of the same rules.

    Example: till risk backtest --rules my-rules.toml --from 2026-10-01
    """
    begin, end, text = moment_of("--from", from_), moment_of("--to", to), _text(rules)
    with progress(quiet=json or asked is not None) as tell:
        try:
            if asked is not None:
                run(_asked(asked))
                return
            if file is not None:
                report = run(_of_file(file, map_, text, model, (begin, end), tell))
            else:
                report = run(_of_house(text, model, (begin, end), tell))
        except HistoryError as error:
            raise CliError(str(error), error.remedy) from error
        except replay.ReplayError as error:
            raise CliError(str(error), error.remedy) from error
        except risk.BadRulesError as error:
            raise CliError(f"the rules cannot be used:\n{error}", "mend these lines") from error
        except models.BadModelError as error:
            raise CliError(str(error), "till risk models lists them") from error
    if json:
        say_json(report)
    else:
        show(report)


@app.command("backtests")
def backtests_(
    which: Annotated[
        str | None, typer.Argument(metavar="ID", help="One of them: bkt_01h4…", show_default=False)
    ] = None,
    *,
    json: Json = False,
) -> None:
    """List the backtests that are kept or under way, or show the report of one.

    Example: till risk backtests bkt_01kx7m4v9zf1zvjm3zc4c1q5j0
    """
    if which is None:
        _show_kept(run(_latest()), json=json)
        return
    found = run(_one(which))
    if json:
        say_json(found)
    elif found.report is None:
        say(f"{found.state}, {found.share:.0%} of the work is done. {found.said}".rstrip())
    else:
        show(found.report)


async def _latest() -> list[Asked]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli backtests") as tx:
        return await backtest.latest(tx)


async def _one(which: str) -> Asked:
    try:
        id_ = from_typeid(backtest.PREFIX, which)
    except BadIdError as error:
        raise CliError(str(error), "till risk backtests lists them") from error
    async with opened(settings(), size=1) as (store, _), store.tx("cli backtest") as tx:
        found = await backtest.one(tx, id_)
    if found is None:
        raise refuse("unknown_backtest", "till risk backtests lists them")
    return found


def _show_kept(listed: list[Asked], *, json: bool) -> None:
    if json:
        say_json([msgspec.structs.asdict(each) | {"id": _public(each)} for each in listed])
        return
    rows = [
        [
            _public(each),
            f"{each.at:%Y-%m-%d %H:%M}",
            each.author,
            f"{each.from_at:%Y-%m-%d} to {each.to_at:%Y-%m-%d}",
            "none" if each.model is None else str(each.model),
            each.state if each.state != "running" else f"{each.share:.0%}",
        ]
        for each in listed
    ]
    say_table(["id", "asked", "by", "range", "model", "state"], rows)


def _public(found: Asked) -> str:
    return to_typeid(backtest.PREFIX, found.id)


Span = tuple[datetime | None, datetime | None]


async def _asked(id_: str) -> None:
    """For the agent: do what was asked."""
    chosen = settings()
    async with opened(chosen, size=2) as (store, _):
        await backtest.do_asked(store, UUID(id_), chosen.timezone, _clock)


async def _of_house(text: str | None, model: str | None, span: Span, tell: Tell) -> Report:
    chosen, begun = settings(), _clock.now()
    async with opened(chosen, size=2) as (store, _):
        number = None
        if model not in {None, "none"}:
            async with store.tx("cli backtest model") as tx:
                number = (await models.registry.find(tx, str(model))).version
        usual = await backtest.question_of(store, _clock, text, number, without_model=model == "none")
        question = msgspec.structs.replace(
            usual, from_at=span[0] or _usual_begin(usual, span[1]), to_at=span[1] or usual.to_at
        )
        if question.from_at >= question.to_at:
            raise CliError("the range ends before it begins", "--from lies before --to")
        report = await backtest.tried(store, question, chosen.timezone, _clock, _shared(tell))
        async with store.tx("cli backtest") as tx:
            await backtest.keep(tx, question, own_handle(), begun, _clock.now(), report)
    return report


def _usual_begin(usual: Question, end: datetime | None) -> datetime:
    return usual.from_at if end is None or end > usual.from_at else end - backtest.USUAL


async def _of_file(
    path: Path, map_: Path | None, text: str | None, model: str | None, span: Span, tell: Tell
) -> Report:
    """A file with these rules, or those made for its kind; nothing is kept."""
    mapping = _mapping(path, map_)
    rules = _rules_for(mapping, text)
    champion, catalogue = None, risk.FEATURES
    if model not in {None, "none"}:
        async with opened(settings(), size=1) as (store, _), store.tx("cli backtest model") as tx:
            catalogue = await declared.catalogue(tx)
            row = await models.registry.find(tx, str(model))
            champion = risk.Model(row.version, await models.registry.opened(tx, row.version, catalogue))
    began = _clock.monotonic()
    layout = msgspec.convert(msgspec.to_builtins(mapping), Layout)
    with FileHistory(path, layout) as history:
        begin = history.first_us if span[0] is None else to_us(span[0])
        end = history.last_us + 1 if span[1] is None else to_us(span[1])
        if begin >= end:
            raise CliError(
                "no payment of the file lies in this range",
                f"it has {from_us(history.first_us):%Y-%m-%d %H:%M} to {from_us(history.last_us):%Y-%m-%d %H:%M} UTC",
            )
        # A file with labels tells the whole truth; what the walk lets features know of it still waits its time. One
        # without tells none: nobody in it is honest only because nobody said otherwise.
        judged = backtest.Range(
            begin,
            end,
            max(end, history.last_us) + LABEL_DELAY_US,
            zone=mapping.zone,
            reported_us=None if layout.columns.fraud else begin,
        )
        trial = backtest.Trial(judged, risk.Force.of(rules, champion, catalogue=catalogue))
        async with Apart.walk(rules, ZoneInfo(mapping.zone), trial.names, catalogue) as walk:
            done = 0
            async for seen in walk.through(_stretches(history, end)):
                trial.take(seen)
                done += len(seen.values)
                tell("payments", done, history.payments)
    return trial.report(_clock.monotonic() - began)


async def _stretches(history: FileHistory, end_us: int) -> AsyncIterator[Stretch]:
    for stretch in history.stretches(to_us=end_us):
        yield stretch


def _mapping(path: Path, map_: Path | None) -> replay.Mapping:
    source = replay.open_file(path)
    mapping = replay.ready_mapping(source.columns) if map_ is None else replay.read_mapping(map_)
    replay.check_columns(mapping, source.columns)
    return mapping


def _rules_for(mapping: replay.Mapping, text: str | None) -> risk.RuleSet:
    name = mapping.rules or "rules.toml"
    found = files("tillkeeper.risk").joinpath(name).read_text("utf-8") if text is None else text
    return risk.read_rules(found, name if text is None else "--rules")


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"--rules {path} cannot be read: {error}", "check the path") from error


def _shared(tell: Tell) -> backtest.Tell:
    return lambda share: tell("history", round(min(max(share, 0.0), 1.0) * 100), 100)


# -- the report


def show(report: Report) -> None:
    """The report for people."""
    say(
        f"{report.begin:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC: {report.payments:,} payments"
        f" ({_money(report.amount, report)}), {report.judged:,} of them judged, {report.frauds:,} frauds"
        f" ({_money(report.fraud_amount, report)})."
    )
    for code in report.remarks:
        say(f"  note: {backtest.REMARKS[code]}")
    sides = [("candidate", report.candidate)] + ([("in force", report.base)] if report.base else [])
    _show_sides(report, sides)
    _show_rules(report)
    _show_logins(sides)
    if report.candidate.scores:
        _show_scores(report)
    if report.changes:
        _show_changes(report)
    rate = report.payments / report.seconds if report.seconds else 0.0
    say(f"{report.seconds:.1f} s, {rate:,.0f} payments/s.")


def _show_sides(report: Report, sides: list[tuple[str, Side]]) -> None:
    heads = ["", "stopped", "precision", "recall", "false per fraud", "saved", "honest money", "customers"]
    rows = [
        [
            f"{name}: {level.outcome} or more",
            f"{level.stopped:,}",
            percent(level.precision),
            percent(level.recall),
            "-" if level.false_per_fraud is None else f"{level.false_per_fraud:.2f}",
            _money(level.saved, report),
            _money(level.disturbed, report),
            f"{level.customers:,}",
        ]
        for name, side in sides
        for level in side.levels
    ]
    say_table(heads, rows, figures=heads[1:])
    heads = [
        "",
        "lost",
        "AUC",
        "AP",
        "recall at 1 % false alarms",
        "cards",
        "perfect",
        "alerts/day",
        "most",
        "over",
    ]
    rows = []
    for name, side in sides:
        load, rank = side.workload, side.rank
        rows.append(
            [
                name,
                _money(side.lost, report),
                *(
                    figure(each)
                    for each in (rank.auc, rank.ap, rank.recall, rank.card_precision, rank.perfect)
                ),
                "-" if load.mean is None else f"{load.mean:,.1f} of {load.capacity}",
                f"{load.most:,}",
                f"{load.over} of {load.days} days",
            ]
        )
    say_table(heads, rows, figures=heads[1:])


def _show_rules(report: Report) -> None:
    heads = ["rule", "outcome", "hits", "precision", "recall", "frauds", "only it", "its false alarms", "fraud money",
             "only it saves", "honest money only it stops"]  # fmt: skip
    rows = [
        [
            line.rule,
            f"{line.outcome}{' (shadow)' if line.shadow else ''}",
            f"{line.hits:,}",
            percent(line.precision),
            percent(line.recall),
            f"{line.frauds:,}",
            f"{line.alone:,}",
            f"{line.alone_honest:,}",
            _money(line.fraud_amount, report),
            _money(line.alone_amount, report),
            _money(line.alone_honest_amount, report),
        ]
        for line in report.candidate.each_rule
    ]
    say_table(heads, rows, figures=heads[2:])


def _show_logins(sides: list[tuple[str, Side]]) -> None:
    """What became of logins, and each rule about them."""
    told = [(name, side.logins) for name, side in sides if side.logins is not None and side.logins.logins]
    if not told:
        return
    first = told[0][1]
    say(
        f"{first.logins:,} logins: {first.attackers:,} of attackers, {first.honest:,} honest,"
        f" {first.wrong:,} wrong passwords, {first.open:,} nobody can judge."
    )
    heads = ["", "attackers", "of them", "honest", "of these", "customers", "wrong passwords", "open"]
    rows = [
        [
            f"{name}: {each.outcome}",
            f"{each.attackers:,}",
            percent(each.attackers / found.attackers if found.attackers else None),
            f"{each.honest:,}",
            percent(each.honest / found.honest if found.honest else None),
            f"{each.customers:,}",
            f"{each.wrong:,}",
            f"{each.open:,}",
        ]
        for name, found in told
        for each in found.outcomes[1:]
    ]
    say_table(heads, rows, figures=heads[1:])
    heads = ["rule about logins", "outcome", "hits", "attackers", "honest", "wrong passwords", "open",
             "only it stops", "honest only it asks", "wrong passwords only it stops"]  # fmt: skip
    rows = [
        [
            each.rule,
            f"{each.outcome}{' (shadow)' if each.shadow else ''}",
            *(
                f"{count:,}"
                for count in (each.hits, each.attackers, each.honest, each.wrong, each.open, each.alone)
            ),
            f"{each.alone_honest:,}",
            f"{each.alone_wrong:,}",
        ]
        for each in first.each_rule
    ]
    say_table(heads, rows, figures=heads[2:])


def _show_scores(report: Report) -> None:
    heads = [
        "score from",
        "frauds",
        "honest",
        "open",
        "precision above",
        "recall above",
        "false alarms above",
    ]
    rows = [
        [
            f"{part.low:g}",
            f"{part.frauds:,}",
            f"{part.honest:,}",
            f"{part.open:,}",
            percent(part.precision),
            percent(part.recall),
            percent(part.false_alarms),
        ]
        for part in report.candidate.scores
    ]
    say_table(heads, rows, figures=heads)


def _show_changes(report: Report) -> None:
    heads = [
        "in force",
        "candidate",
        "frauds",
        "honest",
        "open",
        "fraud money",
        "honest money",
        "for example",
    ]
    rows = [
        [
            each.before,
            each.after,
            f"{each.frauds:,}",
            f"{each.honest:,}",
            f"{each.open:,}",
            _money(each.fraud_amount, report),
            _money(each.honest_amount, report),
            " ".join(each.examples[:2]),
        ]
        for each in report.changes
    ]
    say_table(heads, rows, figures=heads[2:7])


def _money(amount: int, report: Report) -> str:
    return format_money(amount, report.reference, "en")


def percent(share: float | None) -> str:
    """A share for people."""
    return "-" if share is None else f"{share:.1%}"


def figure(value: float | None) -> str:
    """A measure between 0 and 1 for people."""
    return "-" if value is None else f"{value:.3f}"

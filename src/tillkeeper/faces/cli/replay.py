"""`till replay`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import uvloop
from msgspec.structs import replace as changed

from tillkeeper import audit, ledger
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.links import ACTOR
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.schema import bring_up_to_date
from tillkeeper.replay import (
    Desk,
    Detection,
    Done,
    Figures,
    Job,
    Mapping,
    Progress,
    ReplayError,
    Source,
    check_columns,
    figures,
    fingerprint,
    open_file,
    read_mapping,
    ready_mapping,
    replay,
)
from tillkeeper.risk import BadRulesError, RuleSet
from tillkeeper.store import sole
from tillkeeper.store.opening import database

app = typer.Typer(add_completion=False)

_PLAIN_SECONDS: Final = 5.0

Tell = Callable[[Progress], None]


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints. `carried` and `payments_per_second` are of this run, `figures` of the file so far."""

    file: str
    mapping: str
    rules: str
    rule_sets: list[int]
    finished: bool
    continued_after_line: int
    carried: int
    carried_by_an_earlier_replay: int
    seconds: float
    payments_per_second: float
    rejected: int
    reject_file: str | None
    books_balance: bool
    figures: Figures


class _Wish(msgspec.Struct, frozen=True):
    file: Path
    mapping: Mapping
    source: Source
    speed: float | None
    limit: int | None


@app.command("replay")
def replay_file(
    file: Annotated[
        Path, typer.Argument(help="A CSV file with a header, or a Parquet file.", show_default=False)
    ],
    map_: Annotated[
        Path | None, typer.Option("--map", help="Mapping of the columns; unset: a ready one that fits.")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="max, or how many times as fast as it happened: 3600 is an hour a second.")
    ] = "max",
    rules: Annotated[
        Path | None, typer.Option(help="Risk rules; unset: TILL_RULES_FILE, or the mapping's own.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only so many rows.")] = None,
    *,
    json: Json = False,
) -> None:
    """Stream a CSV or Parquet file of historic payments through the turn.

    Customers and merchants are made as they appear; a label is known seven days after its payment. At the end risk is
    judged by the labels. An interrupted replay goes on where it was when the same command is given again. Rows that
    cannot be carried are left out and listed in a file. Exit code 1 if the books do not balance.

    Example: till replay payments.parquet --map mapping.toml --limit 100000
    """
    try:
        wish = _wish(file, map_, speed, limit)
        chosen = _with_rules(settings(), rules, wish.mapping)
        report = run(_replayed(chosen, wish, json), uvloop.new_event_loop)
    except ReplayError as error:
        raise CliError(str(error), error.remedy) from error
    except BadRulesError as error:
        raise CliError(f"the rules cannot be used:\n{error}", "mend these lines") from error
    except sole.TakenError as error:
        raise CliError(
            "another process keeps the risk profiles: an api or another replay is running on this database",
            "stop it (till up, till demo, till serve api), then start the replay again",
        ) from error
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. The same command goes on from here.\n")
        raise
    if json:
        say_json(report)
    else:
        _show(report)
    raise typer.Exit(0 if report.books_balance else FOUND)


def _wish(file: Path, map_: Path | None, speed: str, limit: int | None) -> _Wish:
    source = open_file(file)
    mapping = ready_mapping(source.columns) if map_ is None else read_mapping(map_)
    check_columns(mapping, source.columns)
    return _Wish(file, mapping, source, _speed(speed), limit)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed < 10**9:
        raise CliError(f"--speed {text}: neither max nor a positive number", "as in --speed 3600")
    return speed


def _with_rules(chosen: Settings, rules: Path | None, mapping: Mapping) -> Settings:
    """Rules as wished on the command line, else as set, else those made for the mapping, else the package's."""
    if rules is not None:
        if not rules.is_file():
            raise CliError(f"--rules {rules}: there is no such file", "check the path")
        return changed(chosen, rules_file=rules)
    if chosen.rules_file is None and mapping.rules is not None:
        return changed(chosen, rules_file=Path(str(files("tillkeeper.risk").joinpath(mapping.rules))))
    return chosen


async def _replayed(chosen: Settings, wish: _Wish, json: bool) -> Report:  # noqa: FBT001 - the flag as it came
    async with database(chosen) as urls:
        await bring_up_to_date(chosen, urls)
        roof: Any = import_module(
            "tillkeeper.wiring"
        )  # by name: the roof knows the faces, so no face may import it
        async with roof.till_with_risk(chosen) as counter:
            desk = Desk(counter.store, counter.till, counter.engine, counter.vault, counter.clock)
            job = Job(
                wish.source,
                wish.mapping,
                wish.file.name,
                fingerprint(wish.file),
                chosen.home.absolute(),
                wish.speed,
                wish.limit,
            )
            async with counter.store.tx("replay begins") as tx:
                await audit.append(tx, ACTOR, "replay.started", wish.mapping.name, wish.file.name, "cli")
            with _progress(wish, quiet=json) as tell:
                done = await replay(desk, job, tell)
            async with counter.store.tx("replay totals") as tx:
                balance = all(total.balanced for total in await ledger.totals(tx))
            return _report(wish, chosen, counter.engine.rules, done, balance)


def _report(wish: _Wish, chosen: Settings, rules: RuleSet, done: Done, balance: bool) -> Report:  # noqa: FBT001
    name = chosen.rules_file.name if chosen.rules_file else "rules.toml"
    return Report(
        str(wish.file),
        wish.mapping.name,
        f"{name}: {len(rules.rules)} rules",
        done.tally.rule_sets,
        done.finished,
        done.begun_at,
        done.carried,
        done.tally.earlier,
        round(done.seconds, 3),
        round(done.carried / done.seconds, 1) if done.seconds > 0 else 0.0,
        done.tally.rejected,
        str(done.rejects) if done.tally.rejected else None,
        balance,
        figures(done.tally),
    )


# -- progress


@contextmanager
def _progress(wish: _Wish, *, quiet: bool) -> Iterator[Tell]:
    """A bar on a terminal; otherwise plain lines, on standard error where standard output is for a program."""
    if quiet or not sys.stdout.isatty():
        yield _plain(sys.stderr if quiet else sys.stdout)
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bar(*columns, TextColumn("{task.fields[said]}")) as bar:
        task = bar.add_task(wish.file.name, total=1.0, said="")

        def tell(now: Progress) -> None:
            bar.update(task, completed=now.share, said=_said(now))

        yield tell


def _plain(out: Any) -> Tell:
    told = 0.0

    def tell(now: Progress) -> None:
        nonlocal told
        if now.seconds - told >= _PLAIN_SECONDS:
            told = now.seconds
            out.write(f"{now.share:4.0%}  {_said(now)}\n")
            out.flush()

    return tell


def _said(now: Progress) -> str:
    if now.finding:
        return "looking for the place where it was left"
    if not now.carried:
        return ""
    rate = now.carried / now.seconds if now.seconds > 0 else 0.0
    return f"{now.carried:,} payments, {rate:,.0f}/s"


# -- the report


def _show(report: Report) -> None:
    seen = report.figures
    ending = "to its end" if report.finished else "in part"
    say(f"{report.file}, replayed {ending} (mapping {report.mapping}, {report.rules}).")
    if not report.carried:
        say(
            "Nothing was left to do: its payments were carried before. For another try, use another TILL_HOME."
        )
    else:
        if report.continued_after_line:
            say(f"This run went on after line {report.continued_after_line:,}.")
        rate = f"{report.payments_per_second:,.0f} payments/s"
        say(f"{report.carried:,} payments in {report.seconds:,.1f} s: {rate}.")
    if len(report.rule_sets) > 1:
        versions = ", ".join(map(str, report.rule_sets))
        say(f"Parts of the file were decided by different rules: rule sets {versions}.")
    if report.carried_by_an_earlier_replay:
        say(f"{report.carried_by_an_earlier_replay:,} of them had been carried by an earlier replay.")
    if report.rejected:
        say(f"{report.rejected:,} rows were left out: see {report.reject_file}")
    _show_outcomes(seen)
    if seen.levels:
        _show_detection(seen)
    say(f"The books balance: {'yes' if report.books_balance else 'NO'} (till ledger verify recomputes them).")
    say("Look at the payments in the console: till up")


def _show_outcomes(seen: Figures) -> None:
    heads = ["outcome", "payments", "share", "amount", "frauds", "fraud amount"]
    rows = [
        [
            each.outcome,
            f"{each.payments:,}",
            _percent(each.payments / seen.payments if seen.payments else None),
            _amounts(each.amount),
            f"{each.frauds:,}",
            _amounts(each.fraud_amount),
        ]
        for each in seen.outcomes
    ]
    say_table(heads, rows, figures=heads[1:])
    if seen.failures:
        say("Declined: " + ", ".join(f"{count:,} {code}" for code, count in seen.failures.items()))


def _show_detection(seen: Figures) -> None:
    say(f"Against {seen.judged:,} labels, {seen.frauds:,} of them fraud worth {_amounts(seen.fraud_amount)}:")
    heads = ["alerts", "number", "precision", "recall", "false per fraud"]
    rows = []
    for level in seen.levels:
        rows.append([level.means, *_detected(level.detection)])
        rows.append(["  three hand rules, as many", *_detected(level.hand_rules)])
    say_table(heads, rows, figures=heads[1:])
    heads = ["alerts", "money saved", "honest money disturbed"]
    rows = [[level.means, _amounts(level.saved), _amounts(level.disturbed)] for level in seen.levels]
    say_table(heads, rows, figures=heads[1:])
    say(f"Money lost to fraud that was allowed: {_amounts(seen.lost)}")
    heads = ["rule", "hits", "precision", "frauds", "only it found"]
    rows = [
        [each.rule, f"{each.hits:,}", _percent(each.precision), f"{each.frauds:,}", f"{each.alone:,}"]
        for each in seen.rules
    ]
    say_table(heads, rows, figures=heads[1:])


def _detected(found: Detection) -> list[str]:
    per_fraud = found.false_positives_per_fraud
    return [
        f"{found.alerts:,}",
        _percent(found.precision),
        _percent(found.recall),
        "-" if per_fraud is None else f"{per_fraud:.2f}",
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _amounts(money: dict[str, str]) -> str:
    return ", ".join(f"{_grouped(amount)} {currency}" for currency, amount in money.items()) or "-"


def _grouped(amount: str) -> str:
    whole, point, fraction = amount.partition(".")
    return f"{int(whole):,}{point}{fraction}"

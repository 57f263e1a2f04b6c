"""The published protocols, run: `till risk evaluate`."""

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from tillkeeper.faces.cli.output import CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.risks.logins import show_protocol
from tillkeeper.faces.cli.risks.progress import progress
from tillkeeper.risk.history import HistoryError
from tillkeeper.risk.logins import protocol as logins
from tillkeeper.risk.training import TrainingError, handbook

app = typer.Typer()

PUBLISHED: Final = (
    ("logistic regression", "0.868", "0.623", "0.297"),
    ("random forest", "0.870", "0.678", "0.299"),
    ("XGBoost", "0.869", "0.687", "0.303"),
    ("balanced bagging", "0.879", "0.680", "0.305"),
)
"""Of the Handbook, mean over the four folds whose training starts 2018-07-25 to 2018-08-15, 7 days each."""


class Protocol(StrEnum):
    """What can be measured."""

    HANDBOOK = "handbook"
    LOGINS = "logins"


@app.command("evaluate")
def evaluate(
    *,
    protocol: Annotated[
        Protocol, typer.Option(help="Card fraud as the Handbook has it, or logins.")
    ] = Protocol.HANDBOOK,
    data: Annotated[
        Path | None,
        typer.Option(help="handbook: a Parquet or CSV file of its columns; docs/operating/training.md."),
    ] = None,
    train_start: Annotated[
        str, typer.Option(metavar="DATE", help="handbook: first day of the first training week.")
    ] = "2018-07-25",
    train_days: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=90, help="handbook: days to learn from; may be given again; unset: 7 and 28."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(min=1, max=52, help="handbook: how many, a week apart.")] = 4,
    json: Json = False,
) -> None:
    """Measure the pipeline by a published protocol: for logins on a made-up crowd, for card fraud on a file that you give.

    Example: till risk evaluate --protocol handbook --data handbook.parquet --train-start 2018-06-20
    """
    if protocol is Protocol.LOGINS:
        _logins(json=json)
        return
    if data is None:
        raise CliError(
            "the handbook's protocol needs its data", "name the file: --data handbook-2018-04-to-07.parquet"
        )
    plan = handbook.Plan(_date(train_start), folds, tuple(train_days or (handbook.WEEK, handbook.LONGER)))
    report = _measured(data, plan, quiet=json)
    if json:
        say_json(report)
    else:
        _show(report)


def _measured(data: Path, plan: handbook.Plan, *, quiet: bool) -> handbook.Report:
    with progress(quiet=quiet) as tell:
        try:
            return handbook.evaluate(data, plan, tell=lambda step: tell(step.stage, step.done, step.total))
        except (HistoryError, TrainingError) as error:
            raise CliError(str(error), error.remedy) from error


def _show(report: handbook.Report) -> None:
    heads = [
        "learnt from",
        "payments",
        "frauds",
        "measured on",
        "its frauds",
        "AUC",
        "AP",
        "CP@100",
        "ceiling",
    ]
    for summary in report.summaries:
        rows = [
            [
                f"{fold.train_start} and {summary.train_days} days",
                *(
                    f"{n:,}"
                    for n in (fold.train_payments, fold.train_frauds, fold.test_payments, fold.test_frauds)
                ),
                *(f"{n:.3f}" for n in (fold.auc, fold.ap, fold.card_precision, fold.ceiling)),
            ]
            for fold in summary.folds
        ]
        means = [f"{mean:.3f} ±{spread:.3f}" for mean, spread in _means(summary)]
        rows.append([f"mean of {len(summary.folds)} folds", "", "", "", "", *means])
        say_table(heads, rows, figures=heads[1:])
    say("Published, over the four folds from 2018-07-25, 7 days each (ceiling 0.419):")
    say_table(["", "AUC", "AP", "CP@100"], [list(row) for row in PUBLISHED], figures=["AUC", "AP", "CP@100"])


def _means(summary: handbook.Summary) -> tuple[tuple[float, float], ...]:
    return summary.auc, summary.ap, summary.card_precision, summary.ceiling


def _logins(*, json: bool) -> None:
    with progress(quiet=json) as tell:
        found = logins.run(progress=lambda share: tell("logins", round(1000 * share), 1000))
    if json:
        say_json(found)
        return
    show_protocol(found)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CliError(f"--train-start {text} is no day", "write it as 2018-07-25") from error

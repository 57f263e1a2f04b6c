"""`python -m bench backtest`: history through features, rules and model, by the evaluator that decides live.

The Handbook's four months, all payments: windows in one process, model and rules in another. The model is trained by the
product's own training on the file's first weeks; what counts here is how fast it is read, not how good it is. CPU time is
told beside the rate, for machines on which others work.
"""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from bench import figures
from bench.machine import load_average
from tillkeeper.risk import FEATURES, Force, Model, RuleSet, read_rules, training
from tillkeeper.risk.backtest import Range, Report, Trial
from tillkeeper.risk.history import Apart, FileHistory, Stretch, Walk
from tillkeeper.risk.models import open_model

DATA: Final = Path(__file__).parents[2] / "shared" / "data" / "handbook-2018-04-to-07.parquet"
DAY_US: Final = 86_400 * 1_000_000
TRAINED_DAYS: Final = (10, 38)
GOAL: Final = 40_000
UTC_ZONE: Final = ZoneInfo("UTC")


class Result(msgspec.Struct, frozen=True):
    """The bench. `rate`: payments a second of the wall clock. Costs are µs of CPU per payment; memory in MB at its peak."""

    payments: int
    trees: int
    rate: float
    judging_us: float
    windows_us: float
    judging_mb: float
    windows_mb: float
    load_average: float
    report: Report

    @property
    def good(self) -> bool:
        """Whether the rate is what was promised."""
        return self.rate >= GOAL


def main() -> dict[str, Any] | None:
    """Measure, print, keep as JSON, and return the same; None where the data are not beside the checkout."""
    if not DATA.exists():
        print("The Handbook's payments are not beside the checkout: nothing to go through.")
        return None
    result = asyncio.run(measure())
    figures.show("bench backtest", [row(result)])
    busiest = 1e6 / max(result.windows_us, result.judging_us)
    print(
        f"{result.payments:,} payments at {result.rate:,.0f}/s, goal {GOAL:,}/s on two processors;"
        f" by CPU time two idle processors carry {busiest:,.0f}/s"
    )
    found: dict[str, Any] = msgspec.to_builtins(result) | {"good": result.good}
    figures.keep("backtest", found)
    return found


def row(result: Result) -> dict[str, str]:
    """The table's line."""
    return {
        "payments/s": f"{result.rate:,.0f}",
        "windows µs": f"{result.windows_us:.1f}",
        "model, rules, figures µs": f"{result.judging_us:.1f}",
        "windows MB": f"{result.windows_mb:,.0f}",
        "judging MB": f"{result.judging_mb:,.0f}",
        "trees": f"{result.trees:,}",
        "load": f"{result.load_average:.1f}",
        "processors": str(os.cpu_count()),
    }


async def measure() -> Result:
    """One run over the whole file."""
    text = files("tillkeeper.risk").joinpath("rules_handbook.toml").read_text("utf-8")
    rules = read_rules(text, "rules_handbook.toml")
    with FileHistory(DATA) as history:
        blob, trees = _trained(history, rules)
        force = Force.of(rules, Model(1, open_model(blob, FEATURES)))
        span = Range(history.first_us, history.last_us + 1, history.last_us + 7 * DAY_US)
        trial = Trial(span, force)
        _forget_peak()  # the training's
        begin, own, others = time.monotonic(), time.process_time(), _children()
        async with Apart.walk(rules, UTC_ZONE, trial.names) as walk:
            async for seen in walk.through(_stretches(history)):
                await asyncio.to_thread(trial.take, seen)
        seconds, own = time.monotonic() - begin, time.process_time() - own
    count = trial.payments
    return Result(
        payments=count,
        trees=trees,
        rate=round(count / seconds, 1),
        judging_us=round(own / count * 1e6, 2),
        windows_us=round((_children() - others) / count * 1e6, 2),
        judging_mb=_peak_mb(),
        windows_mb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        load_average=load_average(),
        report=trial.report(seconds),
    )


def _trained(history: FileHistory, rules: RuleSet) -> tuple[bytes, int]:
    """A model as `till risk train` makes it, and how many trees it has."""
    begin, end = (history.first_us + days * DAY_US for days in TRAINED_DAYS)
    wish = training.Wish("bench", "bench", begin, end, 7 * DAY_US)
    gathering = wish.gathering()
    walk = Walk.of(rules, UTC_ZONE, wish.features)
    for seen in walk.through(history.stretches(to_us=end)):
        gathering.take(seen)
    recipe = training.RECIPE
    made = training.train(gathering.sample(), wish, datetime.now(UTC), recipe)
    return made.blob, recipe.rounds * recipe.seeds


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _forget_peak() -> None:
    """Let the mark of the most memory held begin anew."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def _peak_mb() -> float:
    """The most memory this process held since its mark was reset."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def _stretches(history: FileHistory) -> AsyncIterator[Stretch]:
    for stretch in history.stretches():
        yield stretch


if __name__ == "__main__":
    main()

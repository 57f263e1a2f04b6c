"""`python -m bench.replay`: historic payments through the full path: turn, risk, ledger, receipts, answers, PostgreSQL.

The file is made for the run: Parquet in the Fraud Detection Handbook's form, 5,000 payers, 10,000 terminals, a month. The
replay runs in this process, PostgreSQL beside it, safe against crashes; it counts only if the books balance.
"""

import os
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import uvloop

from bench import figures
from bench.machine import BUSY_SHARE, Usage, load_average, usage
from bench.stage import Stage, staged
from tillkeeper import ledger, risk
from tillkeeper.base.clock import SystemClock
from tillkeeper.payments import Till
from tillkeeper.replay import Desk, Done, Job, Progress, fingerprint, open_file, ready_mapping, replay
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Store
from tillkeeper.vault import Vault, root_of

ROWS: Final = 200_000
PAYERS: Final = 5_000
TERMINALS: Final = 10_000
DAYS: Final = 31
SEED: Final = 7
STRETCH: Final = 20_000
GOAL: Final = 5_000
_HEADER: Final = ("transaction_id", "occurred_at", "customer_id", "terminal_id", "amount", "fraud")
_RULES: Final = Path(risk.__file__).parent / "rules_handbook.toml"


class Stretch(msgspec.Struct, frozen=True):
    """So many payments in a row. Costs are µs of CPU per payment; `others`: processors that others used meanwhile."""

    after: int
    rate: float
    replay_us: float
    postgres_us: float
    others: float


class Result(msgspec.Struct, frozen=True):
    """The bench. `rate`: of the whole file, from the first payment offered to the last one durable."""

    rows: int
    rate: float
    best: float
    stretches: list[Stretch]
    outcomes: dict[str, int]
    balanced: bool
    load_average: float

    @property
    def good(self) -> bool:
        """Whether the figure counts, and is enough."""
        return self.balanced and self.rate >= GOAL


class Meter:
    """Reads the clocks every STRETCH payments."""

    def __init__(self, groups: dict[str, int]) -> None:
        self._groups = groups
        self._from = 0
        self._read = self._now()
        self.stretches: list[Stretch] = []

    def _now(self) -> tuple[float, float, Usage]:
        return time.monotonic(), time.process_time(), usage(self._groups)

    def tell(self, progress: Progress) -> None:
        """Note the progress."""
        if (count := progress.carried - self._from) < STRETCH:
            return
        before, self._read, self._from = self._read, self._now(), progress.carried
        seconds, own = self._read[0] - before[0], self._read[1] - before[1]
        used = self._read[2].since(before[2])
        self.stretches.append(
            Stretch(
                progress.carried,
                count / seconds,
                own / count * 1e6,
                used.groups["postgres"] / count * 1e6,
                used.others(own) / seconds,
            )
        )


def main(rows: int = ROWS) -> dict[str, Any]:
    """Measure, print, keep as JSON, and return the same."""
    result = uvloop.run(measure(rows))
    figures.show("bench replay", [row(each) for each in result.stretches])
    print(
        f"{result.rows:,} payments at {result.rate:,.0f}/s, goal {GOAL:,}/s; the quickest stretch {result.best:,.0f}/s;"
        f" books {'balance' if result.balanced else 'DO NOT BALANCE: THE FIGURES DO NOT COUNT'}"
    )
    found: dict[str, Any] = msgspec.to_builtins(result) | {"good": result.good}
    figures.keep("replay", found)
    return found


def row(stretch: Stretch) -> dict[str, str]:
    """A line of the table."""
    return {
        "stored": f"{stretch.after:,}",
        "payments/s": f"{stretch.rate:,.0f}",
        "replay µs": f"{stretch.replay_us:.0f}",
        "postgres µs": f"{stretch.postgres_us:.0f}",
        "others": f"{stretch.others:.0%}" + (" busy" if stretch.others > BUSY_SHARE else ""),
    }


async def measure(rows: int) -> Result:
    """One replay of a made file on a fresh stage."""
    async with (
        staged() as stage,
        Store.opened(stage.urls.app) as store,
        Vault.opened(store, root_of(stage.settings), SystemClock()) as vault,
    ):
        path = stage.settings.home / "history.parquet"
        make_history(path, rows)
        meter = Meter({"postgres": stage.postgres})
        done = await carried(stage, store, vault, path, meter)
        report = await ledger.verify(store)
    outcomes = {
        name: sum(cell.count for cell in cells.values()) for name, cells in done.tally.outcomes.items()
    }
    return Result(
        done.carried,
        done.carried / done.seconds,
        max((each.rate for each in meter.stretches), default=0.0),
        meter.stretches,
        outcomes,
        report.balanced and done.carried == rows,
        load_average(),
    )


async def carried(stage: Stage, store: Store, vault: Vault, path: Path, meter: Meter) -> Done:
    """The replay itself, as `till replay` does it."""
    clock = SystemClock()
    engine = await RiskEngine.open(store, _RULES, clock, stage.settings.timezone)
    till = Till(store, engine, clock, stage.settings.timezone)
    source = open_file(path)
    mapping = ready_mapping(source.columns)
    job = Job(source, mapping, path.name, fingerprint(path), stage.settings.home)
    return await replay(Desk(store, till, engine, vault, clock), job, meter.tell)


def make_history(path: Path, rows: int) -> None:
    """A month of card payments: habits, a few large amounts, terminals that are taken over."""
    rng = random.Random(SEED)
    habits = [(rng.randrange(500, 10_000), rng.randrange(TERMINALS)) for _ in range(PAYERS)]
    start = datetime(2018, 4, 1, tzinfo=UTC)
    step = timedelta(days=DAYS) / rows
    lines = [",".join(_HEADER)]
    for number in range(rows):
        payer = rng.randrange(PAYERS)
        mean, home = habits[payer]
        terminal = (home + rng.randrange(200)) % TERMINALS
        stolen = rng.random() < 0.004
        amount = round(mean * (5 if stolen else rng.uniform(0.3, 1.7)))
        fraud = stolen or (terminal % 500 == 0 and number > rows // 3)
        at = (start + number * step).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(
            f"{number},{at},{payer},{terminal},{amount // 100}.{amount % 100:02},{str(fraud).lower()}"
        )
    text = path.with_suffix(".csv")
    text.write_text("\n".join(lines))
    relation = duckdb.from_csv_auto(os.fspath(text))
    assert relation is not None
    relation.write_parquet(os.fspath(path))


if __name__ == "__main__":
    main()

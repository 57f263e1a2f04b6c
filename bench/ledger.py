"""The posting function: batches of transfers between 10,000 accounts, one batch at a time, each in a transaction."""

import random
import time
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bench import figures, yardstick
from bench.machine import BUSY_SHARE, usage
from bench.stage import ACCOUNTS, Stage, open_funded, staged, tidy
from tillkeeper import ledger
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.ledger import Entry, Op, Outcome
from tillkeeper.store import Store

BATCHES: Final = (1, 50, 200, 1000, 5000)
_CHUNK: Final = 5000
_clock = SystemClock()


class Figure(msgspec.Struct, frozen=True):
    """Transfers per second in batches of one size; µs of CPU a transfer; the share of a processor others used."""

    batch: int
    rate: float
    python_us: float
    postgres_us: float
    others: float


class Result(msgspec.Struct, frozen=True):
    """The whole bench. `yardstick`: before and after, transfers per second."""

    figures: list[Figure]
    yardstick: tuple[float, float]
    posted: int
    stored: int
    balanced: bool


async def main(seconds: float) -> Result:
    """Measure, print, write bench/out/ledger.json."""
    async with staged() as stage:
        await yardstick.prepare(stage)
        async with Store.opened(stage.urls.app) as store:
            accounts = await ready_accounts(stage, store)
            stored = (await ledger.verify(store)).transfers
            before = await yardstick.measure(stage, seconds)
            found, posted = [], 0
            for batch in BATCHES:
                figure, count = await measure(stage, store, accounts, batch, seconds)
                found.append(figure)
                posted += count
            after = await yardstick.measure(stage, seconds)
            report = await ledger.verify(store)
        result = Result(found, (before.rate, after.rate), posted, report.transfers - stored, report.balanced)
    show(result)
    figures.keep("ledger", result)
    return result


async def ready_accounts(stage: Stage, store: Store) -> list[UUID]:
    """The accounts to move money between."""
    accounts: list[UUID] = []
    for _ in range(0, ACCOUNTS, _CHUNK):
        async with store.tx("bench accounts") as tx:
            accounts += await open_funded(tx, _CHUNK)
    await tidy(stage)
    return accounts


async def measure(
    stage: Stage, store: Store, accounts: list[UUID], batch: int, seconds: float
) -> tuple[Figure, int]:
    """Post batches for so long. Raises AssertionError if one transfer is refused."""
    groups = {"postgres": stage.postgres}
    count, before = 0, usage(groups)
    began, cpu = time.perf_counter(), time.process_time()
    while (took := time.perf_counter() - began) < seconds:
        now = _clock.now()
        async with store.tx("bench post") as tx:
            outcomes = await ledger.post(tx, transfers(accounts, batch, now), now)
        assert set(outcomes) == {Outcome.OK}, set(outcomes)
        count += batch
    own = time.process_time() - cpu
    used = usage(groups).since(before)
    figure = Figure(
        batch=batch,
        rate=count / took,
        python_us=own / count * 1e6,
        postgres_us=used.groups["postgres"] / count * 1e6,
        others=used.others(own) / took,
    )
    return figure, count


def transfers(accounts: list[UUID], count: int, now: datetime) -> list[Entry]:
    """So many transfers between accounts at random."""
    found = []
    for _ in range(count):
        debit, credit = random.sample(accounts, 2)
        found.append(
            Entry(new_id(), Op.POST, debit, credit, random.randint(1, 100), "payment", new_id(), now)
        )
    return found


def show(result: Result) -> None:
    """Print the table."""
    before, after = result.yardstick
    mean = (before + after) / 2
    figures.show(
        "bench ledger",
        [
            {
                "batch": f"{each.batch:,}",
                "transfers/s": f"{each.rate:,.0f}",
                "x yardstick": f"{each.rate / mean:.2f}",
                "python µs": f"{each.python_us:.0f}",
                "postgres µs": f"{each.postgres_us:.0f}",
                "others": f"{each.others:.0%}" + (" busy" if each.others > BUSY_SHARE else ""),
            }
            for each in result.figures
        ],
    )
    print(f"yardstick {before:,.0f}/s before, {after:,.0f}/s after, mean {mean:,.0f}/s")
    same = "all stored" if result.posted == result.stored else f"BUT {result.stored:,} STORED"
    print(f"posted {result.posted:,}, {same}; books {'balance' if result.balanced else 'DO NOT BALANCE'}")

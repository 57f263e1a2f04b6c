"""How cost grows with what is stored: payments and postings after 10,000, 100,000 and 1,000,000 payments.

Filled through the turn itself, in this process and in large crowds, so that what is stored is what payments leave.
"""

import asyncio
import itertools
import random
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import msgspec

from bench import figures, ledger, payments, yardstick
from bench.stage import ACCOUNTS, People, Stage, api, populate, sql, staged, tidy
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.payments import Till, commands
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Key, Store

STORED: Final = (10_000, 100_000, 1_000_000)
QUICK_STORED: Final = (10_000, 100_000)
CONNECTIONS: Final = 64
BATCH: Final = 1000
_IN_FLIGHT: Final = 512
_TIMEZONE: Final = "Asia/Shanghai"


class Point(msgspec.Struct, frozen=True):
    """Measured with so many payments stored. `yardstick` was measured right before."""

    stored: int
    yardstick: float
    payments: payments.Figure
    ledger: ledger.Figure


class Result(msgspec.Struct, frozen=True):
    """The whole bench."""

    points: list[Point]
    checked: payments.Checked


async def main(seconds: float, stored: tuple[int, ...] = STORED) -> Result:
    """Measure, print, write bench/out/growth.json."""
    points: list[Point] = []
    async with staged() as stage:
        people = await populate(stage, payments.CROWDS * ACCOUNTS, payments.MERCHANTS)
        await yardstick.prepare(stage)
        async with Store.opened(stage.urls.app) as store:
            accounts = await ledger.ready_accounts(stage, store)
            filled = 0
            for place, count in enumerate(stored):
                filled += await fill(stage, store, people, count)
                points.append(await _point(stage, store, people, accounts, place, seconds))
        checked = await payments.check(stage, [point.payments for point in points], filled)
    result = Result(points, checked)
    show(result)
    figures.keep("growth", result)
    return result


async def fill(stage: Stage, store: Store, people: People, count: int) -> int:
    """Have at least `count` payments stored; how many were added."""
    async with store.tx("bench count") as tx:
        ((have, _),) = await tx.tuples(sql.committed, {"principal": stage.principal})
    clock = SystemClock()
    engine = await RiskEngine.open(store, None, clock, _TIMEZONE)
    till = Till(store, engine, clock, _TIMEZONE)
    orders = itertools.islice(_orders(people, stage.principal, have), max(0, count - have))

    async def one_after_another() -> int:
        paid = 0
        for command, key in orders:
            answer = await till.submit(command, key)
            assert answer.status == 201, answer
            paid += 1
        return paid

    paid = sum(await asyncio.gather(*[one_after_another() for _ in range(_IN_FLIGHT)]))
    await till.close()
    await tidy(stage)
    return paid


def _orders(people: People, principal: UUID, seed: int) -> Iterator[tuple[commands.Pay, Key]]:
    chance = random.Random(seed)
    for number in itertools.cycle(range(len(people.customers))):
        context = commands.Context(*payments.surroundings(number))
        merchant, amount = chance.choice(people.merchants), chance.randrange(1000, 10_000)
        command = commands.Pay(people.customers[number], merchant, amount, "CNY", context=context)
        yield command, Key(principal, str(new_id()), b"bench")


async def _point(
    stage: Stage, store: Store, people: People, accounts: list[UUID], place: int, seconds: float
) -> Point:
    async with store.tx("bench count") as tx:
        ((have, _),) = await tx.tuples(sql.committed, {"principal": stage.principal})
    yard = await yardstick.measure(stage, seconds)
    async with api(stage) as pid:
        step = payments.a_step(stage, people, place, connections=CONNECTIONS, hot=0.0, seconds=seconds)
        paid = await payments.measure(stage, pid, step)
    posted, _ = await ledger.measure(stage, store, accounts, BATCH, seconds)
    return Point(have, yard.rate, paid, posted)


def show(result: Result) -> None:
    """Print the table; costs are CPU per payment, which the machine's other work disturbs least."""
    first = result.points[0]
    figures.show(
        f"bench growth: payments at {CONNECTIONS} connections, ledger in batches of {BATCH:,}",
        [
            {
                "stored": f"{point.stored:,}",
                "yardstick/s": f"{point.yardstick:,.0f}",
                "payments/s": f"{point.payments.measured.rate:,.0f}",
                "x yardstick": f"{point.payments.measured.rate / point.yardstick:.2f}",
                "api + postgres µs": f"{_cost(point):.0f} ({figures.growth(_cost(first), _cost(point)):+.0f} %)",
                "transfers/s": f"{point.ledger.rate:,.0f}",
                "of yardstick": f"{point.ledger.rate / point.yardstick:.2f}",
                "python + postgres µs": f"{_posting(point):.0f}"
                f" ({figures.growth(_posting(first), _posting(point)):+.0f} %)",
            }
            for point in result.points
        ],
    )
    payments.print_check(result.checked)


def _cost(point: Point) -> float:
    return point.payments.api_us + point.payments.postgres_us


def _posting(point: Point) -> float:
    return point.ledger.python_us + point.ledger.postgres_us

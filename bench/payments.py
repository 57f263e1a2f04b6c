"""Whole payments over HTTP: authenticated, decided by risk, booked, receipt and outbox written; then counted.

A figure stands only if every acknowledged payment is in the database and the books balance.
"""

import asyncio
import random
import sys
from typing import Final
from uuid import UUID

import msgspec

from bench import figures, yardstick
from bench.load import Measured, Step
from bench.machine import BUSY_SHARE, usage
from bench.stage import ACCOUNTS, People, Stage, api, populate, sql, staged
from tillkeeper import ledger
from tillkeeper.base.ids import to_typeid
from tillkeeper.store import Store

CONNECTIONS: Final = (1, 16, 64, 256)
MERCHANTS: Final = 1000
# Every step has 10,000 funded customers of its own: at this rate the same ones would pay ten times within a minute,
# which the rules that come with Tillkeeper rightly take for a stolen wallet.
CROWDS: Final = 6
HOT_SHARE: Final = 0.5
SECONDS: Final = 8.0
QUICK_SECONDS: Final = 3.0
WARM_UP: Final = 2.0


class Figure(msgspec.Struct, frozen=True):
    """One step: connections, share of the hot merchant, what the load measured, costs in µs of CPU per payment."""

    connections: int
    hot: float
    measured: Measured
    api_us: float
    postgres_us: float
    load_us: float
    others: float

    @property
    def busy(self) -> bool:
        """Whether others worked on the machine meanwhile."""
        return self.others > BUSY_SHARE


class Checked(msgspec.Struct, frozen=True):
    """Acknowledged and committed payments, what became of them, and whether the books balance."""

    acknowledged: int
    payments: int
    stored_answers: int
    outcomes: dict[str, int]
    balanced: bool

    @property
    def good(self) -> bool:
        """Whether the figures count."""
        return self.balanced and self.acknowledged == self.payments == self.stored_answers


class Result(msgspec.Struct, frozen=True):
    """The whole bench. `yardstick`: before and after, transfers per second."""

    figures: list[Figure]
    yardstick: tuple[float, float]
    checked: Checked


async def main(seconds: float) -> Result:
    """Measure, print, write bench/out/payments.json."""
    async with staged() as stage:
        people = await populate(stage, CROWDS * ACCOUNTS, MERCHANTS)
        await yardstick.prepare(stage)
        before = await yardstick.measure(stage, seconds)
        found = []
        async with api(stage) as pid:
            steps = [(many, hot) for hot in (0.0, HOT_SHARE) for many in CONNECTIONS]
            for place, (many, hot) in enumerate(steps):
                step = a_step(stage, people, place, connections=many, hot=hot, seconds=seconds)
                found.append(await measure(stage, pid, step))
        after = await yardstick.measure(stage, seconds)
        result = Result(found, (before.rate, after.rate), await check(stage, found))
    show(result)
    figures.keep("payments", result)
    return result


def a_step(stage: Stage, people: People, place: int, *, connections: int, hot: float, seconds: float) -> Step:
    """The step with a number: it has its own crowd of customers, in an order of its own."""
    at = place % CROWDS * ACCOUNTS
    crowd = list(enumerate(people.customers))[at : at + ACCOUNTS]
    random.Random(place).shuffle(crowd)
    return Step(
        port=stage.settings.api_port,
        key=stage.key,
        connections=connections,
        warm_up=min(WARM_UP, seconds),
        seconds=seconds,
        payers=[payer(number, customer) for number, customer in crowd],
        payees=[to_typeid("mer", merchant) for merchant in people.merchants],
        hot=hot,
        seed=place,
    )


def payer(number: int, customer: UUID) -> str:
    """The beginning of a customer's payments."""
    device, ip, latitude, longitude = surroundings(number)
    return (
        f'{{"payer":"{to_typeid("cus", customer)}","currency":"CNY","device":"{device}","ip":"{ip}",'
        f'"place":{{"lat":{latitude:.2f},"lon":{longitude:.2f}}},"merchant":'
    )


def surroundings(number: int) -> tuple[str, str, float, float]:
    """A customer's own phone, address and home."""
    network, host = divmod(number, 250)
    ip = f"10.{network // 250}.{network % 250}.{host}"
    return f"phone-{number:x}", ip, 31.0 + number % 97 / 100, 121.0 + number % 89 / 100


async def measure(stage: Stage, api_pid: int, step: Step) -> Figure:
    """Run one step in a process of its own, and see who used the processors while it measured."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(step))
    process.stdin.close()
    await process.stdout.readline()
    groups = {"api": api_pid, "postgres": stage.postgres}
    before = usage(groups)
    await asyncio.sleep(step.seconds)
    used = usage(groups).since(before)
    measured = msgspec.json.decode(await process.stdout.read(), type=Measured)
    await process.wait()
    per_payment = 1e6 / max(1.0, measured.rate * step.seconds)
    load_seconds = measured.cpu_share * step.seconds
    return Figure(
        connections=step.connections,
        hot=step.hot,
        measured=measured,
        api_us=used.groups["api"] * per_payment,
        postgres_us=used.groups["postgres"] * per_payment,
        load_us=load_seconds * per_payment,
        others=used.others(load_seconds) / step.seconds,
    )


async def check(stage: Stage, found: list[Figure], filled: int = 0) -> Checked:
    """Compare what was acknowledged with what is stored, and verify the books. `filled`: payments made besides."""
    async with Store.opened(stage.urls.app) as store:
        async with store.tx("bench check") as tx:
            ((payments, answers),) = await tx.tuples(sql.committed, {"principal": stage.principal})
            outcomes = await tx.tuples(sql.outcomes)
        report = await ledger.verify(store)
    return Checked(
        acknowledged=filled + sum(each.measured.answers.get("201", 0) for each in found),
        payments=payments,
        stored_answers=answers,
        outcomes={f"{risk} {state}": count for state, risk, count in outcomes},
        balanced=report.balanced,
    )


def show(result: Result) -> None:
    """Print the table."""
    before, after = result.yardstick
    mean = (before + after) / 2
    figures.show("bench payments", [row(each, mean) for each in result.figures])
    print(f"yardstick {before:,.0f}/s before, {after:,.0f}/s after, mean {mean:,.0f}/s")
    print_check(result.checked)


def print_check(checked: Checked) -> None:
    """Say whether the figures count, and what became of the payments."""
    print(
        f"acknowledged {checked.acknowledged:,}, payments {checked.payments:,}, stored answers"
        f" {checked.stored_answers:,}, books {'balance' if checked.balanced else 'DO NOT BALANCE'}"
        + ("" if checked.good else ": THE FIGURES DO NOT COUNT")
    )
    total = sum(checked.outcomes.values())
    mix = sorted(checked.outcomes.items(), key=lambda pair: -pair[1])
    print("outcomes: " + ", ".join(f"{name} {count / total:.2%}" for name, count in mix))


def row(figure: Figure, mean: float) -> dict[str, str]:
    """A line of the table."""
    timed = figure.measured
    return {
        "connections": str(figure.connections),
        "merchants": "one has half" if figure.hot else "uniform",
        "payments/s": f"{timed.rate:,.0f}",
        "x yardstick": f"{timed.rate / mean:.2f}",
        "p50 ms": figures.milliseconds(timed.p50),
        "p95": figures.milliseconds(timed.p95),
        "p99": figures.milliseconds(timed.p99),
        "max": figures.milliseconds(timed.longest),
        "api µs": f"{figure.api_us:.0f}",
        "postgres µs": f"{figure.postgres_us:.0f}",
        "load µs": f"{figure.load_us:.0f}",
        "others": f"{figure.others:.0%}" + (" busy" if figure.busy else ""),
    }

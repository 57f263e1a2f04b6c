"""The vault: sealing and indexing, looking up a sealed column beside a plain one, rotation alone and beside payments."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec
import psycopg

from bench import figures, payments
from bench.load import Measured
from bench.machine import Usage, usage
from bench.stage import ACCOUNTS, People, Stage, api, populate, staged, tidy
from tillkeeper import parties
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.parties import Newcomer
from tillkeeper.store import Store, columns, queries
from tillkeeper.vault import Pace, Progress, Rotation, Vault, catalogue, root_of
from tillkeeper.vault.declarations import read

ROWS: Final = 200_000
QUICK_ROWS: Final = 60_000
CUSTOMERS: Final = 4  # times as many as phones: the rotations beside payments must not run out of work
LOOKUPS: Final = 4000
CHUNK: Final = 5000
CONNECTIONS: Final = 64
PAUSE: Final = 0.2  # 64 connections: some 300 payments/s, a busy shopping street
RESTS: Final = (0.0, 1.0, 4.0)
_POLL_SECONDS: Final = 0.05
_clock = SystemClock()
sql = queries("bench", "vault.sql")

PHONES: Final = read(
    {
        "bench": """
[sealed]
internal = ["id"]
[sealed.sealed.phone]
class = "C2"
purpose = "to be measured"
mask = "phone"
search = "exact"
"""
    }
)


class Sealing(msgspec.Struct, frozen=True):
    """Per second, one process: sealed and indexed values in memory; rows written with one of them, and in the clear."""

    in_memory: float
    written: float
    written_plain: float


class Lookup(msgspec.Struct, frozen=True):
    """µs, p50, of one look-up by phone with its transaction: in the clear; sealed, found by its tag; found and opened; and a
    customer with three cells, found and shown as masks.
    """

    plain: float
    found: float
    opened: float
    customer: float


class Mark(NamedTuple):
    """A moment of a walk: rows done, seconds, seconds on CPU of this process and of all."""

    done: int
    at: float
    python: float
    used: Usage


class Turned(msgspec.Struct, frozen=True):
    """A rotation alone: rows/s of its walk, µs of CPU a row, the share of a processor others used."""

    what: str
    rows: int
    rate: float
    python_us: float
    postgres_us: float
    others: float


class Beside(msgspec.Struct, frozen=True):
    """Payments and a rotation. `rest` None: no rotation; else how long it rests after a step, in times of the step."""

    load: str
    rest: float | None
    rotated: float
    measured: Measured
    others: float


class Result(msgspec.Struct, frozen=True):
    """The whole bench."""

    sealing: Sealing
    lookup: Lookup
    turned: list[Turned]
    beside: list[Beside]


async def measure(seconds: float, rows: int) -> Result:
    """The figures. `rows`: phones; customers are CUSTOMERS times as many."""
    async with staged() as stage:
        async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
            await admin.execute(sql.tables)
        async with (
            Store.opened(stage.urls.app) as store,
            Vault.opened(store, root_of(stage.settings), _clock, {**catalogue(), **PHONES}) as vault,
        ):
            numbers = phones(rows)
            sealing = await seal(store, vault, numbers)
            await sign_up(store, vault, CUSTOMERS * rows)
            await tidy(stage)
            lookup = await look_up(store, vault, numbers)
            turned = [
                each for purpose in ("data", "index") for each in await turn(stage, store, vault, purpose)
            ]
        people = await populate(stage, 2 * ACCOUNTS, payments.MERCHANTS)
        async with api(stage) as pid:
            beside = await side_by_side(stage, pid, people, seconds)
    return Result(sealing, lookup, turned, beside)


def phones(count: int) -> list[str]:
    """Invented numbers, all different."""
    return [f"+86138{number:08}" for number in random.Random(7).sample(range(10**8), count)]


async def seal(store: Store, vault: Vault, numbers: list[str]) -> Sealing:
    """Seal and index, in memory and into a table; and the same rows in the clear."""
    field, ids = vault.field("bench.sealed", "phone"), [new_id() for _ in numbers]
    begun = time.perf_counter()
    for id_, number in zip(ids, numbers, strict=True):
        field.seal(None, id_, number)
        field.tag(number)
    in_memory = len(numbers) / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for at in range(0, len(numbers), CHUNK):
        some, names = numbers[at : at + CHUNK], ids[at : at + CHUNK]
        cells = [field.seal(None, id_, number) for id_, number in zip(names, some, strict=True)]
        params = {"ids": columns.uuids(names), "phones": columns.blobs(cells)}
        async with store.tx("bench sealed") as tx:
            await tx.run(sql.add_sealed, params | {"tags": columns.blobs([field.tag(one) for one in some])})
    written = len(numbers) / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for at in range(0, len(numbers), CHUNK):
        params = {
            "ids": columns.uuids(ids[at : at + CHUNK]),
            "phones": columns.texts(numbers[at : at + CHUNK]),
        }
        async with store.tx("bench plain") as tx:
            await tx.run(sql.add_plain, params)
    return Sealing(in_memory, written, len(numbers) / (time.perf_counter() - begun))


async def look_up(store: Store, vault: Vault, numbers: list[str]) -> Lookup:
    """One after the other, in turns, so that all ways meet the same machine."""
    field, draw = vault.field("bench.sealed", "phone"), random.Random(8)
    took: list[list[float]] = [[], [], [], []]
    for place in draw.choices(range(len(numbers)), k=LOOKUPS):
        number = numbers[place]
        begun = time.perf_counter()
        async with store.tx("bench plain") as tx:
            ((_, plain),) = await tx.tuples(sql.find_plain, {"phone": number})
        took[0].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        async with store.tx("bench sealed") as tx:
            ((id_, cell),) = await tx.tuples(sql.find_sealed, field.tags(number))
        took[1].append(time.perf_counter() - begun)
        opened = field.unseal(None, id_, cell)
        took[2].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        async with store.tx("bench customer") as tx:
            (customer,) = await parties.customers_by(tx, vault, "phone", phone_of(place), 2)
        took[3].append(time.perf_counter() - begun)
        assert (plain, opened, customer.name) == (number, number, "王**")
    return Lookup(*(figures.percentile(sorted(each), 0.5) * 1e6 for each in took))


async def sign_up(store: Store, vault: Vault, count: int) -> None:
    """Customers with a name, a phone and an id number: three cells, three tags, a key."""
    for at in range(0, count, CHUNK):
        people = [
            Newcomer(new_id(), "王小明", None, phone_of(number), f"11010519491231{number % 10**4:04}")
            for number in range(at, min(at + CHUNK, count))
        ]
        async with store.tx("bench customers") as tx:
            await parties.add_customers(tx, vault, people, _clock.now())


def phone_of(number: int) -> str:
    """A customer's phone."""
    return f"+86139{number:08}"


async def turn(stage: Stage, store: Store, vault: Vault, purpose: str) -> list[Turned]:
    """One rotation without its waits for other processes, as there are none: what each table's walk took."""
    marks: dict[str, list[Mark]] = {}
    groups = {"postgres": stage.postgres}

    def tell(now: Progress) -> None:
        seen = marks.setdefault(now.doing, [])
        if len(seen) < 2 or now.share == 1.0:
            seen.append(Mark(now.done, time.perf_counter(), time.process_time(), usage(groups)))

    await Rotation(store, vault, root_of(stage.settings), _clock, purpose, "bench").run(tell, Pace(0, 0))
    return [turned(f"{table}, {purpose}", seen[0], seen[-1]) for table, seen in marks.items()]


def turned(what: str, first: Mark, last: Mark) -> Turned:
    """The figures between two marks of one table's walk."""
    rows, took, own = last.done - first.done, last.at - first.at, last.python - first.python
    used = last.used.since(first.used)
    return Turned(
        what,
        rows,
        rows / took,
        own / rows * 1e6,
        used.groups["postgres"] / rows * 1e6,
        used.others(own) / took,
    )


# -- beside payments


async def side_by_side(stage: Stage, api_pid: int, people: People, seconds: float) -> list[Beside]:
    """Payments without and with a rotation, in turns: first at a steady pace, then as many as go."""
    found: list[Beside] = []
    for load, pause, purpose in (("steady", PAUSE, "data"), ("all it takes", 0.0, "index")):
        for rest in (None, RESTS[0], None, RESTS[1], None, RESTS[2]):
            found.append(
                await beside(stage, api_pid, people, seconds, load, pause, rest, purpose, len(found))
            )
    return found


async def beside(
    stage: Stage,
    api_pid: int,
    people: People,
    seconds: float,
    load: str,
    pause: float,
    rest: float | None,
    purpose: str,
    place: int,
) -> Beside:
    """One step of payments, with a rotation walking all the time or without."""
    step = msgspec.structs.replace(
        payments.a_step(stage, people, place % 2, connections=CONNECTIONS, hot=0.0, seconds=seconds),
        pause=pause,
        seed=place,
    )
    if rest is None:
        figure = await payments.measure(stage, api_pid, step)
        return Beside(load, None, 0.0, figure.measured, figure.others)
    async with rotating(stage, rest, purpose) as done:
        before, begun = await done(), time.perf_counter()
        figure = await payments.measure(stage, api_pid, step)
        rate = (await done() - before) / (time.perf_counter() - begun)
    return Beside(load, rest, rate, figure.measured, figure.others)


@asynccontextmanager
async def rotating(stage: Stage, rest: float, purpose: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """`till keys rotate`, walking; stopped at the end of the block, to be taken up by the next."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILL_")}
    environment |= {"TILL_HOME": str(stage.settings.home)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillkeeper", "keys", "rotate", purpose, "--rest", str(rest), "--json"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:

        async def state() -> tuple[str, int]:
            row = await (await admin.execute(sql.rotation, {"purpose": purpose})).fetchone()
            return (str(row[0]), int(row[1])) if row else ("", 0)

        async def done() -> int:
            return (await state())[1]

        first = await done()
        while (now := await state())[0] != "walking" or now[1] == first:
            assert process.returncode is None, "the rotation ended before it was measured"
            await asyncio.sleep(_POLL_SECONDS)
        yield done
        assert (await state())[0] == "walking", "the rotation had no work left: more rows are needed"
        process.send_signal(signal.SIGTERM)
        await process.wait()


def show(result: Result) -> None:
    """Print the tables."""
    sealing, lookup = result.sealing, result.lookup
    figures.show(
        "bench vault",
        [
            {
                "sealed and indexed, in memory /s": f"{sealing.in_memory:,.0f}",
                "written rows/s": f"{sealing.written:,.0f}",
                "in the clear": f"{sealing.written_plain:,.0f}",
            }
        ],
    )
    figures.show(
        "look-up by phone, p50",
        [
            {"": name, "µs": f"{value:.0f}", "of in the clear": f"{value / lookup.plain:.3f}"}
            for name, value in (
                ("in the clear", lookup.plain),
                ("sealed, found", lookup.found),
                ("sealed, found and opened", lookup.opened),
                ("a customer, three cells shown as masks", lookup.customer),
            )
        ],
    )
    figures.show(
        "rotation alone",
        [
            {
                "of": each.what,
                "rows": f"{each.rows:,}",
                "rows/s": f"{each.rate:,.0f}",
                "python µs": f"{each.python_us:.0f}",
                "postgres µs": f"{each.postgres_us:.0f}",
                "others": f"{each.others:.0%}",
            }
            for each in result.turned
        ],
    )
    figures.show("payments beside a rotation", [beside_row(each) for each in result.beside])


def beside_row(each: Beside) -> dict[str, str]:
    """A line of the last table."""
    return {
        "payments": each.load,
        "rotation": "none" if each.rest is None else f"rests {each.rest:g} x",
        "rows/s": "" if each.rest is None else f"{each.rotated:,.0f}",
        "payments/s": f"{each.measured.rate:,.0f}",
        "p50 ms": figures.milliseconds(each.measured.p50),
        "p95": figures.milliseconds(each.measured.p95),
        "p99": figures.milliseconds(each.measured.p99),
        "others": f"{each.others:.0%}",
    }


async def main(seconds: float, *, quick: bool) -> None:
    """Measure, print, and keep as JSON."""
    result = await measure(seconds, QUICK_ROWS if quick else ROWS)
    show(result)
    figures.keep("vault", result)

"""The audit trail: events written by 8 writers with a commit each, sealing, verification, a proof.

The yardstick is pgbench with 8 clients that insert the same columns into a table with a primary key and nothing else.
"""

import asyncio
import sys
import tempfile
import time
from typing import Final

import msgspec
import psycopg
import uvloop

from bench import figures
from bench.stage import Stage, staged
from bench.yardstick import rate_in
from tillkeeper import audit
from tillkeeper.base.clock import SystemClock
from tillkeeper.store import Store, queries
from tillkeeper.store.embedded import programs

WRITERS: Final = 8
EVENTS: Final = 1_000_000
QUICK_EVENTS: Final = 100_000
_INSERT: Final = """\
INSERT INTO {table} (id, actor, action, subject, reason, origin, result)
VALUES (uuidv7(), 'person-7', 'customer.revealed', 'cus_01h455vb4pex5vsknk084sn02q', 'phone: ticket T-1', '203.0.113.7', 'done');
"""
_clock = SystemClock()
sql = queries("bench", "audit.sql")


class Appended(msgspec.Struct, frozen=True):
    """Events a second of 8 writers, each committed alone: by pgbench, by processes of ours, and these beside the sealer.

    `lag`: the longest that an event waited for its seal meanwhile, seconds.
    """

    yardstick_before: float
    pgbench: float
    processes: float
    beside_sealer: float
    lag: float
    yardstick_after: float


class Tree(msgspec.Struct, frozen=True):
    """Events a second of the sealer with a backlog and of a verification; a proof among so many events, seconds."""

    events: int
    sealed: float
    verified: float
    proof: float


async def main(seconds: float, *, quick: bool) -> None:
    """Measure, print, keep."""
    async with staged() as stage:
        appended = await _append(stage, seconds)
        tree = await _tree(stage, QUICK_EVENTS if quick else EVENTS)
    titles = ("yardstick", "pgbench", "processes", "beside the sealer", "longest lag s", "yardstick after")
    values = msgspec.structs.astuple(appended)
    shown = [
        f"{value:.2f}" if name.startswith("longest") else f"{value:,.0f}"
        for name, value in zip(titles, values, strict=True)
    ]
    figures.show(f"events/s, {WRITERS} writers, a commit each", [dict(zip(titles, shown, strict=True))])
    figures.show(
        f"{tree.events:,} events",
        [
            {
                "sealed/s": f"{tree.sealed:,.0f}",
                "verified/s": f"{tree.verified:,.0f}",
                "proof s": f"{tree.proof:.2f}",
            }
        ],
    )
    figures.keep("audit", {"appended": appended, "tree": tree})


async def _append(stage: Stage, seconds: float) -> Appended:
    async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
        await admin.execute(sql.plain)
    before = await _pgbench(stage, "plain", seconds)
    pgbench = await _pgbench(stage, "audit.events", seconds)
    processes = await _processes(stage, seconds)
    beside, lag = await _beside_sealer(stage, seconds)
    return Appended(before, pgbench, processes, beside, lag, await _pgbench(stage, "plain", seconds))


async def _pgbench(stage: Stage, table: str, seconds: float) -> float:
    """Inserts a second into a table, by the statement that our own writers use."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_INSERT.format(table=table))
        script.flush()
        process = await asyncio.create_subprocess_exec(
            str(programs() / "pgbench"),
            *("--no-vacuum", "--protocol=prepared", f"--client={WRITERS}", "--jobs=2"),
            *(f"--time={seconds:.0f}", f"--file={script.name}", stage.urls.admin),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaint = await process.communicate()
    return rate_in(said.decode() + complaint.decode())


async def _processes(stage: Stage, seconds: float) -> float:
    """Events a second of 8 processes through the door that everybody uses."""
    command = (sys.executable, "-m", "bench.audit", stage.urls.app, str(seconds))
    started = [
        await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(WRITERS)
    ]
    said = [(await process.communicate())[0] for process in started]
    return sum(float(each) for each in said)


async def _write(url: str, seconds: float) -> float:
    """What one of the processes does; events a second."""
    async with Store.opened(url, size=1) as store:
        for _ in range(50):  # connections, plans and caches are there
            await _one(store)
        begun, count = time.perf_counter(), 0
        while (took := time.perf_counter() - begun) < seconds:
            await _one(store)
            count += 1
    return count / took


async def _one(store: Store) -> None:
    async with store.tx("bench") as tx:
        await audit.append(
            tx,
            "person-7",
            "customer.revealed",
            "cus_01h455vb4pex5vsknk084sn02q",
            "phone: ticket T-1",
            "203.0.113.7",
        )


async def _beside_sealer(stage: Stage, seconds: float) -> tuple[float, float]:
    """The same while an agent's sealer works, and how far that fell behind."""
    longest = 0.0
    async with Store.opened(stage.urls.app, size=2) as store:
        sealer = _sealer(store, stage)
        while await sealer.beat():  # what was written before
            pass
        sealing = asyncio.create_task(sealer.run())
        writing = asyncio.create_task(_processes(stage, seconds))
        while not writing.done():
            async with store.tx("bench lag") as tx:
                longest = max(longest, (await audit.unsealed(tx))[1])
            await asyncio.sleep(0.1)
        sealing.cancel()
        await asyncio.gather(sealing, return_exceptions=True)
        return writing.result(), longest


def _sealer(store: Store, stage: Stage) -> audit.Sealer:
    folder = stage.settings.key_folder
    return audit.Sealer(store, folder, audit.anchors_of(folder, []), _clock)


async def _tree(stage: Stage, events: int) -> Tree:
    """Seal a backlog, verify everything, prove one event."""
    async with Store.opened(stage.urls.app, size=2) as store:
        sealer = _sealer(store, stage)
        while await sealer.beat():
            pass
        async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
            await admin.execute(sql.backlog, {"rows": events})
            await admin.execute(sql.statistics)
        begun = time.perf_counter()
        while await sealer.beat():
            pass
        sealed = time.perf_counter() - begun
        sealer.tend()
        await sealer.settled()
        await sealer.stop()
        async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
            await admin.execute(sql.statistics)
            row = await (await admin.execute(sql.an_event)).fetchone()
        assert row is not None
        folder = stage.settings.key_folder
        ring = audit.find_ring(folder)
        begun = time.perf_counter()
        report = await audit.verify(store, ring, audit.anchors_of(folder, []), _clock)
        verified = time.perf_counter() - begun
        assert report.state == "holds", report
        begun = time.perf_counter()
        await audit.prove(store, row[0], ring)
        return Tree(report.size, events / sealed, report.size / verified, time.perf_counter() - begun)


if __name__ == "__main__":
    sys.stdout.write(f"{uvloop.run(_write(sys.argv[1], float(sys.argv[2])))}\n")

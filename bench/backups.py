"""Backup, restore and drill of a database of a given size while payments are booked: durations, RPO, RTO."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import msgspec
import psycopg

from bench import figures
from bench.stage import Stage, open_funded, staged
from tillkeeper import audit, ledger
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.ledger import Entry, Op, Outcome
from tillkeeper.maintenance.backups import LogArchive, backup_now, drill, restore_into
from tillkeeper.store import Store
from tillkeeper.vault import root_of

T = TypeVar("T")
BYTES: Final = 1 << 30
_ROW: Final = 1024
_WRITING_SECONDS: Final = 5.0
_BATCH: Final = 100
_clock = SystemClock()


class Figures(msgspec.Struct, frozen=True):
    """Seconds and bytes. `drill_seconds` is all of it, `rto_seconds` until the restored database took connections."""

    database_bytes: int
    full_seconds: float
    full_bytes: int
    incremental_seconds: float
    incremental_bytes: int
    restore_seconds: float
    drill_seconds: float
    rpo_seconds: float
    rto_seconds: float
    log_mib_a_second: float


def main() -> None:
    """Measure one GiB, print, and write bench/out/backups.json."""
    asyncio.run(measure(BYTES))


async def measure(size: int) -> Figures:
    """Fill a database, and take it through everything."""
    async with staged() as stage, Store.opened(stage.urls.app) as store:
        await root_of(stage.settings).make()
        await _seal(store, stage)
        await _fill(stage, size)
        async with _archive(store, stage), _writing(store) as written:
            full, full_seconds = await _timed(backup_now(stage.settings, _clock, full=True))
            await asyncio.sleep(_WRITING_SECONDS)
            more, more_seconds = await _timed(backup_now(stage.settings, _clock))
            before = written.bytes
            await asyncio.sleep(_WRITING_SECONDS)
            rate = (written.bytes - before) / _WRITING_SECONDS
            proof, drill_seconds = await _timed(drill(stage.settings, _clock))
            assert proof.passed, proof.checks
        into = stage.settings.home.with_name("restored")
        _, restore_seconds = await _timed(restore_into(stage.settings, into, _clock))
        found = Figures(
            database_bytes=full.database_bytes or 0,
            full_seconds=full_seconds,
            full_bytes=full.bytes or 0,
            incremental_seconds=more_seconds,
            incremental_bytes=more.bytes or 0,
            restore_seconds=restore_seconds,
            drill_seconds=drill_seconds,
            rpo_seconds=proof.rpo_seconds,
            rto_seconds=proof.rto_seconds,
            log_mib_a_second=rate / 2**20,
        )
    _say(found)
    figures.keep("backups", found)
    return found


async def _timed(work: Awaitable[T]) -> tuple[T, float]:
    begun = time.monotonic()
    done = await work
    return done, time.monotonic() - begun


async def _seal(store: Store, stage: Stage) -> None:
    sealer = audit.Sealer(store, stage.settings.key_folder, [], _clock)
    while await sealer.beat():
        pass


async def _fill(stage: Stage, size: int) -> None:
    """Hexadecimal noise: about as compressible as rows of ids and amounts."""
    async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
        await admin.execute(
            "CREATE TABLE public.filler AS SELECT n, (SELECT string_agg(md5(n::text || i::text), '')"
            " FROM generate_series(1, 32) AS i) AS noise FROM generate_series(1, %s::integer) AS n",
            [size // _ROW],
        )
        await admin.execute("CHECKPOINT")


@asynccontextmanager
async def _archive(store: Store, stage: Stage) -> AsyncIterator[None]:
    task = asyncio.ensure_future(LogArchive(store, stage.urls, stage.settings, _clock).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Written:
    """How much of the log was written so far."""

    bytes = 0


@asynccontextmanager
async def _writing(store: Store) -> AsyncIterator[_Written]:
    """Transfers, booked as fast as one connection can."""
    async with store.tx("bench accounts") as tx:
        accounts = await open_funded(tx, 200)
    written = _Written()

    async def write() -> None:
        while True:
            async with store.tx("bench writes") as tx:
                pairs = zip(accounts[:_BATCH], accounts[_BATCH:], strict=True)
                entries = [
                    Entry(new_id(), Op.POST, one, other, 1, "bench", new_id(), event_at=_clock.now())
                    for one, other in pairs
                ]
                outcomes = await ledger.post(tx, entries, _clock.now())
            assert set(outcomes) == {Outcome.OK}, set(outcomes)
            async with store.tx("bench log") as tx:
                written.bytes = int(await tx.value(b"SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))
            await asyncio.sleep(0.05)

    task = asyncio.ensure_future(write())
    try:
        yield written
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _say(found: Figures) -> None:
    mib = 2**20
    sys.stdout.write(
        f"database {found.database_bytes / mib:,.0f} MiB, {found.log_mib_a_second:.1f} MiB/s of log meanwhile\n"
        f"full backup        {found.full_seconds:6.1f} s, {found.full_bytes / mib:,.0f} MiB stored\n"
        f"incremental backup {found.incremental_seconds:6.1f} s, {found.incremental_bytes / mib:,.0f} MiB stored\n"
        f"restore            {found.restore_seconds:6.1f} s\n"
        f"drill              {found.drill_seconds:6.1f} s, RPO {found.rpo_seconds:.1f} s, RTO {found.rto_seconds:.1f} s\n"
    )

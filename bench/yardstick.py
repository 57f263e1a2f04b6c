"""The yardstick: what the same PostgreSQL does with a minimal single-transfer function, called by bare pgbench."""

import asyncio
import re
import resource
import tempfile
from typing import Final

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.machine import usage
from bench.stage import Stage
from tillkeeper.store import queries
from tillkeeper.store.embedded import programs

CLIENTS: Final = 32
_THREADS: Final = 2
_DATABASE: Final = "yardstick"
# One function call a transaction: the shortest form that locks, checks, moves and writes.
_SCRIPT: Final = """\
\\set debit random(1, 10000)
\\set other random(1, 9999)
\\set credit case when :other >= :debit then :other + 1 else :other end
SELECT transfer(:debit, :credit, 1);
"""
_sql = queries("bench", "yardstick.sql")


class Yardstick(msgspec.Struct, frozen=True):
    """Transfers per second, and the share of one processor that others used meanwhile."""

    rate: float
    others: float


async def prepare(stage: Stage) -> None:
    """The yardstick's own database on the stage's server."""
    async with await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin:
        await admin.execute(f"CREATE DATABASE {_DATABASE}".encode())
    async with await psycopg.AsyncConnection.connect(_url(stage), autocommit=True) as own:
        await own.execute(_sql.make)
        await own.execute(b"VACUUM (ANALYZE)")


async def measure(stage: Stage, seconds: float) -> Yardstick:
    """Run pgbench for so long. Raises RuntimeError with its words when it fails."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_SCRIPT)
        script.flush()
        before, own = usage({"postgres": stage.postgres}), _ended_children()
        process = await asyncio.create_subprocess_exec(
            str(programs() / "pgbench"),
            *("--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", f"--jobs={_THREADS}"),
            *(f"--time={seconds:.0f}", f"--file={script.name}", _url(stage)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaint = await process.communicate()
        used = usage({"postgres": stage.postgres}).since(before)
    return Yardstick(
        rate_in(said.decode() + complaint.decode()), used.others(_ended_children() - own) / seconds
    )


def rate_in(said: str) -> float:
    """The rate in what pgbench says at its end. Raises RuntimeError when it says none."""
    found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench failed: {said.strip()}")
    return float(found[1])


def _ended_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _url(stage: Stage) -> str:
    return make_conninfo("", **{**conninfo_to_dict(stage.urls.admin), "dbname": _DATABASE})

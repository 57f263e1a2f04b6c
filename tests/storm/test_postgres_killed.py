"""PostgreSQL is killed with SIGKILL again and again under load, the postmaster or its backends; nothing durable is lost."""

import asyncio
import os
import random
import signal
from pathlib import Path

import psycopg
import pytest

from tests.support.siege import Siege, besieged
from tests.support.storm import created
from tillkeeper.store.embedded import EmbeddedServer

SECONDS = float(os.environ.get("STORM_SECONDS", "10"))


async def test_a_killed_server_is_started_again_by_its_users(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path).running() as server, EmbeddedServer(tmp_path).running() as other:
        with psycopg.connect(server.admin_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(120):
            while server.pid in {first, None}:  # noqa: ASYNC110 - there is no event of another process's birth
                await asyncio.sleep(0.05)
        async with asyncio.timeout(120):
            assert await _number(other.admin_url) == 7
        assert server.pid == other.pid


async def _number(url: str) -> int:
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(url) as connection:
                cursor = await connection.execute("SELECT number FROM kept")
                row = await cursor.fetchone()
                assert row is not None
                return int(row[0])
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)


@pytest.mark.timeout(SECONDS + 400)
async def test_every_promise_is_kept_though_postgresql_is_killed(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, kills = random.Random(seed), {"postmaster": 0, "backend": 0}

    async def strike(siege: Siege) -> int:
        await siege.api.ready()
        await asyncio.sleep(rng.uniform(0.3, 1.5))
        whom = rng.choice(list(kills))
        killed = _kill(siege.server, whom, rng)
        kills[whom] += killed
        return killed

    async with besieged(tmp_path) as siege:
        storm, broken = await siege.withstand(seed, SECONDS, strike)
        words = siege.last_words()
        starts = siege.api.starts
    with capsys.disabled():
        print(f"\nstorm {seed}: {kills} kills, {len(storm.promises)} promises, weather {dict(storm.weather)}")
    assert broken == [], words
    assert len(created(list(storm.promises.values()))) > 20
    assert starts == 1, words  # the api itself outlives its database


def _kill(server: EmbeddedServer, whom: str, rng: random.Random) -> int:
    """SIGKILL to the postmaster, or to one of the processes that serve the application. How many."""
    if server.pid is None:
        return 0
    if whom == "postmaster":
        os.kill(server.pid, signal.SIGKILL)
        return 1
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    serving = [pid for pid in children if b"till_app" in _command_line(pid)]
    if not serving:
        return 0
    os.kill(int(rng.choice(serving)), signal.SIGKILL)
    return 1


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

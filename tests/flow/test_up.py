"""`till up` as a person uses it: addresses, a process that dies comes back, one that is restarted is never missed, and
nothing is left when it ends.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest

from tests.support.ports import free_port
from tests.support.steps import Trial
from tillkeeper.base.clock import SystemClock
from tillkeeper.maintenance.steps.workers_restart import Parameters, WorkersRestart
from tillkeeper.store import Store, leases
from tillkeeper.store.embedded import EmbeddedServer

WAIT_SECONDS = 180
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes under /proc"),
]


def wait_for(what: str, true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.05)
    pytest.fail(f"not within {WAIT_SECONDS} s: {what}")


def answers(url: str, seconds: float = 5) -> bool:
    try:
        with urlopen(url, timeout=seconds) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Up:
    """A running `till up` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TILL_")},
            "TILL_HOME": str(home),
            "TILL_API_PORT": str(free_port()),
            "TILL_CONSOLE_PORT": str(free_port()),
            "TILL_STATUS_PORT": str(free_port()),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tillkeeper", "up", "--json"],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def pids(self) -> dict[int, str]:
        """Every process that belongs to this home, with its command line."""
        found = {}
        mark = f"TILL_HOME={self.home}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    mark in (folder / "environ").read_bytes().split(b"\0")
                    or str(self.home).encode() in (folder / "cmdline").read_bytes()
                ):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def pid_of(self, name: str) -> int:
        """The child of this name. What a child starts looks like it for a moment: a fork has its parent's command line."""
        children = (pid for pid, command in self.pids().items() if f"serve {name}" in command)
        (pid,) = (pid for pid in children if parent_of(pid) == self.process.pid)
        return pid

    def is_gone(self) -> bool:
        return not self.pids() and EmbeddedServer(self.home).pid is None


def parent_of(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


@pytest.fixture
def up() -> Iterator[Up]:
    with tempfile.TemporaryDirectory(prefix="till-up-") as folder:
        started = Up(Path(folder))
        try:
            yield started
        finally:
            started.process.kill()
            started.process.communicate()
            wait_for("nothing is left", started.is_gone)


def test_up_serves_restarts_and_stops(up: Up) -> None:
    said = up.said()
    assert answers(f"{said['api']}/health", WAIT_SECONDS)
    assert answers(said["sign_in"], WAIT_SECONDS)
    wait_for("the status page is there", lambda: answers(f"{said['status']}/status.json"))

    first = {name: up.pid_of(name) for name in ("api", "console", "agent")}
    asyncio.run(killed_and_restarted(up, first, said["api"]))
    wait_for("the console is back", lambda: answers(f"{said['console']}/sign-in"))
    assert all(up.pid_of(name) != pid for name, pid in first.items())

    up.process.send_signal(signal.SIGINT)
    up.process.send_signal(signal.SIGINT)  # an impatient second Ctrl-C must not leave anything behind
    assert up.process.wait(WAIT_SECONDS) == 0
    assert up.is_gone()


async def killed_and_restarted(up: Up, pids: dict[str, int], api: str) -> None:
    """Console and agent are killed while the api is restarted as a plan would; nobody who calls the api is refused."""
    heard: list[bool] = []

    async def call() -> None:
        while True:
            heard.append(await asyncio.to_thread(answers, f"{api}/health", WAIT_SECONDS))
            await asyncio.sleep(0.03)

    async with (
        EmbeddedServer(up.home).running() as server,
        Store.opened(server.app_url, size=2) as store,
        await psycopg.AsyncConnection.connect(server.admin_url, autocommit=True) as admin,
    ):
        before = await agent_of(store)
        calling = asyncio.create_task(call())
        for name in ("console", "agent"):
            os.kill(pids[name], signal.SIGKILL)
        # Nobody could wait for the dead one's lease to run out: its successor sees that it is dead.
        await admin.execute("UPDATE store.leases SET expires_at = now() + interval '1 hour'")
        await restarted(store)
        async with asyncio.timeout(WAIT_SECONDS):
            while await agent_of(store) in {None, before}:  # noqa: ASYNC110 - another process rings no bell
                await asyncio.sleep(0.05)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
    assert heard  # on a busy machine a call may wait for most of the restart
    assert all(heard)


async def agent_of(store: Store) -> str | None:
    async with store.tx("test") as tx:
        found = await leases.holder(tx, "agent")
    return found.holder if found else None


async def restarted(store: Store) -> None:
    """A rolling restart of the api: the step needs of its site no more than this."""
    site: Any = SimpleNamespace(store=store, clock=SystemClock(), production=True)
    step, given = WorkersRestart(), Parameters(drain_seconds=60, ready_seconds=300)  # a busy machine's
    evidence = await step.run(site, given, Trial())
    assert all(each.ok for each in await step.verify(site, given, evidence))


def test_killed_up_leaves_nothing_behind(up: Up) -> None:
    up.said()
    up.process.kill()
    wait_for("the children noticed and the last one stopped PostgreSQL", up.is_gone)

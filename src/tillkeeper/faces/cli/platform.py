"""Everything together: PostgreSQL, and api, console, agent and status as processes that are watched and restarted."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.opening import face_url
from tillkeeper.faces.cli.output import CANNOT, CliError
from tillkeeper.faces.cli.schema import bring_up_to_date
from tillkeeper.faces.cli.serve import listen
from tillkeeper.store.opening import Urls, database

_POLL_SECONDS: Final = 0.05


class Platform(msgspec.Struct, frozen=True):
    """What runs, and where."""

    api_url: str
    console_url: str
    status_url: str
    urls: Urls
    logs: Path


@asynccontextmanager
async def platform(
    chosen: Settings, greet: Callable[[Urls], Awaitable[None]] | None = None
) -> AsyncIterator[Platform]:
    """Everything started and ready for the block, and stopped in order after it.

    `greet` is called as soon as the console can be looked at: a first start of the api takes longer.
    Raises CliError: a port is taken, a process does not become ready, or one died CHILD_RESTARTS times in a row
    (which also ends the block).
    """
    logs = chosen.home.absolute() / "log"
    with ExitStack() as doors:
        children = _children(chosen, logs, doors)
        async with database(chosen) as urls:
            await bring_up_to_date(chosen, urls)
            logs.mkdir(parents=True, exist_ok=True)
            async with _kept_alive(children):
                await _ready(chosen.host, chosen.console_port, "console", logs)
                if greet is not None:
                    await greet(urls)
                await _ready(chosen.host, chosen.api_port, "api", logs)
                yield Platform(
                    face_url(chosen, chosen.api_port),
                    chosen.console_address,
                    face_url(chosen, chosen.status_port),
                    urls,
                    logs,
                )


def _children(chosen: Settings, logs: Path, doors: ExitStack) -> list["Child"]:
    """The processes. Those that serve get a socket that stays ours: while one restarts, whoever calls waits for the next."""
    tls = ["--tls"] if chosen.tls else []
    api = doors.enter_context(listen(chosen.host, chosen.api_port))
    console = doors.enter_context(listen(chosen.host, chosen.console_port))
    status = doors.enter_context(listen(chosen.host, chosen.status_port))
    return [
        Child("api", logs, tls, api),
        Child("console", logs, tls, console),
        Child("agent", logs),
        Child("status", logs, tls, status),
    ]


@asynccontextmanager
async def _kept_alive(children: Sequence["Child"]) -> AsyncIterator[None]:
    """The children live for the block; when one is given up, the block is cancelled and its CliError raised."""
    block = asyncio.current_task()
    assert block is not None
    given_up: list[CliError] = []

    async def watch(child: Child) -> None:
        try:
            await child.keep_alive()
        except CliError as error:
            given_up.append(error)
            block.cancel()

    watching = [asyncio.create_task(watch(child)) for child in children]
    try:
        yield
    except asyncio.CancelledError:
        if not given_up:
            raise
        block.uncancel()
        raise given_up[0] from None
    finally:
        for each in watching:
            each.cancel()
        await asyncio.gather(*(child.stop() for child in children))


class Child:
    """One of our processes, with its log."""

    def __init__(
        self,
        name: str,
        logs: Path,
        options: Sequence[str] = (),
        door: socket.socket | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._doors = () if door is None else (door.fileno(),)
        self._options = [*options, *(f"--fd={fd}" for fd in self._doors)]
        self.log = logs / f"{name}.log"
        self._clock = clock or SystemClock()
        self._process: Process | None = None
        self._deaths: deque[float] = deque(maxlen=limits.CHILD_RESTARTS)

    async def keep_alive(self) -> None:
        """Start it, and start it again when it dies. Raises CliError when it dies too often."""
        while True:
            self._process = await self._start()
            code = await self._process.wait()
            if code == CANNOT or (code != 0 and self._dies_often()):  # 0: it was asked to restart
                raise CliError(f"{self.name} cannot go on: {self._last_words()}", f"its log is {self.log}")
            await asyncio.sleep(limits.CHILD_RESTART_PAUSE_SECONDS)

    async def stop(self) -> None:
        """SIGTERM; SIGKILL after CHILD_STOP_SECONDS."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), limits.CHILD_STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _dies_often(self) -> bool:
        now = self._clock.monotonic()
        self._deaths.append(now)
        often = len(self._deaths) == limits.CHILD_RESTARTS
        return often and now - self._deaths[0] < limits.CHILD_RESTART_WINDOW_SECONDS

    async def _start(self) -> Process:
        if self.log.exists() and self.log.stat().st_size > limits.CHILD_LOG_BYTES:
            self.log.rename(self.log.with_suffix(".log.1"))
        command = [sys.executable, "-m", "tillkeeper", "serve", self.name, "--with-parent", *self._options]
        with self.log.open("ab") as log:
            # A pipe that only ends when we do tells it to stop even if we are killed; a session of its own keeps
            # Ctrl-C at the terminal from it, so that things stop in order.
            return await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=log, stderr=log, start_new_session=True, pass_fds=self._doors
            )

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
            said = [line.removeprefix("till: ") for line in lines if line[:1].strip()]
            return (said or ["it said nothing"])[-1]
        return "it said nothing"


async def _ready(host: str, port: int, name: str, logs: Path) -> None:
    deadline = asyncio.get_running_loop().time() + limits.SERVE_READY_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(_POLL_SECONDS)
        else:
            writer.close()
            return
    raise CliError(
        f"{name} was not ready within {limits.SERVE_READY_SECONDS:.0f} s", f"see {logs / name}.log"
    )

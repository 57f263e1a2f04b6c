"""Work that a process of its own does for us: bounded, and ended with all that it started when its time is over or we end."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from tillkeeper.base import limits
from tillkeeper.base.discretion import discreet


class Ended(NamedTuple):
    """How a child ended. `code`: its exit code; None: its time was over. `said`: the last of what it complained of, with what
    is personal masked.
    """

    code: int | None
    said: str


async def carried_out(command: Sequence[str], seconds: float, grace: float = 0.0) -> Ended:
    """Carry a command out. It may take `seconds`; told to end, it has `grace` seconds to put its things in order. Raises
    OSError where it cannot be started.
    """
    # Who is cancelled while it starts has it all the same, and ends it: else what it started by then would live on.
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True
        )
    )
    try:
        async with asyncio.timeout(seconds):
            process = await asyncio.shield(starting)
            assert process.stderr is not None
            said = await last_words(process.stderr)
            code = await process.wait()
    except TimeoutError:
        return Ended(None, f"it did not end within {seconds:.0f} s")
    finally:
        await _end(await starting, grace)
    return Ended(code, discreet(said.strip()))


async def started(command: Sequence[str], **how: Any) -> Process:
    """A program that has begun and leads a group of its own. Whoever is cancelled meanwhile has ended all of it: what it had
    started by then would live on. Raises OSError where it cannot be started.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, start_new_session=True, **how))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(OSError):
            process = await starting
            kill_group(process.pid)
            await process.wait()
        raise


async def last_words(stream: asyncio.StreamReader) -> str:
    """What a program says, read to its end so that it never waits for us; the last of it."""
    kept = b""
    while chunk := await stream.read(limits.COMMAND_OUTPUT_BYTES):
        kept = (kept + chunk)[-limits.COMMAND_OUTPUT_BYTES :]
    return kept.decode(errors="replace")


def kill_group(leader: int) -> None:
    """Kill a process that leads its group, and all that it started."""
    with suppress(ProcessLookupError, PermissionError):  # all of it has ended
        os.killpg(leader, signal.SIGKILL)


async def _end(process: Process, grace: float) -> None:
    try:
        with suppress(ProcessLookupError, TimeoutError):
            process.terminate()
            await asyncio.wait_for(process.wait(), grace)
    finally:
        kill_group(process.pid)  # also when we are told a second time to leave: its time is over then
    await process.wait()

"""A process that works for us is bounded, says why it failed, and leaves nothing behind."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tillkeeper.base import limits
from tillkeeper.store.children import Ended, carried_out


async def test_how_it_ended_and_the_last_of_what_it_said() -> None:
    assert await carried_out(["/bin/true"], 60) == Ended(0, "")
    long = "import sys; sys.stderr.write('x' * 100_000 + ' call 13800138000, no room'); sys.exit(3)"
    code, said = await carried_out([sys.executable, "-c", long], 60)
    assert code == 3
    assert said.endswith("no room")
    assert "13800138000" not in said
    assert len(said) <= limits.COMMAND_OUTPUT_BYTES
    with pytest.raises(FileNotFoundError):
        await carried_out(["/nowhere"], 60)


async def test_its_time_is_over() -> None:
    assert await carried_out(["/bin/sleep", "600"], 0.05) == Ended(None, "it did not end within 0 s")


@pytest.mark.parametrize("pause", [0.0, 0.2])
async def test_nothing_it_started_outlives_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    """Nor does it when we are ended while it starts (`pause`: that takes so long after it has begun to work)."""
    note, start = tmp_path / "pid", asyncio.create_subprocess_exec

    async def slowly(*command: str, **more: Any) -> asyncio.subprocess.Process:
        process = await start(*command, **more)
        await until(note.exists)
        await asyncio.sleep(pause)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
    script = f"trap '' TERM; sleep 600 & echo $! > {note}.new; mv {note}.new {note}; wait; sleep 600"
    working = asyncio.ensure_future(carried_out(["/bin/sh", "-c", script], 600))
    await until(note.exists)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await until(lambda: not lives(int(note.read_text())))


async def test_told_twice_to_end_we_wait_for_nobody(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {note}.new; mv {note}.new {note}; while :; do sleep 600; done"
    working = asyncio.ensure_future(carried_out(["/bin/sh", "-c", script], 600, grace=600))
    await until(note.exists)
    for _ in range(2):
        working.cancel()
        await asyncio.sleep(0.05)
    await asyncio.gather(working, return_exceptions=True)
    await until(lambda: not lives(int(note.read_text())))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""An agent that is killed with SIGKILL at every line of a run's journal, one line after the other; a program of its own.

    python -m tests.support.run_storm APP_URL ADMIN_URL SEED

For each line there is a run of three steps, which succeeds and is then undone: the agent dies before or after it writes that
line, and another one goes on. Forked, so that not every agent pays for its imports. Prints a JSON line a run.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from uuid import UUID

from tests.support.counting import Open, Quiet, asked, bare_site, counting, kinds, step
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.runs import Worker
from tillkeeper.maintenance.runs.pen import Pen
from tillkeeper.maintenance.runs.types import Event
from tillkeeper.store import Store

CLOCK = SystemClock()


def hasten() -> None:
    limits.RUN_SETTLE_SECONDS = 0.0  # type: ignore[misc]
    limits.RUN_LOOK_SECONDS = 0.02  # type: ignore[misc]
    limits.RUN_IDLE_SECONDS = 0.02  # type: ignore[misc]
    limits.RUN_GUARD_SECONDS = 0.05  # type: ignore[misc]


def die_at(line: int, *, before: bool) -> None:
    """SIGKILL before or after so many lines are written."""
    written = 0
    really = Pen._try

    async def write(pen: Pen, event: Event) -> bool:
        nonlocal written
        written += 1
        if before and written == line:
            os.kill(os.getpid(), signal.SIGKILL)
        done = await really(pen, event)
        if written == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    Pen._try = write  # type: ignore[method-assign, assignment]


async def carry(app_url: str, admin_url: str, run: UUID) -> None:
    """An agent: the run to its end, then a person wants it undone, and that to its end."""
    async with Store.opened(app_url, size=3) as store:
        worker = Worker(bare_site(store, app_url, admin_url), kinds(), Open(), Quiet())
        task = asyncio.create_task(worker.run())
        while True:
            async with store.tx("look") as tx:
                seen = await runs.view(tx, run)
                assert seen is not None
                if seen.run.state == "undone":
                    break
                if seen.run.state == "succeeded":
                    await runs.command(tx, run, "undo", "anna", CLOCK)
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(app_url: str, run: UUID) -> None:
    async with Store.opened(app_url, size=1) as store:
        await asked(store, run, counting(run, "one", step(run, "two", rests=2), "three"), CLOCK)


async def taken_up(app_url: str, run: UUID) -> float | None:
    """When the second agent wrote its first line."""
    async with Store.opened(app_url, size=1) as store, store.tx("look") as tx:
        seen = await runs.view(tx, run)
    assert seen is not None
    return next((event.at.timestamp() for event in seen.events if event.kind == "taken_over"), None)


def forked(app_url: str, admin_url: str, run: UUID, line: int = 0, *, before: bool = False) -> bool:
    """An agent in a process of its own; whether it died."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if line:
                die_at(line, before=before)
            asyncio.run(carry(app_url, admin_url, run))
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0, "an agent failed"
    return os.WIFSIGNALED(ended)


def main() -> None:
    app_url, admin_url, seed = sys.argv[1:]
    draw = random.Random(int(seed))
    hasten()
    died, line = True, 0
    while died:
        line += 1
        run, before = new_id(), draw.random() < 0.5
        asyncio.run(ask(app_url, run))
        died = forked(app_url, admin_url, run, line, before=before)
        restarted = time.time()
        if died:
            assert not forked(app_url, admin_url, run)
        found = asyncio.run(taken_up(app_url, run)) if died else None
        seconds = None if found is None else found - restarted
        said = {"run": str(run), "line": line, "before": before, "died": died, "taken_up": seconds}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()

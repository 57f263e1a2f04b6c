"""What kinds share: the owner's connection with its errors as StepErrors, patience with locks, progress of long statements."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tillkeeper.base import limits
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, Site, StepError
from tillkeeper.store import BusyError, Owner, OwnerError, SlowError, as_owner, queries

T = TypeVar("T")

catalogue = queries(__package__, "queries.sql")


@asynccontextmanager
async def as_step(
    site: Site, kind: str, *, lock_ms: int = limits.STEP_LOCK_TIMEOUT_MS, statement_ms: int = 0
) -> AsyncIterator[Owner]:
    """The owner's connection for a step. What PostgreSQL refuses becomes a StepError."""
    try:
        async with as_owner(site.admin_url, f"step {kind}", lock_ms=lock_ms, statement_ms=statement_ms) as db:
            yield db
    except SlowError as error:
        raise StepError(
            f"it took longer than {statement_ms} ms and was ended; nothing of it is left"
        ) from error
    except OwnerError as error:
        raise StepError(str(error)) from error


async def patiently(db: Owner, attempt: Attempt, act: Callable[[], Awaitable[T]]) -> T:
    """Try until the lock can be had; the queue behind the waiting statement drains between two tries. Raises StepError."""
    pause = limits.STEP_LOCK_PAUSE_SECONDS
    for each in range(1, limits.STEP_LOCK_TRIES + 1):
        await attempt.checkpoint()
        try:
            return await act()
        except BusyError:
            await attempt.progress(0.0, f"a lock is held by others, tried {each} times")
        await asyncio.sleep(pause)
        pause = min(2 * pause, limits.STEP_LOCK_MAX_PAUSE_SECONDS)
    raise StepError(
        f"the lock could not be had in {limits.STEP_LOCK_TRIES} tries; "
        f"end these transactions or come back later: {await _longest(db)}"
    )


async def _longest(db: Owner) -> str:
    rows = await db.rows(catalogue.longest_transactions)
    found = [f"pid {row.pid} ({row.who or 'unnamed'}, {row.seconds:.0f} s)" for row in rows]
    return ", ".join(found) or "none is open now"


async def telling(
    site: Site,
    attempt: Attempt,
    work: Coroutine[Any, Any, T],
    look: Callable[[Owner], Awaitable[tuple[float, str]]],
) -> T:
    """Do one long statement, and tell meanwhile how far it is, as another connection sees it. It cannot rest in between:
    it is cancelled, and PostgreSQL ends it.
    """
    async with as_owner(site.admin_url, "step progress") as beside:
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=limits.STEP_TELL_SECONDS))[0]:
                await attempt.progress(*await look(beside))
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    return task.result()


def ok(code: str, said: str) -> Finding:
    """A finding that is well."""
    return Finding(code, said, ok=True)


def judged(code: str, well: bool, said: str) -> Finding:  # noqa: FBT001 - the verdict itself
    """A finding that is as well as `well`."""
    return Finding(code, said, ok=well)


class Irreversible:
    """What kinds share that cannot be undone. `remedy`: what to do instead."""

    reversible = False
    remedy = "write a plan that makes good what it did"

    async def undo(self, site: Site, given: Any, evidence: Evidence, attempt: Attempt) -> Evidence:
        raise StepError(f"this cannot be undone: {self.remedy}")

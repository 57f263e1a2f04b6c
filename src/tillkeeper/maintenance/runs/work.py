"""One piece of a step's work, watched: it ends, fails, runs out of time, or is told to stop."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Literal, NamedTuple

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.maintenance.steps import Aborted, StepError
from tillkeeper.store import is_transient

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a piece of work went. `value`: what it gave; `said`: why it failed. `cut`: the database went away under it, which
    says nothing about the work.
    """

    state: Literal["done", "failed", "stopped", "cut"]
    value: Any = None
    said: str = ""


class Bell:
    """Rings whenever something has changed that a waiting piece of work should look at."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        """Until it rings, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()


class Watched:
    """Carries pieces of work through. `resting`: whether time does not count now; `stopping`: whether to stop at once;
    `die`: ends this process, for work that does not stop when it is told to.
    """

    def __init__(
        self,
        clock: Clock,
        bell: Bell,
        resting: Callable[[], bool],
        stopping: Callable[[], bool],
        die: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._bell = bell
        self._resting = resting
        self._stopping = stopping
        self._die = die

    async def carry(
        self, work: Coroutine[Any, Any, Any], seconds: float, *, to_the_end: bool = False
    ) -> Outcome:
        """Do it, in at most so many seconds. `to_the_end`: nobody stops it, as nobody stops an undo."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._bell.ring())
        left = seconds
        try:
            while not task.done():
                if self._stopping() and not to_the_end:
                    return await self._stop(task, Outcome("stopped"))
                if left <= 0:
                    return await self._stop(task, Outcome("failed", said=f"not done in {seconds:g} s, ended"))
                resting, since = self._resting(), self._clock.monotonic()
                await self._bell.wait(None if resting else left)
                left -= 0.0 if resting else self._clock.monotonic() - since
            return outcome_of(task)
        finally:
            if not task.done():
                task.cancel()

    async def _stop(self, task: asyncio.Future[Any], outcome: Outcome) -> Outcome:
        """End it. What was just done is done; what does not end is ended with its process, and the next one takes over."""
        task.cancel()
        await asyncio.wait({task}, timeout=limits.RUN_STOP_SECONDS)
        if not task.done():
            log.critical("a step does not stop: the agent ends itself and is started again")
            self._die()
            return outcome
        ended = outcome_of(task)
        return ended if ended.state == "done" else outcome


def outcome_of(task: asyncio.Future[Any]) -> Outcome:
    """How a piece of work that has ended went."""
    if task.cancelled():
        return Outcome("stopped")
    error = task.exception()
    if error is None:
        return Outcome("done", task.result())
    if isinstance(error, Aborted):
        return Outcome("stopped")
    if is_transient(error):
        log.warning("a step was cut off: %r", error)
        return Outcome("cut", said=repr(error)[: limits.RUN_SAYING])
    if not isinstance(error, StepError):
        log.error("a step failed by a fault of its own", exc_info=error)
    said = str(error) if isinstance(error, StepError) else repr(error)
    return Outcome("failed", said=said[: limits.RUN_SAYING])

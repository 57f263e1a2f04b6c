"""What a process says of itself: CPU, memory, its event loop, and the statements that cost it most."""

import asyncio
import socket
from collections.abc import Sequence

import psutil

from tillkeeper.base import histogram, limits
from tillkeeper.monitoring.sampler import Source
from tillkeeper.monitoring.types import Sample
from tillkeeper.store import Store, Timing, Timings, Tx


class Oneself:
    """The process that this is. `kind`: api, console, agent."""

    def __init__(self, kind: str, store: Store) -> None:
        self._labels = {"process": kind, "host": socket.gethostname()}
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only notes where it began
        self._timings = store.timings
        self._before: dict[str, Timing] = {}
        self._late = 0.0

    def sources(self) -> tuple[Source, ...]:
        """What can be sampled of it."""
        return (
            Source("this process", self._itself),
            Source("statements", self._statements, limits.SAMPLE_SLOW_SECONDS),
        )

    async def watch_loop(self) -> None:
        """Ask the event loop again and again how late it is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + limits.LOOP_LAG_SECONDS
            await asyncio.sleep(limits.LOOP_LAG_SECONDS)
            self._late = max(self._late, loop.time() - due)

    async def _itself(self, _: Tx) -> Sequence[Sample]:
        late, self._late = self._late, 0.0
        return [
            Sample("process.cpu_percent", self._process.cpu_percent(), self._labels),
            Sample("process.memory_bytes", self._process.memory_info().rss, self._labels),
            Sample("process.loop_lag_ms", late * 1000, self._labels),
        ]

    async def _statements(self, _: Tx) -> Sequence[Sample]:
        now = _copied(self._timings)
        costliest = sorted(now, key=lambda name: now[name].seconds, reverse=True)[: limits.SAMPLE_STATEMENTS]
        found = []
        for name in costliest:
            found += self._of(name, now[name], self._before.get(name, Timing()))
        self._before = now
        return found

    def _of(self, name: str, now: Timing, before: Timing) -> list[Sample]:
        labels = self._labels | {"statement": name}
        found = [
            Sample("statement.calls", now.calls, labels),
            Sample("statement.seconds", now.seconds, labels),
        ]
        if calls := now.calls - before.calls:
            counts = [new - old for new, old in zip(now.counts, before.counts, strict=True)]
            mean, p95 = (now.seconds - before.seconds) / calls, histogram.percentile(counts, 95) or 0.0
            found.append(Sample("statement.mean_ms", mean * 1000, labels))
            found.append(Sample("statement.p95_ms", p95 * 1000, labels))
        return found


def _copied(timings: Timings) -> dict[str, Timing]:
    return {
        name: Timing(each.calls, each.seconds, list(each.counts)) for name, each in timings.by_name().items()
    }

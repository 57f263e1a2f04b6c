"""Every process samples itself, and the agent the rest: each source in its own transaction, one that fails is left out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.monitoring import samples
from tillkeeper.monitoring.types import Sample
from tillkeeper.store import Store, Tx, is_transient

log = logging.getLogger(__name__)

Read = Callable[[Tx], Awaitable[Sequence[Sample]]]


class Source(msgspec.Struct, frozen=True):
    """Something that can be sampled. `name` is for the log; `every`: seconds between two samples."""

    name: str
    read: Read
    every: float = limits.SAMPLE_SECONDS


class Sampler:
    """Samples sources until cancelled. What a source cannot say now is not written: it is unknown, and goes stale."""

    def __init__(self, store: Store, sources: Sequence[Source], clock: Clock) -> None:
        self._store = store
        self._sources = sources
        self._clock = clock
        self._recorder = samples.Recorder()
        self._due = dict.fromkeys((source.name for source in sources), 0.0)
        self._partitions_due = 0.0

    async def run(self) -> None:
        """Until cancelled. A database that is away costs samples and nothing else."""
        while True:
            began = self._clock.monotonic()
            try:
                await self.sample()
            except Exception as error:
                # Nothing that fails here may end the process's sampling: what is missing is seen as unknown.
                log.log(
                    logging.WARNING if is_transient(error) else logging.ERROR,
                    "samples are lost: %r",
                    error,
                    exc_info=not is_transient(error),
                )
            await asyncio.sleep(max(1.0, began + limits.SAMPLE_SECONDS - self._clock.monotonic()))

    async def sample(self) -> None:
        """Sample what is due, once."""
        now = self._clock.monotonic()
        taken: list[Sample] = []
        for source in self._sources:
            if self._due[source.name] <= now:
                self._due[source.name] = now + source.every - limits.SAMPLE_SECONDS / 2
                taken += await self._read(source)
        at = self._clock.now()
        if self._partitions_due <= now:
            self._partitions_due = now + await self._keep_partitions(at)
        async with self._store.tx("samples") as tx:
            await self._recorder.write(tx, taken, at)

    async def _keep_partitions(self, at: datetime) -> float:
        """In so many seconds again. Whoever reads an old one for an hour keeps it, and no sample is lost by that: today's
        partition was made yesterday.
        """
        try:
            async with self._store.tx("partitions") as tx:
                await samples.keep_partitions(tx, at)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("partitions of samples are looked at again later: %r", error)
            return limits.SAMPLE_SLOW_SECONDS
        return limits.PARTITIONS_SECONDS

    async def _read(self, source: Source) -> Sequence[Sample]:
        try:
            async with self._store.tx(f"sample {source.name}") as tx:
                return await source.read(tx)
        except Exception as error:
            if is_transient(error):
                raise
            log.warning("%s cannot be sampled: %s", source.name, str(error).strip().partition("\n")[0])
            return []


async def keep_rolling(store: Store, clock: Clock) -> None:
    """Roll samples up as stretches of time are complete, until cancelled."""
    while True:
        async with store.tx("roll up samples") as tx:
            again = await samples.roll_up(tx, clock.now())
        if not again:
            await asyncio.sleep(limits.SAMPLE_SLOW_SECONDS / 2)

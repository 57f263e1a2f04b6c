"""How fast the turn is: counted in the process, written once a second for the console."""

import asyncio
import logging
from collections.abc import Sequence

from tillkeeper.base.clock import Clock
from tillkeeper.payments import rows
from tillkeeper.store import Store, is_transient

log = logging.getLogger(__name__)


class Gauge:
    """Turns, commands and the time from arrival to durable answer of the current second."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turns = 0
        self._seconds: list[float] = []

    def turned(self, seconds: Sequence[float]) -> None:
        """A turn is done; `seconds`: how long each of its commands took."""
        self._turns += 1
        self._seconds += seconds

    async def keep_writing(self) -> None:
        """Write a sample each second in which something happened, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            if not self._seconds:
                continue
            sample = self._sample()
            try:
                async with self._store.tx("gauge") as tx:
                    await rows.add_sample(tx, sample)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("a sample is lost: %s", type(error).__name__)

    def _sample(self) -> dict[str, object]:
        seconds, turns = sorted(self._seconds), self._turns
        self._seconds, self._turns = [], 0
        last = len(seconds) - 1
        return {
            "at": self._clock.now(),
            "turns": turns,
            "payments": len(seconds),
            "p50_us": round(seconds[last // 2] * 1e6),
            "p99_us": round(seconds[last * 99 // 100] * 1e6),
            "max_us": round(seconds[last] * 1e6),
        }

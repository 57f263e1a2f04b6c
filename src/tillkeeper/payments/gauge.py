"""How the turn and its callers fare: counted in the process, written once a second, also when nothing happened."""

import asyncio
import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.base import histogram, limits
from tillkeeper.base.clock import Clock
from tillkeeper.payments import rows
from tillkeeper.payments.plan import Result
from tillkeeper.payments.states import WAITING
from tillkeeper.risk import Decision
from tillkeeper.store import Store, is_transient

log = logging.getLogger(__name__)

COUNTED: Final = (
    "asked",
    "failed",
    "answers_2xx",
    "answers_4xx",
    "answers_5xx",
    "turns",
    "payments",
    "succeeded",
    "waiting",
    "declined",
    "refused",
)
"""What is counted: see the columns of payments.samples."""


class Tally(msgspec.Struct):
    """What was counted since the process started. `latency`, `queueing`: by bucket of base/histogram; sums in seconds."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    decisions: Counter[str] = msgspec.field(default_factory=Counter)
    rules: Counter[str] = msgspec.field(default_factory=Counter)
    latency: list[int] = msgspec.field(default_factory=lambda: [0] * histogram.BUCKETS)
    queueing: list[int] = msgspec.field(default_factory=lambda: [0] * histogram.BUCKETS)
    latency_seconds: float = 0.0
    queueing_seconds: float = 0.0


class Gauge:
    """Counts for the present second, and `tally` for all of them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.tally = Tally()
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._store = store
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._took: list[float] = []
        self._queued: list[float] = []
        self._unwritten: deque[dict[str, object]] = deque(maxlen=limits.SAMPLES_UNWRITTEN)

    def turned(self, queued: Iterable[float], took: Sequence[float]) -> None:
        """A turn is done: how long each of its commands waited for it, and until the answer was durable."""
        self._counts["turns"] += 1
        self._counts["payments"] += len(took)
        self._queued += queued
        self._took += took

    def became(self, results: Iterable[Result], decisions: Iterable[Decision]) -> None:
        """What became of commands, now that it is durable."""
        for result in results:
            if result.new is not None:
                state = result.new.state
                self._counts["waiting" if state in WAITING else state] += 1
            elif result.answer.status >= 400:
                self._counts["refused"] += 1
        for decision in decisions:
            self.tally.decisions[decision.outcome] += 1
            self.tally.rules.update(decision.reasons)

    def undecided(self, count: int) -> None:
        """Payments that needed a decision and were answered without one."""
        self.tally.counts["undecided"] += count

    def answered(self, status: int, *, order: bool) -> None:
        """The api has answered a call; `order`: one that asks for money to move. 500 and above are failures of ours."""
        self._counts[f"answers_{status // 100}xx"] += 1
        if order:
            self._counts["asked"] += 1
            self._counts["failed"] += status >= 500

    async def keep_writing(self) -> None:
        """Write a row each second, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            await self.write()

    async def write(self) -> None:
        """Write what was counted since the row before. What the database cannot take now is written with the next."""
        self._unwritten.append(self._sample(self._clock.now()))
        try:
            async with self._store.tx("gauge") as tx:
                for sample in self._unwritten:
                    await rows.add_sample(tx, sample)
            self._unwritten.clear()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("%d samples wait: %s", len(self._unwritten), type(error).__name__)

    def _sample(self, now: datetime) -> dict[str, object]:
        counts, took, queued = self._counts, sorted(self._took), self._queued
        self._counts, self._took, self._queued = Counter(), [], []
        latency, queueing = histogram.counted(took), histogram.counted(queued)
        self._add(counts, latency, queueing, sum(took), sum(queued))
        return {name: counts[name] for name in COUNTED} | {
            "at": now,
            "process": self._process,
            "p50_us": _at(took, 50),
            "p99_us": _at(took, 99),
            "max_us": _at(took, 100),
            "latency": latency,
            "queueing": queueing,
        }

    def _add(
        self,
        counts: Counter[str],
        latency: Sequence[int],
        queueing: Sequence[int],
        latency_seconds: float,
        queueing_seconds: float,
    ) -> None:
        tally = self.tally
        tally.counts += counts
        tally.latency_seconds += latency_seconds
        tally.queueing_seconds += queueing_seconds
        for kept, new in ((tally.latency, latency), (tally.queueing, queueing)):
            for place, count in enumerate(new):
                kept[place] += count


def _at(ordered: Sequence[float], percent: int) -> int:
    """A percentile in microseconds; 0 of nothing."""
    return round(ordered[(len(ordered) - 1) * percent // 100] * 1e6) if ordered else 0

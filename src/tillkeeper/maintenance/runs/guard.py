"""Looks at the money and the measures while a run is at work, and says what the guardrails say."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.maintenance.plans import Guardrail
from tillkeeper.maintenance.runs.guardrails import (
    MONEY,
    judge,
    judge_money,
    needed,
    stretches,
    unseen,
)
from tillkeeper.maintenance.runs.types import Light
from tillkeeper.monitoring import MEASURES, Measured, MoneyLook, measure, usual
from tillkeeper.store import Store, Tx

log = logging.getLogger(__name__)


class Books(Protocol):
    """What looks at the money: monitoring's Books."""

    async def look(self) -> MoneyLook:
        """All faults that stand now."""
        ...


class Guard:
    """The guardrails of one run. What cannot be seen keeps its last verdict for RUN_BLIND_SECONDS, then it is
    inconclusive: a database that restarts is no reason to pause, one that stays away is.
    """

    def __init__(self, store: Store, books: Books, rails: Sequence[Guardrail], clock: Clock) -> None:
        self._store = store
        self._books = books
        self._rails = rails
        self._clock = clock
        self._seen: dict[str, tuple[float, Light]] = {}
        self._began = clock.monotonic()

    async def baseline(self) -> dict[str, float]:
        """What each measure was in the minute before the run."""
        found: dict[str, float] = {}
        async with self._store.tx("guardrail baseline") as tx:
            for rail in self._rails:
                known = await measure(tx, rail.measure, limits.RUN_WIDEN_SECONDS, self._clock)
                if known.value is not None and known.samples >= needed(rail, MEASURES[rail.measure]):
                    found[rail.measure] = known.value
        return found

    async def look(self, baseline: Mapping[str, float]) -> tuple[Light, ...]:
        """All guardrails, the money first."""
        now = self._clock.now()
        lights = await asyncio.gather(
            self.look_at_money(), *(self._look(rail, baseline, now) for rail in self._rails)
        )
        return tuple(lights)

    async def look_at_money(self) -> Light:
        """The books alone."""

        async def ask() -> Light:
            return judge_money(await self._books.look(), self._clock.now())

        return await self._seen_or_not(MONEY, ask)

    async def _look(self, rail: Guardrail, baseline: Mapping[str, float], now: datetime) -> Light:
        async def ask() -> Light:
            async with self._store.tx("guardrail") as tx:
                measured = await self._measured(tx, rail)
                compared = await usual(tx, rail.measure, self._clock) if rail.worse_by is not None else None
            if compared is None:
                compared = baseline.get(rail.measure)
            return judge(rail, MEASURES[rail.measure], measured, compared, now)

        return await self._seen_or_not(rail.measure, ask)

    async def _measured(self, tx: Tx, rail: Guardrail) -> Measured:
        """The measure, over the shortest stretch that has enough samples."""
        enough = needed(rail, MEASURES[rail.measure])
        measured = Measured(None, 0, MEASURES[rail.measure].unit)
        for seconds in stretches(rail):
            measured = await measure(tx, rail.measure, seconds, self._clock)
            if measured.value is not None and measured.samples >= enough:
                break
        return measured

    async def _seen_or_not(self, name: str, ask: Callable[[], Awaitable[Light]]) -> Light:
        try:
            async with asyncio.timeout(limits.RUN_BLIND_SECONDS):
                light = await ask()
        except Exception as error:  # noqa: BLE001 - whatever it is: what is not seen is not fine
            since, last = self._seen.get(name, (self._began, None))
            if last is not None and self._clock.monotonic() - since < limits.RUN_BLIND_SECONDS:
                return last
            log.warning("guardrail %s could not be looked at: %r", name, error)
            return unseen(
                name, last, f"it could not be looked at: {error!r}"[: limits.RUN_SAYING], self._clock.now()
            )
        self._seen[name] = (self._clock.monotonic(), light)
        return light

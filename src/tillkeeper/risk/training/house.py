"""Training on an installation's own history."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.base.clock import to_us
from tillkeeper.risk.history import REMEMBERED_US, Walk, reported_until, span, stretches
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.training.live import Trained, Wish, train
from tillkeeper.risk.training.types import Progress, Sample, Tell, TrainingError, quiet
from tillkeeper.store import Store

_SECOND_US = 1_000_000


async def train_here(
    store: Store, rules: RuleSet, zone: ZoneInfo, wish: Wish, made_at: datetime, tell: Tell = quiet
) -> Trained:
    """Live through the history, gather what the wish is about, and make the model; the work leaves the event loop.

    `rules` say what currencies are worth, `zone` when a day ends. What is younger than the label delay was before the last
    report, not before today, is not judged: of a replayed file nobody will ever speak again. Raises TrainingError.
    """
    reported = await reported_until(store)
    if reported is not None:
        wish = msgspec.structs.replace(wish, end_us=min(wish.end_us, to_us(reported) + 1))
    sample = await _gathered(store, rules, zone, wish, tell)
    return await asyncio.to_thread(train, sample, wish, made_at, tell=tell)


async def _gathered(store: Store, rules: RuleSet, zone: ZoneInfo, wish: Wish, tell: Tell) -> Sample:
    """Payments from so early that the profiles are whole where the wish begins."""
    known = await span(store)
    if known is None:
        raise TrainingError("there is no payment yet", "models learn from payments: till demo makes some")
    walk = Walk.of(rules, zone, wish.features, wish.catalogue)
    gathering = wish.gathering()
    begin, end = max(to_us(known[0]), wish.begin_us - REMEMBERED_US), min(to_us(known[1]), wish.end_us)
    async for stretch in stretches(store, begin, wish.end_us):
        gathering.take(await asyncio.to_thread(walk.take, stretch))
        done = min(int(stretch.clock_us[-1]), end) - begin
        tell(Progress("seconds of history", done // _SECOND_US, max(end - begin, _SECOND_US) // _SECOND_US))
    return gathering.sample()

"""A backtest on an installation's own history, and the agent's part in it."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, to_us
from tillkeeper.base.results import refuse
from tillkeeper.risk import declared, inforce, models
from tillkeeper.risk.backtest import rows
from tillkeeper.risk.backtest.logins import NOBODY_SAID, Truth
from tillkeeper.risk.backtest.trial import Range, Trial
from tillkeeper.risk.backtest.types import Question, Report
from tillkeeper.risk.features import Catalogue
from tillkeeper.risk.force import Force, Model
from tillkeeper.risk.history import (
    LABEL_DELAY_US,
    REMEMBERED_US,
    Apart,
    Seen,
    reported_until,
    span,
    stretches,
)
from tillkeeper.risk.rulefile import read_rules
from tillkeeper.store import Store, Tx, children

log = logging.getLogger(__name__)

Tell = Callable[[float], None]
USUAL: Final = timedelta(days=28)
"""How far back a backtest looks if nobody says."""

_COMMAND: Final = (sys.executable, "-m", "tillkeeper", "risk", "backtest", "--asked")


async def standing(tx: Tx) -> tuple[str, int | None]:
    """The rules in force as text, and the champion's version. Raises Refused where nothing decides yet."""
    active = await inforce.activations(tx, 1)
    if not active:
        raise refuse("invalid_value", "no rules are in force yet; start the platform once: till up", "rules")
    return active[0].source, (await models.in_force(tx)).champion


async def question_of(
    store: Store,
    clock: Clock,
    rules: str | None = None,
    model: int | None = None,
    *,
    without_model: bool = False,
) -> Question:
    """The usual question: these rules, or those in force, with this model, or the champion, over the last weeks; compared
    with what is in force, unless that is what is asked about. Raises Refused where there is no history.
    """
    known = await span(store)
    if known is None:
        raise refuse("invalid_value", "there is no payment yet", "from")
    async with store.tx("backtest question") as tx:
        base_rules, champion = await standing(tx)
    end = min(clock.now(), known[1] + timedelta(microseconds=1))
    chosen = None if without_model else model if model is not None else champion
    same = (rules is None or rules == base_rules) and chosen == champion
    return Question(
        from_at=max(known[0], end - USUAL),
        to_at=end,
        rules=base_rules if rules is None else rules,
        model=chosen,
        base_rules="" if same else base_rules,
        base_model=None if same else champion,
    )


async def tried(
    store: Store, question: Question, zone: str, clock: Clock, tell: Tell = lambda _: None
) -> Report:
    """Do it. The work is done by a process and a thread of their own. Raises BadRulesError, BadModelError, Refused."""
    began = clock.monotonic()
    async with store.tx("backtest forces") as tx:
        catalogue = await declared.catalogue(tx)
        candidate = await _force(tx, question.rules, question.model, catalogue)
        base = None
        if question.base_rules:
            base = await _force(tx, question.base_rules, question.base_model, catalogue)
    begin, end = to_us(question.from_at), to_us(question.to_at)
    now, reported = clock.now(), await reported_until(store)
    judged = Range(begin, end, to_us(now), LABEL_DELAY_US, zone, to_us(reported or now))
    trial = Trial(judged, candidate, base)
    first = begin - REMEMBERED_US
    async with Apart.walk(candidate.rules, ZoneInfo(zone), trial.names, catalogue, trial.beside) as walk:
        async for seen in walk.through(stretches(store, first, end)):
            truth = await _of_logins(store, seen, now) if trial.beside else NOBODY_SAID
            await asyncio.to_thread(trial.take, seen, truth)
            tell((int(seen.stretch.clock_us[-1]) - first) / (end - first))
    return trial.report(clock.monotonic() - began)


async def _of_logins(store: Store, seen: Seen, now: datetime) -> Truth:
    """What is known now of the logins of a stretch."""
    events = seen.stretch.events
    if not events:
        return NOBODY_SAID
    async with store.tx("backtest logins") as tx:
        return await rows.logins(tx, events[0][1].id, events[-1][1].id, now)


async def _force(tx: Tx, rules: str, model: int | None, catalogue: Catalogue) -> Force:
    read = read_rules(rules, "the rules", catalogue)
    anomaly = (await models.in_force(tx)).anomaly
    champion, unusual = await _model(tx, model, catalogue), await _model(tx, anomaly, catalogue)
    return Force.of(read, champion, unusual, catalogue)


async def _model(tx: Tx, version: int | None, catalogue: Catalogue) -> Model | None:
    return None if version is None else Model(version, await models.registry.opened(tx, version, catalogue))


async def do_asked(store: Store, id_: UUID, zone: str, clock: Clock) -> Report | None:
    """Do a backtest that was asked for and claimed, and note what came of it; None if it is not to be done.

    How far it is goes to its row about every second. It is given up when the process that began this one is gone: the next
    agent has it done anew.
    """
    async with store.tx("asked backtest") as tx:
        asked = await rows.one(tx, id_)
    if asked is None or asked.state != "running":
        return None
    shares = [0.0]
    doing = asyncio.ensure_future(
        tried(store, asked.question, zone, clock, lambda share: shares.__setitem__(0, share))
    )
    telling = asyncio.ensure_future(_telling(store, id_, shares, doing))
    try:
        report = await doing
    finally:
        for task in (doing, telling):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    async with store.tx("backtest done") as tx:
        await rows.finish(tx, id_, clock.now(), report)
    return report


async def _telling(store: Store, id_: UUID, shares: list[float], doing: asyncio.Future[Report]) -> None:
    parent = os.getppid()
    while True:
        await asyncio.sleep(limits.BACKTEST_TOLD_SECONDS)
        if os.getppid() != parent:
            doing.cancel()
            return
        async with store.tx("backtest share") as tx:
            await rows.tell(tx, id_, shares[0])


class Examiner:
    """The agent's part: has what was asked for done, one after the other, each by a process of its own.

    `command`: what does the backtest whose id is put behind it.
    """

    def __init__(self, store: Store, clock: Clock, command: tuple[str, ...] = _COMMAND) -> None:
        self._store = store
        self._clock = clock
        self._command = command

    async def run(self) -> None:
        """Until cancelled."""
        async with self._store.tx("backtests again") as tx:
            await rows.again(tx)
        while True:
            if not await self.beat():
                await asyncio.sleep(limits.BACKTEST_POLL_SECONDS)

    async def beat(self) -> bool:
        """Do what has waited the longest; whether there was any."""
        async with self._store.tx("claim backtest") as tx:
            id_ = await rows.claim(tx, self._clock.now())
        if id_ is None:
            return False
        complaint = await self._child(str(id_))
        if complaint is not None:
            log.warning("backtest %s: %s", id_, complaint)
            async with self._store.tx("backtest failed") as tx:
                await rows.fail(tx, id_, self._clock.now(), complaint)
        return True

    async def _child(self, id_: str) -> str | None:
        """What it complained of, None if it did its work. It ends when we end, with all that it started."""
        ended = await children.carried_out((*self._command, id_), limits.BACKTEST_SECONDS)
        if ended.code is None:
            return f"{ended.said}: take a shorter range"
        return None if ended.code == 0 else ended.said or f"it ended with {ended.code}"

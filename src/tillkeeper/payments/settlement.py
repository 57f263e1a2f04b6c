"""Settling with the banks: every due attempt is submitted or asked about, outside any transaction, until the bank has
said its final word; that word goes through the turn like any other command.

A crash at any point is finished by the same loop: the attempt becomes due again and is submitted with the same id,
which the bank recognises, or is settled a second time, which the turn recognises.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.payments.commands import SettleRail
from tillkeeper.payments.rails import Notice, Rail, RailAnswer, RailAttempt
from tillkeeper.store import Store, Tx, queries

log = logging.getLogger(__name__)
_sql = queries("tillkeeper.payments", "settlement.sql")

Step = Literal["submit", "query"]
Submit = Callable[[SettleRail], Awaitable[object]]
"""Carries a command through the turn. Whether it could is not looked at: if not, the attempt is soon due again."""


class Unanswered(msgspec.Struct, frozen=True):
    """An attempt on which the bank has not said its final word. `answer` is what was heard last."""

    id: UUID
    payment: UUID
    rail: str
    direction: str
    amount: int
    currency: str
    tries: int
    answer: str
    created_at: datetime


class _Claimed(msgspec.Struct, frozen=True):
    """An attempt that is ours for the moment; `tries` were made before, in vain."""

    payment: UUID
    rail: str
    tries: int
    acknowledged: bool
    attempt: RailAttempt

    @property
    def step(self) -> Step:
        return next_step(self.tries + 1, acknowledged=self.acknowledged)


def next_step(tries: int, *, acknowledged: bool) -> Step:
    """Whether try number `tries` submits or only asks: never again submit what the bank says it has."""
    return "query" if acknowledged or tries > limits.RAIL_TRIES else "submit"


def pause_after(tries: int) -> float:
    """Seconds between try number `tries` and the next."""
    return min(limits.RAIL_FIRST_RETRY_SECONDS * (1 << min(tries - 1, 32)), limits.RAIL_MAX_RETRY_SECONDS)


def conclude(step: Step, answer: RailAnswer | None) -> bool | None:
    """What an answer settles: True accepted, False rejected, None nothing yet.

    Silence never settles anything. That the bank does not know the attempt settles it only as the answer to a
    question, because only then the bank has promised to refuse it should it still arrive.
    """
    if answer is None:
        return None
    if answer.verdict == "unknown":
        return False if step == "query" else None
    return {"accepted": True, "rejected": False, "pending": None}[answer.verdict]


async def unanswered(tx: Tx, before: datetime, limit: int = limits.PAGE_MAX) -> list[Unanswered]:
    """Attempts made before a time on which the bank has not said its final word, the oldest first."""
    rows = await tx.tuples(_sql.unanswered_attempts, {"before": before, "limit": limit})
    return [Unanswered(*row) for row in rows]


class Settlement:
    """The loop that talks to the banks. `rails` by the name that attempts carry."""

    def __init__(self, store: Store, rails: Mapping[str, Rail], submit: Submit, clock: Clock) -> None:
        self._store = store
        self._rails = rails
        self._submit = submit
        self._clock = clock
        self._in_flight = 0
        for rail in rails.values():
            rail.listen(self.hear)

    async def run(self) -> None:
        """Work until cancelled. Raises what the store raises; calls under way are then dropped and made again."""
        async with asyncio.TaskGroup() as group:
            while True:
                if await self._start_due(group) < limits.RAIL_BATCH:
                    await asyncio.sleep(limits.RAIL_POLL_SECONDS)

    async def run_due(self) -> int:
        """Deal once with what is due now, wait for the answers, and say how many attempts that were."""
        async with asyncio.TaskGroup() as group:
            return await self._start_due(group)

    async def hear(self, notice: Notice) -> None:
        """Take a bank's notice. One that is late, repeated or about nothing of ours has no effect."""
        async with self._store.tx("rail_notice") as tx:
            payment = await tx.value(_sql.payment_of_attempt, {"id": notice.attempt})
        if payment is not None:
            await self._submit(SettleRail(notice.attempt, payment, notice.accepted, notice.text))

    async def _start_due(self, group: asyncio.TaskGroup) -> int:
        claimed = await self._claim(min(limits.RAIL_BATCH, limits.RAIL_IN_FLIGHT - self._in_flight))
        for each in claimed:
            self._in_flight += 1
            group.create_task(self._carry(each))
        return len(claimed)

    async def _claim(self, limit: int) -> list[_Claimed]:
        if limit <= 0:
            return []
        now = self._clock.now()
        params = {
            "now": now,
            "claimed_until": now + timedelta(seconds=2 * limits.RAIL_TIMEOUT_SECONDS),
            "max_tries": limits.RAIL_TRIES + limits.RAIL_QUESTIONS,
            "limit": limit,
        }
        async with self._store.tx("claim_attempts") as tx:
            return [_claimed(row) for row in await tx.rows(_sql.claim_attempts, params)]

    async def _carry(self, claimed: _Claimed) -> None:
        try:
            answer = await self._ask(claimed)
            accepted = conclude(claimed.step, answer)
            if accepted is None:
                await self._put_off(claimed, answer)
            else:
                text = answer.text if answer else ""
                await self._submit(SettleRail(claimed.attempt.id, claimed.payment, accepted, text))
        except Exception:
            # One attempt's trouble is not the others': it becomes due again.
            log.exception("attempt %s could not be dealt with", claimed.attempt.id)
        finally:
            self._in_flight -= 1

    async def _ask(self, claimed: _Claimed) -> RailAnswer | None:
        """The bank's answer; None when there is none in time, or the bank cannot be reached."""
        rail = self._rails.get(claimed.rail)
        if rail is None:
            log.error("attempt %s is for the rail %r, which is not set up", claimed.attempt.id, claimed.rail)
            return None
        try:
            async with asyncio.timeout(limits.RAIL_TIMEOUT_SECONDS):
                if claimed.step == "submit":
                    return await rail.submit(claimed.attempt)
                return await rail.query(claimed.attempt.id)
        except TimeoutError:
            return None
        except Exception as error:  # noqa: BLE001 - a bank's client may raise anything, and nothing is decided by it
            log.warning("rail %s, attempt %s: %r", claimed.rail, claimed.attempt.id, error)
            return None

    async def _put_off(self, claimed: _Claimed, answer: RailAnswer | None) -> None:
        params = {
            "id": claimed.attempt.id,
            "due_at": self._clock.now() + timedelta(seconds=pause_after(claimed.tries + 1)),
            "answer": "no answer" if answer is None else answer.text,
            "acknowledged": answer is not None and answer.verdict == "pending",
        }
        async with self._store.tx("put_off_attempt") as tx:
            await tx.run(_sql.put_off_attempt, params)


def _claimed(row: Any) -> _Claimed:
    attempt = RailAttempt(row.id, row.direction, row.amount, row.currency, row.instruction)
    return _Claimed(row.payment, row.rail, row.tries, row.acknowledged, attempt)

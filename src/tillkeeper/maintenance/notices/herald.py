"""Tells what is to be told, each stage once: the stage and its news are one transaction. Runs in the agent."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper import payments
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.maintenance import plans, runs
from tillkeeper.maintenance.notices import board
from tillkeeper.maintenance.notices.course import due
from tillkeeper.maintenance.notices.drafts import drafted
from tillkeeper.maintenance.notices.types import ENDS, Notice, Stage, Told
from tillkeeper.maintenance.plans import Filed
from tillkeeper.maintenance.runs import Run
from tillkeeper.store import News, Store, Tx, outbox, queries

_sql = queries(__package__, "queries.sql")

_FOLLOWED: Final = ("approved", "done", "withdrawn", "expired")
_BEFORE: Final = timedelta(minutes=1)  # so far back a row of the api shows that somebody measured


class Herald:
    """The loop that publishes notices as plans and their runs go on."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Tell, until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(limits.NOTICE_POLL_SECONDS)

    async def beat(self) -> int:
        """Tell what is to be told by now; how many stages that were."""
        now = self._clock.now()
        async with self._store.tx("notices") as tx:
            followed = await _followed(tx)
            notices = await board.of_plans(tx, [each.id for each in followed])
            found = await _runs_of(tx, followed)
            count = 0
            for filed in followed:
                run = found.get(filed.id)
                stages = due(notices.get(filed.id), filed, run, now)
                count += len(stages)
                await _tell(tx, notices.get(filed.id), filed, run, stages, now)
            return count


async def _followed(tx: Tx) -> list[Filed]:
    """The newest plans that were agreed to, and those whose notice is not over, however old."""
    followed = await plans.listed(tx, _FOLLOWED, limit=limits.NOTICES_FOLLOWED)
    known = {each.id for each in followed}
    older = [
        await plans.get(tx, notice.plan) for notice in await board.unfinished(tx) if notice.plan not in known
    ]
    return followed + [filed for filed in older if filed is not None]


async def _runs_of(tx: Tx, followed: Sequence[Filed]) -> dict[UUID, Run]:
    """Their runs, by plan."""
    newest = {each.plan: each for each in await runs.list_runs(tx, limit=limits.NOTICES_FOLLOWED)}
    for filed in followed:
        if filed.run is not None and filed.id not in newest:
            newest |= {each.plan: each for each in await runs.list_runs(tx, plan=filed.id, limit=1)}
    return newest


async def _tell(
    tx: Tx, notice: Notice | None, filed: Filed, run: Run | None, stages: Sequence[Stage], now: datetime
) -> None:
    """Write the stages and their news. A stage that another agent told in this very moment is not told again."""
    for stage in stages:
        if notice is None:
            notice = drafted(filed, run.begun_at if run else None)
            await tx.run(_sql.add_notice, _row(notice))
        told = Told(stage, _moment(stage, run, now), await _downtime(tx, stage, run))
        if await tx.value(_sql.tell, {"plan": filed.id} | msgspec.structs.asdict(told)) is None:
            continue
        notice = msgspec.structs.replace(notice, told=(*notice.told, told))
        news = News(now, f"maintenance.{stage}", filed.id, _payload(notice))
        await outbox.publish(tx, [news])


def _moment(stage: Stage, run: Run | None, now: datetime) -> datetime:
    """When it came about, which may be a little before it is told."""
    if stage == "begun" and run is not None and run.begun_at is not None:
        return run.begun_at
    return run.ended_at if stage in ENDS and run is not None and run.ended_at is not None else now


async def _downtime(tx: Tx, stage: Stage, run: Run | None) -> float | None:
    """At the end, how long payments were really interrupted."""
    if stage not in ENDS or run is None or run.begun_at is None or run.ended_at is None:
        return None
    measured = await payments.seconds(tx, run.begun_at - _BEFORE, run.ended_at)
    down = payments.interrupted(measured, run.begun_at, run.ended_at)
    return None if down is None else down.total_seconds()


def _row(notice: Notice) -> dict[str, object]:
    return {
        "plan": notice.plan,
        "expect": notice.expect,
        "words": msgspec.json.encode(notice.words).decode(),
        "begins": notice.begins,
        "ends": notice.ends,
        "spare_until": notice.spare_until,
    }


def _payload(notice: Notice) -> str:
    """What webhooks carry: all that the status page shows."""
    return msgspec.json.encode(
        {
            "notice": notice.public_id,
            "state": notice.state,
            "expect": notice.expect,
            "begins": notice.begins,
            "ends": notice.ends,
            "spare_until": notice.spare_until,
            "begun_at": notice.begun_at,
            "ended_at": notice.ended_at,
            "downtime_seconds": notice.downtime_seconds,
            "words": notice.words,
        }
    ).decode()

"""Gathers what a report says: the journal, the agreements, the api's seconds, and the books recomputed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper import ledger, payments
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import to_typeid
from tillkeeper.maintenance import plans, runs
from tillkeeper.maintenance.plans import Filed, Override, Rehearsal
from tillkeeper.maintenance.reports.deviations import deviations, items
from tillkeeper.maintenance.reports.effect import effect, slots
from tillkeeper.maintenance.reports.tale import happened, judged, step_part
from tillkeeper.maintenance.reports.types import Agreed, Document, Effect, Money, Sides, Slot, StepPart
from tillkeeper.maintenance.runs import RunView
from tillkeeper.store import Store

_LEAST_BEFORE: Final = timedelta(seconds=limits.REPORT_BEFORE_SECONDS)
_MOST_BEFORE: Final = timedelta(seconds=limits.REPORT_BEFORE_MOST_SECONDS)


class Found(msgspec.Struct, frozen=True):
    """What the database knows of a run that has ended."""

    view: RunView
    filed: Filed | None
    rehearsal: Rehearsal | None
    overrides: tuple[Override, ...]


async def gather(store: Store, run: UUID, timezone: str, clock: Clock) -> Document:
    """The report of a run that has ended. The books are recomputed wholly, which takes as long as it takes."""
    found = await _found(store, run)
    view, ended_at = found.view, found.view.run.ended_at
    assert ended_at is not None  # only such runs are reported on
    began = view.run.begun_at or ended_at
    effect_, drawn = await _effect(store, began, ended_at, clock.now())
    money = await _money(store, began)
    rehearsed = found.rehearsal.evidence if found.rehearsal else None
    steps = tuple(step_part(each, view.events, rehearsed) for each in view.steps)
    return _document(found, steps, effect_, drawn, money, timezone, clock.now())


def _document(
    found: Found,
    steps: tuple[StepPart, ...],
    effect_: Effect,
    drawn: tuple[Slot, ...],
    money: Money,
    timezone: str,
    now: datetime,
) -> Document:
    view, run = found.view, found.view.run
    assert run.ended_at is not None
    agreed = tuple(_agreed(found))
    verdicts, turns = tuple(judged(view.events)), tuple(happened(view.events))
    rehearsed = found.rehearsal is not None and found.rehearsal.passed
    off = tuple(deviations(view.plan, steps, effect_, run.ended_at, rehearsed=rehearsed))
    return Document(
        run=run.public,
        plan_id=to_typeid(plans.PREFIX, run.plan),
        plan=view.plan,
        digest=run.digest.hex(),
        timezone=timezone,
        made_at=now,
        outcome=run.state,
        asked_by=run.asked_by,
        asked_at=run.asked_at,
        begun_at=run.begun_at,
        ended_at=run.ended_at,
        agreed=agreed,
        rehearsal=msgspec.to_builtins(found.rehearsal.evidence) if found.rehearsal else None,
        steps=steps,
        judged=verdicts,
        happened=turns,
        slots=drawn,
        effect=effect_,
        money=money,
        deviations=off,
        items=tuple(items(run.state, steps, effect_, money, verdicts, turns, agreed, off)),
    )


async def _found(store: Store, run: UUID) -> Found:
    async with store.tx("report gathers") as tx:
        view = await runs.view(tx, run)
        assert view is not None  # who asks has it from the list of runs
        return Found(
            view,
            await plans.get(tx, view.run.plan),
            await plans.rehearsal_of(tx, view.run.digest),
            tuple(await plans.overrides_of(tx, view.run.plan)),
        )


def _agreed(found: Found) -> Sequence[Agreed]:
    """Who agreed to the plan, and who let it go against the calendar."""
    filed, agreed = found.filed, []
    if filed is not None and filed.approved_by is not None and filed.approved_at is not None:
        agreed.append(Agreed(plans.APPROVE.name, filed.author, filed.approved_by, filed.approved_at))
    agreed += [
        Agreed(plans.OVERRIDE.name, each.asked_by, each.given_by, each.given_at, each.reason)
        for each in found.overrides
    ]
    return agreed


async def _effect(
    store: Store, began: datetime, ended: datetime, now: datetime
) -> tuple[Effect, tuple[Slot, ...]]:
    """Before the run as long as it took, within bounds."""
    since = began - min(max(ended - began, _LEAST_BEFORE), _MOST_BEFORE)
    until = min(now, ended + timedelta(seconds=limits.REPORT_AFTER_SECONDS))
    async with store.tx("report measures") as tx:
        measured = await payments.seconds(tx, since, until)
        arrived = await payments.arrivals(tx, began, ended)
    drawn = slots(measured, since, until) if measured else ()
    return effect(measured, since, (began, ended), until, arrived), drawn


async def _money(store: Store, began: datetime) -> Money:
    before = await ledger.sides_before(store, began)
    report = await ledger.verify(store)
    sides = []
    for total in report.totals:
        debit, credit = before.get(total.currency, (0, 0))
        sides.append(
            Sides(
                total.currency,
                debit,
                credit,
                total.recomputed_debit_side,
                total.recomputed_credit_side,
                total.debit_side,
                total.credit_side,
            )
        )
    said = [f"{each.currency}: the two sides differ" for each in report.totals if not each.balanced]
    said += [
        f"{each.currency} {to_typeid('acc', each.account) if each.account else ''}: {each.what}:"
        f" {each.stored}, expected {each.expected}"
        for each in report.differences
    ]
    return Money(tuple(sides), report.transfers, tuple(said[: limits.REPORT_DIFFERENCES]), len(said))

"""Freezes, and leave to go against the calendar: a freeze is one person's word, an exception takes two."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper import access, audit
from tillkeeper.access import Approval, Asker
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import from_typeid, new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance.plans import filing, rows
from tillkeeper.maintenance.plans.calendar import Answer, Calendar, Rules, may_begin
from tillkeeper.maintenance.plans.types import PREFIX, Filed, Freeze, Override, Plan, Rehearsal
from tillkeeper.store import Tx

FREEZE_PREFIX: Final = "frz"
_USUAL_SECONDS: Final = 600.0  # of a plan of which nobody said how long it takes


class OverrideTerms(msgspec.Struct, frozen=True):
    """Terms: let exactly this plan begin although the calendar says no."""

    plan: str
    digest: str
    goal: str
    reason: str


class LiftTerms(msgspec.Struct, frozen=True):
    """Terms: end a freeze before its time."""

    freeze: str
    reason: str


async def freeze(
    tx: Tx, begins: datetime, ends: datetime, reason: str, person: str, clock: Clock, *, origin: str = ""
) -> Freeze | Refusal:
    """Forbid every run between two moments. Refuses invalid_value, and a reason with personal data."""
    now, reason = clock.now(), " ".join(reason.split())
    if refusal := _unfit(reason):
        return refusal
    if ends <= begins or ends <= now:
        return Refusal("invalid_value", "it must end after it begins, and not in the past", "ends")
    if ends - begins > timedelta(days=limits.FREEZE_DAYS):
        return Refusal("invalid_value", f"up to {limits.FREEZE_DAYS} days", "ends")
    made = Freeze(new_id(), begins, ends, reason, person, now)
    await tx.run(
        rows.sql.add_freeze,
        {"id": made.id, "begins": begins, "ends": ends, "reason": reason, "made_by": person, "at": now},
    )
    await audit.append(tx, person, "freeze.made", freeze_id(made), reason, origin)
    return made


def _unfit(reason: str) -> Refusal | None:
    """Why a reason may not go on record: approvals and audit events are kept for ever."""
    if not 0 < len(reason.strip()) <= limits.MAX_TEXT:
        return Refusal("invalid_value", f"say why, in up to {limits.MAX_TEXT} characters", "reason")
    return gossip(reason, "reason")


def freeze_id(made: Freeze) -> str:
    """A freeze's public id."""
    return to_typeid(FREEZE_PREFIX, made.id)


async def find_freeze(tx: Tx, id_: UUID) -> Freeze | None:
    """One freeze."""
    row = await tx.row(rows.sql.find_freeze, {"id": id_})
    return Freeze(*row) if row else None


async def ask_lift(tx: Tx, id_: UUID, reason: str, who: Asker, clock: Clock) -> Approval | Refusal:
    """Ask a second person to end a freeze early. Refuses unknown_freeze, invalid_value, too_many_approvals, and a reason with
    personal data.
    """
    if refusal := _unfit(reason):
        return refusal
    terms = LiftTerms(to_typeid(FREEZE_PREFIX, id_), reason)
    return await access.approvals.ask(tx, LIFT, terms, who, clock, reason)


async def ask_override(tx: Tx, id_: UUID, reason: str, who: Asker, clock: Clock) -> Approval | Refusal:
    """Ask a second person to let a plan go against the calendar. Refuses unknown_plan, plan_state, invalid_value,
    too_many_approvals, and a reason with personal data.
    """
    found = await filing.get(tx, id_)
    if found is None:
        return Refusal("unknown_plan", "check the id")
    if refusal := _unfit(reason):
        return refusal
    terms = OverrideTerms(found.public_id, found.digest.hex(), found.plan.goal, reason)
    return await access.approvals.ask(tx, OVERRIDE, terms, who, clock, reason)


async def override_of(tx: Tx, plan: UUID, clock: Clock) -> Override | None:
    """The leave in force for a plan, if there is one."""
    found = await rows.overrides(tx, plan)
    return next((each for each in found if each.expires_at > clock.now()), None)


async def overrides_of(tx: Tx, plan: UUID) -> list[Override]:
    """Every leave a plan was ever given, the newest first."""
    return await rows.overrides(tx, plan)


async def rules_at(tx: Tx, calendar: Calendar, zone: ZoneInfo, now: datetime) -> Rules:
    """The calendar with the freezes of the days around a moment."""
    since, until = now - timedelta(days=1), now + timedelta(days=limits.CALENDAR_DAYS)
    return Rules(calendar, tuple(await rows.freezes(tx, since, until)), zone)


async def may_run(tx: Tx, filed: Filed, calendar: Calendar, zone: ZoneInfo, clock: Clock) -> Answer:
    """Whether the calendar lets a plan begin now, by its last rehearsal's duration, freezes and overrides."""
    rules = await rules_at(tx, calendar, zone, clock.now())
    seconds = expected_seconds(filed.plan, await filing.rehearsal_of(tx, filed.digest))
    override = await override_of(tx, filed.id, clock)
    return may_begin(rules, filed.plan.window, seconds, clock.now(), override)


def expected_seconds(plan: Plan, rehearsal: Rehearsal | None) -> float:
    """How long a run takes, by the best that is known: a rehearsal, the author's word, the sum of the steps'."""
    if rehearsal is not None and rehearsal.passed:
        return max(rehearsal.evidence.seconds, plan.expected_seconds or 0.0)
    if plan.expected_seconds is not None:
        return plan.expected_seconds
    known = [step.expected_seconds for step in plan.steps]
    if known and all(each is not None for each in known):
        return sum(each for each in known if each is not None)
    return _USUAL_SECONDS


async def _present_of_override(tx: Tx, terms: OverrideTerms) -> Any:
    found = await filing.get(tx, from_typeid(PREFIX, terms.plan))
    if found is None:
        return Refusal("unknown_plan", "check the id")
    if found.state not in {"submitted", "rehearsed", "approved"} or found.run is not None:
        return Refusal("plan_state", f"it is {found.state}")
    return found.digest.hex()


async def _give_override(tx: Tx, approval: Approval, terms: OverrideTerms) -> Refusal | None:
    present = await _present_of_override(tx, terms)
    if isinstance(present, Refusal):
        return present
    assert approval.decided_at is not None
    assert approval.decided_by is not None
    given = {
        "id": new_id(),
        "plan": from_typeid(PREFIX, terms.plan),
        "reason": terms.reason,
        "asked_by": approval.asked_by,
        "given_by": approval.decided_by,
        "at": approval.decided_at,
        "expires_at": approval.decided_at + timedelta(seconds=limits.PLAN_OVERRIDE_SECONDS),
        "approval": approval.id,
    }
    await tx.run(rows.sql.add_override, given)
    await audit.append(tx, approval.decided_by, "plan.overridden", terms.plan, terms.reason)
    return None


async def _present_of_lift(tx: Tx, terms: LiftTerms) -> Any:
    found = await find_freeze(tx, from_typeid(FREEZE_PREFIX, terms.freeze))
    if found is None or found.lifted_at is not None:
        return Refusal("unknown_freeze", "check the id; it may be lifted already")
    return [found.begins, found.ends]


async def _lift(tx: Tx, approval: Approval, terms: LiftTerms) -> Refusal | None:
    """Called again after a crash it finds the freeze lifted by itself, and is done."""
    id_ = from_typeid(FREEZE_PREFIX, terms.freeze)
    found = await find_freeze(tx, id_)
    if found is None:
        return Refusal("unknown_freeze", "check the id")
    by = approval.decided_by or ""
    done = {"id": id_, "at": approval.decided_at, "by": by, "approval": approval.id}
    await tx.run(rows.sql.lift_freeze, done)
    if found.lifted_at is None:
        await audit.append(tx, by, "freeze.lifted", terms.freeze, terms.reason)
    return None


OVERRIDE: Final = access.approvals.Deed("plan.override", OverrideTerms, _present_of_override, _give_override)
"""In force for PLAN_OVERRIDE_SECONDS as soon as a second person agrees."""

LIFT: Final = access.approvals.Deed("freeze.lift", LiftTerms, _present_of_lift, _lift)
"""Done as soon as a second person agrees."""

"""What people do about cases. Each act locks the case, moves it by `course`, and is in the case's past and in the audit trail."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, to_us
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.risk import rows as risk_rows
from tillkeeper.risk.cases import course, rows
from tillkeeper.risk.cases.types import PREFIX, VERDICTS, Case, EventKind, Verdict, VerdictKind
from tillkeeper.risk.types import Label
from tillkeeper.store import Tx

LABEL_SOURCE: Final = "case"
"""The source of labels that come from cases."""

_UNKNOWN: Final = Refusal("unknown_case", "till risk cases list shows those that wait")


async def claim(tx: Tx, case: UUID, person: str, clock: Clock, origin: str = "") -> Case | Refusal:
    """Work on a case: nobody else decides it meanwhile."""
    moved = await _move(tx, case, lambda found: course.claim(found, person, clock.now()))
    if isinstance(moved, Refusal):
        return moved
    await _note(tx, person, "case.claimed", moved, "claimed", clock.now(), origin=origin)
    return moved


async def release(tx: Tx, case: UUID, person: str, clock: Clock, origin: str = "") -> Case | Refusal:
    """Give a case back to the queue."""
    moved = await _move(tx, case, lambda found: course.release(found, person, clock.now()))
    if isinstance(moved, Refusal):
        return moved
    await _note(tx, person, "case.released", moved, "released", clock.now(), origin=origin)
    return moved


async def hand_over(
    tx: Tx, case: UUID, person: str, to: str, clock: Clock, remark: str = "", origin: str = ""
) -> Case | Refusal:
    """Give a case to a colleague; the caller knows that `to` is one who may work cases."""
    if remark and (refusal := _mistake(remark, "remark")) is not None:
        return refusal
    moved = await _move(tx, case, lambda found: course.hand_over(found, person, to, clock.now()))
    if isinstance(moved, Refusal):
        return moved
    detail = f"{to}: {remark}" if remark else to
    await _note(tx, person, "case.handed_over", moved, "handed_over", clock.now(), detail, origin)
    return moved


async def note(tx: Tx, case: UUID, person: str, text: str, clock: Clock, origin: str = "") -> Case | Refusal:
    """Write something down: anybody who works cases may, whoever has claimed it, and after it was decided too."""
    if (refusal := _mistake(text, "text")) is not None:
        return refusal
    moved = await _move(tx, case, lambda found: course.keep(found, person, clock.now()))
    if isinstance(moved, Refusal):
        return moved
    await _note(tx, person, "case.noted", moved, "noted", clock.now(), text, origin)
    return moved


async def decide(
    tx: Tx,
    case: UUID,
    person: str,
    verdict: str,
    payments: Sequence[UUID],
    reason: str,
    clock: Clock,
    origin: str = "",
) -> Case | Refusal:
    """Say what a case was, and why. Fraud and genuine label the payments, known from now on; unclear labels nothing."""
    kind = next((each for each in VERDICTS if each == verdict), None)
    if kind is None:
        return Refusal("invalid_value", f"one of {', '.join(VERDICTS)}", "verdict")
    chosen = tuple(dict.fromkeys(payments))
    if (refusal := _mistake(reason, "reason") or _too_many(chosen)) is not None:
        return refusal
    found = await rows.lock(tx, case)
    if found is None:
        return _UNKNOWN
    if set(chosen) - await rows.decided(tx, chosen, found.subject):
        return Refusal("unknown_payment", "name payments of the case's subject", "payments")
    now = clock.now()
    moved = course.decide(found, person, kind, now)
    if isinstance(moved, Refusal):
        return moved
    await rows.keep(tx, moved)
    await rows.add_verdict(tx, case, Verdict(new_id(), now, person, kind, reason, chosen))
    await _label(tx, kind, chosen, now)
    detail = f"{kind}, {len(chosen)} payments: {reason}"
    await _note(tx, person, "case.decided", moved, "decided", now, f"{kind}: {reason}", origin, detail)
    return moved


async def reopen(
    tx: Tx, case: UUID, person: str, reason: str, clock: Clock, origin: str = ""
) -> Case | Refusal:
    """Open a decided case again. Its labels stand until it is decided anew: the newest word counts."""
    if (refusal := _mistake(reason, "reason")) is not None:
        return refusal
    found = await rows.lock(tx, case)
    if found is None:
        return _UNKNOWN
    if (other := await rows.other_open(tx, found)) is not None:
        return Refusal("case_open", f"work on {to_typeid(PREFIX, other)} instead")
    moved = course.reopen(found, person, clock.now())
    if isinstance(moved, Refusal):
        return moved
    await rows.keep(tx, moved)
    await _note(tx, person, "case.reopened", moved, "reopened", clock.now(), reason, origin)
    return moved


async def note_listed(
    tx: Tx, case: UUID, person: str, what: str, clock: Clock, origin: str = ""
) -> Case | Refusal:
    """Write down that something of the case was put on a list of risk; the list's own door did it in this transaction."""
    moved = await _move(tx, case, lambda found: course.keep(found, person, clock.now()))
    if isinstance(moved, Refusal):
        return moved
    await _note(tx, person, "case.listed", moved, "listed", clock.now(), what, origin)
    return moved


async def _move(tx: Tx, case: UUID, step: Callable[[Case], Case | Refusal]) -> Case | Refusal:
    found = await rows.lock(tx, case)
    if found is None:
        return _UNKNOWN
    moved = step(found)
    if isinstance(moved, Case):
        await rows.keep(tx, moved)
    return moved


async def _note(
    tx: Tx,
    person: str,
    action: str,
    case: Case,
    kind: EventKind,
    now: datetime,
    detail: str = "",
    origin: str = "",
    said: str | None = None,
) -> None:
    """In the case's past, and in the audit trail (`said`: where the trail says it in other words)."""
    await rows.note(tx, case.id, kind, now, person, detail)
    told = detail if said is None else said
    await audit.append(tx, person, action, case.public_id, told[: limits.MAX_TEXT], origin)


async def _label(tx: Tx, verdict: VerdictKind, payments: Sequence[UUID], now: datetime) -> None:
    if verdict == "unclear" or not payments:
        return
    known = to_us(now)
    labels = [Label(each, verdict == "fraud", known, LABEL_SOURCE) for each in payments]
    await risk_rows.write_labels(tx, labels, now)


def _too_many(payments: Sequence[UUID]) -> Refusal | None:
    if len(payments) <= limits.CASE_PAYMENTS:
        return None
    return Refusal("invalid_value", f"at most {limits.CASE_PAYMENTS} payments", "payments")


def _mistake(text: str, field: str) -> Refusal | None:
    """What is wrong with a text that everybody on the team may read."""
    if not 0 < len(text) <= limits.MAX_TEXT:
        return Refusal("invalid_value", f"1 to {limits.MAX_TEXT} characters", field)
    return gossip(text, field)

"""Purpose grants: leave to look at personal data for a ticket, a case or a run, for a time, at so many people.

Up to GRANT_ROWS people, and GRANT_DAY_ROWS in 24 hours, a person opens one alone; more is a bulk reveal, for which a second
person must agree.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.access import approvals, policy
from tillkeeper.access.approvals import Deed
from tillkeeper.access.types import Approval, Grant, Session
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "grants.sql")

PURPOSES: Final = ("ticket", "case", "run")


class BulkReveal(msgspec.Struct, frozen=True):
    """Terms of a bulk reveal: who may look, why, at how many people, for how many seconds."""

    person: str
    purpose: str
    reference: str
    reason: str
    rows: int
    seconds: int


def thing(grant: Grant) -> policy.Thing:
    """A grant, as policies see it."""
    return policy.Thing("Grant", str(grant.id), {"person": policy.person_fact(grant.person)})


async def open_grant(
    tx: Tx,
    session: Session,
    purpose: str,
    reference: str,
    reason: str,
    rows: int,
    seconds: int,
    clock: Clock,
    *,
    origin: str = "",
) -> Grant | Refusal:
    """Open a grant, or ask a second person (approval_needed): for one of more than GRANT_ROWS rows, and for what exceeds
    GRANT_DAY_ROWS in 24 hours, as many small grants are a bulk reveal too.

    Gives invalid_value for an unknown purpose, no reference or reason, or a row budget or time box out of bounds. That
    the person may open grants at all is the door's to judge (grant.open).
    """
    wanted = BulkReveal(session.person, purpose, reference, reason, rows, seconds)
    if refusal := _mistake(wanted):
        return refusal
    if rows > limits.GRANT_ROWS or await _too_many_today(tx, wanted, clock.now()):
        asked = await approvals.ask(tx, BULK, wanted, approvals.asker(session, origin), clock, reason)
        if isinstance(asked, Refusal):
            return asked
        public = approvals.approval_id(asked)
        return Refusal("approval_needed", f"the grant opens once {public} is given", approval=public)
    return await _open(tx, wanted, None, clock.now(), origin)


async def spend(tx: Tx, grant: UUID, person: str, subject: str, clock: Clock) -> Grant | Refusal:
    """Spend one row of a person's own grant on somebody (a public id); the same one again costs nothing.

    Gives grant_ended for a grant that is unknown, somebody else's, ended or over, and grant_exhausted. It stands if and
    only if the transaction commits, so that nothing is opened that was not counted.
    """
    at = {"id": grant, "person": person, "subject": subject, "at": clock.now()}
    row = await tx.row(_sql.lock, at)
    if row is None:
        return Refusal("grant_ended", "open a grant for this purpose first")
    found = Grant(*row)
    if await tx.value(_sql.looked_before, at) is not None:
        return found
    left = await tx.value(_sql.spend, at)
    if left is None:
        return Refusal("grant_exhausted", "open another grant, or ask for a larger one")
    await tx.run(_sql.look, at)
    return msgspec.structs.replace(found, rows_left=left)


async def find_grant(tx: Tx, grant: UUID) -> Grant | None:
    """One grant."""
    row = await tx.row(_sql.find, {"id": grant})
    return Grant(*row) if row else None


async def grants_of(tx: Tx, person: str | None, clock: Clock) -> list[Grant]:
    """The newest PAGE_MAX grants in force, of one person or of all."""
    asked = {"person": person, "at": clock.now(), "limit": limits.PAGE_MAX}
    rows = await tx.tuples(_sql.of_person, asked)
    return [Grant(*row) for row in rows]


async def grants_for(tx: Tx, person: str, subject: str, clock: Clock) -> list[Grant]:
    """A person's grants in force that can be spent on somebody (a public id), the newest first."""
    rows = await tx.tuples(_sql.for_subject, {"person": person, "subject": subject, "at": clock.now()})
    return [Grant(*row) for row in rows]


async def end_grant(tx: Tx, grant: UUID, clock: Clock, *, actor: str, origin: str = "") -> bool:
    """End a grant early; False when it was over. Whose grants the actor may end is the door's to judge (grant.end)."""
    ended = await tx.value(_sql.end, {"id": grant, "at": clock.now()}) is not None
    if ended:
        await audit.append(tx, actor, "grant.ended", to_typeid("grt", grant), origin=origin)
    return ended


async def _open(tx: Tx, wanted: BulkReveal, approval: UUID | None, now: datetime, origin: str) -> Grant:
    grant = Grant(
        id=new_id(),
        person=wanted.person,
        purpose=wanted.purpose,
        reference=wanted.reference,
        reason=wanted.reason,
        rows=wanted.rows,
        rows_left=wanted.rows,
        opened_at=now,
        expires_at=now + timedelta(seconds=wanted.seconds),
        ended_at=None,
        approval=approval,
    )
    await tx.run(_sql.open, {**msgspec.structs.asdict(grant), "at": now})
    why = f"{wanted.purpose} {wanted.reference}: {wanted.rows} rows, {wanted.seconds} s"
    await audit.append(tx, wanted.person, "grant.opened", to_typeid("grt", grant.id), why, origin)
    return grant


async def _too_many_today(tx: Tx, wanted: BulkReveal, now: datetime) -> bool:
    await tx.run(_sql.one_at_a_time, {"person": wanted.person})
    lately = {"person": wanted.person, "at": now, "since": now - timedelta(days=1)}
    return int(await tx.value(_sql.opened_alone, lately)) + wanted.rows > limits.GRANT_DAY_ROWS


def _mistake(wanted: BulkReveal) -> Refusal | None:
    if wanted.purpose not in PURPOSES:
        return Refusal("invalid_value", f"one of {', '.join(PURPOSES)}", "purpose")
    for field in ("reference", "reason"):
        if not 0 < len(getattr(wanted, field).strip()) <= limits.MAX_TEXT:
            return Refusal("invalid_value", f"1 to {limits.MAX_TEXT} characters", field)
    if not 1 <= wanted.rows <= limits.GRANT_BULK_ROWS:
        return Refusal("invalid_value", f"1 to {limits.GRANT_BULK_ROWS}", "rows")
    if not 60 <= wanted.seconds <= limits.GRANT_SECONDS:
        return Refusal("invalid_value", f"60 to {limits.GRANT_SECONDS} seconds", "seconds")
    return None


async def _nothing(_: Tx, __: Any) -> None:
    """A grant stands on nothing that could change."""


async def _carry_out(tx: Tx, approval: Approval, terms: BulkReveal) -> None:
    # The time box begins when it is given; a second carrying out meets the approval's own row.
    assert approval.decided_at is not None
    await _open(tx, terms, approval.id, approval.decided_at, approval.origin)


BULK: Final = Deed("customer.reveal_many", BulkReveal, _nothing, _carry_out)
"""The deed of opening a large grant."""

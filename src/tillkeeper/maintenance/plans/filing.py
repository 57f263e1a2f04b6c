"""Plans are filed, submitted, rehearsed, agreed to, taken by a run, and come to an end.

What refuses is a value. Who may do this is the faces' to judge, except for the second person, whom the deed below asks.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper import access, audit
from tillkeeper.access import Approval, Asker
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import from_typeid, new_id
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance.plans import rows
from tillkeeper.maintenance.plans.checking import check
from tillkeeper.maintenance.plans.types import OPEN, PREFIX, Filed, Plan, PlanState, Rehearsal, Rehearsed
from tillkeeper.maintenance.steps import Kinds
from tillkeeper.store import Tx

_TWINS: Final = 100  # plans with one content: as many as one rehearsal speaks for


class PlanApproval(msgspec.Struct, frozen=True):
    """Terms: run exactly this plan once. `person`: who wrote it, and so cannot be the second one."""

    plan: str
    digest: str
    goal: str
    person: str


async def draft(
    tx: Tx, plan: Plan, author: str, clock: Clock, *, origin: str = "", replaces: UUID | None = None
) -> Filed | Refusal:
    """Keep a plan that need not be complete; the draft that it `replaces` is withdrawn.

    Refuses too_many_plans, and unknown_plan or plan_state for what it replaces.
    """
    if refusal := await _room(tx):
        return refusal
    if replaces is not None:
        gone = await _end_draft(tx, replaces, author, clock)
        if isinstance(gone, Refusal):
            return gone
    made = await rows.add(tx, plan, author, "draft", clock.now(), replaces)
    await audit.append(tx, author, "plan.drafted", made.public_id, plan.digest.hex(), origin)
    return made


async def submit(
    tx: Tx, plan: Plan, author: str, kinds: Kinds, clock: Clock, *, origin: str = ""
) -> Filed | Refusal:
    """File a plan for rehearsal and agreement. Refuses plan_mistaken, too_many_plans."""
    if mistakes := check(plan, kinds, clock.now()):
        return Refusal("plan_mistaken", mistakes[0].said, mistakes[0].field)
    if refusal := await _room(tx):
        return refusal
    made = await rows.add(tx, plan, author, "submitted", clock.now())
    return await _submitted(tx, made, author, clock, origin)


async def submit_draft(
    tx: Tx, id_: UUID, person: str, kinds: Kinds, clock: Clock, *, origin: str = ""
) -> Filed | Refusal:
    """Submit a draft as it stands. Refuses unknown_plan, plan_state, plan_mistaken."""
    found = await _locked(tx, id_, "draft")
    if isinstance(found, Refusal):
        return found
    if mistakes := check(found.plan, kinds, clock.now()):
        return Refusal("plan_mistaken", mistakes[0].said, mistakes[0].field)
    now = clock.now()
    await tx.run(rows.sql.submit, {"id": id_, "at": now})
    submitted = msgspec.structs.replace(found, state="submitted", submitted_at=now)
    return await _submitted(tx, submitted, person, clock, origin)


async def withdraw(tx: Tx, id_: UUID, person: str, clock: Clock, *, origin: str = "") -> Filed | Refusal:
    """Take a plan back, unless a run has taken it. Refuses unknown_plan, plan_state."""
    found = await _locked(tx, id_, *OPEN)
    if isinstance(found, Refusal):
        return found
    if found.run is not None:
        return Refusal("plan_state", "a run has begun: abort the run")
    ended = await _close(tx, found, "withdrawn", person, clock)
    await audit.append(tx, person, "plan.withdrawn", found.public_id, origin=origin)
    return ended


async def note_rehearsal(
    tx: Tx, digest: bytes, evidence: Rehearsed, clock: Clock, *, by: str = "agent"
) -> Rehearsal:
    """Attach what a rehearsal found to every plan with this digest. If it passed, a second person is asked at once;
    if not, an earlier one that passed counts no longer.
    """
    made = Rehearsal(new_id(), digest, evidence.passed, evidence, by, clock.now())
    text = msgspec.json.encode(evidence).decode()
    await tx.run(rows.sql.note_rehearsal, msgspec.structs.asdict(made) | {"evidence": text})
    for found in await rows.many(tx, rows.sql.of_digest, {"digest": digest, "limit": _TWINS}):
        await audit.append(
            tx, by, "plan.rehearsed", found.public_id, result="done" if evidence.passed else "failed"
        )
        if found.state not in {"submitted", "rehearsed"}:
            continue
        await _set_state(tx, found, "rehearsed" if evidence.passed else "submitted")
        if evidence.passed:
            await _ask(tx, found, Asker(found.author), clock)
    return made


async def ask_approval(tx: Tx, id_: UUID, who: Asker, clock: Clock, reason: str = "") -> Approval | Refusal:
    """Ask a second person again, where the first question was refused or ran out.

    Refuses unknown_plan, plan_state, plan_not_rehearsed, too_many_approvals.
    """
    found = await _locked(tx, id_, "submitted", "rehearsed")
    return found if isinstance(found, Refusal) else await _ask(tx, found, who, clock, reason)


async def take(tx: Tx, id_: UUID, run: UUID, clock: Clock) -> Filed | Refusal:
    """Bind an approved plan to its one run; the same run finds it again. Refuses unknown_plan, plan_not_approved."""
    found = await get(tx, id_)
    if found is None:
        return _UNKNOWN
    if await tx.value(rows.sql.take, {"id": id_, "run": run, "at": clock.now()}) is None:
        return Refusal("plan_not_approved", f"it is {found.state}; a plan that was run once is planned again")
    return msgspec.structs.replace(found, run=run)


async def finish(tx: Tx, run: UUID, clock: Clock, *, by: str = "agent") -> None:
    """The run of a plan has ended, whatever became of it."""
    found = await rows.one(tx, rows.sql.of_run, {"run": run})
    if found is not None and found.state == "approved":
        await _close(tx, found, "done", by, clock)


async def expire_late(tx: Tx, clock: Clock) -> list[UUID]:
    """End what was agreed to and not begun in time."""
    return [id_ for (id_,) in await tx.tuples(rows.sql.expire, {"at": clock.now()})]


async def get(tx: Tx, id_: UUID) -> Filed | None:
    """One plan."""
    return await rows.one(tx, rows.sql.find, {"id": id_})


async def of_digest(tx: Tx, digest: bytes) -> Filed | None:
    """The newest plan with this content."""
    return await rows.one(tx, rows.sql.of_digest, {"digest": digest, "limit": 1})


async def of_run(tx: Tx, run: UUID) -> Filed | None:
    """The plan that a run carries out."""
    return await rows.one(tx, rows.sql.of_run, {"run": run})


async def listed(
    tx: Tx,
    states: Sequence[PlanState] = OPEN,
    before: UUID | None = None,
    limit: int = limits.PAGE_DEFAULT,
) -> list[Filed]:
    """Plans in some states, the newest first."""
    return await rows.page(tx, states, before, limit)


async def rehearsal_of(tx: Tx, digest: bytes) -> Rehearsal | None:
    """The latest rehearsal of this content, which is the one that counts."""
    found = await rows.rehearsals(tx, digest, 1)
    return found[0] if found else None


async def rehearsals_of(tx: Tx, digest: bytes) -> list[Rehearsal]:
    """Its rehearsals, the newest first."""
    return await rows.rehearsals(tx, digest)


async def _present(tx: Tx, terms: PlanApproval) -> Any:
    """What an agreement stands on: the plan as it is, and the rehearsal that counts."""
    found = await get(tx, from_typeid(PREFIX, terms.plan))
    if found is None:
        return _UNKNOWN
    if found.state not in {"submitted", "rehearsed"}:
        return Refusal("plan_state", f"it is {found.state}")
    if found.digest.hex() != terms.digest:
        return Refusal("approval_changed", "look at the plan again")
    last = await rehearsal_of(tx, found.digest)
    if last is None or not last.passed:
        return Refusal("plan_not_rehearsed", "have it rehearsed first: till plan rehearse")
    return str(last.id)


async def _carry_out(tx: Tx, approval: Approval, terms: PlanApproval) -> Refusal | None:
    found = await get(tx, from_typeid(PREFIX, terms.plan))
    if found is not None and found.approval == approval.id:
        return None
    present = await _present(tx, terms)
    if isinstance(present, Refusal):
        return present
    assert found is not None
    assert approval.decided_at is not None
    until = approval.decided_at + timedelta(seconds=limits.PLAN_APPROVED_SECONDS)
    if found.plan.window is not None:
        until = min(until, found.plan.window.end)
    if until <= approval.decided_at:
        return Refusal("plan_state", "its window is over: plan it again")
    agreed = {"id": found.id, "approval": approval.id, "by": approval.decided_by}
    if await tx.value(rows.sql.approve, agreed | {"at": approval.decided_at, "until": until}) is None:
        return Refusal("plan_state", "it was withdrawn in this moment")
    await audit.append(tx, approval.decided_by or "", "plan.approved", found.public_id, found.digest.hex())
    return None


APPROVE: Final = access.approvals.Deed("plan.approve", PlanApproval, _present, _carry_out)
"""Done as soon as a second person agrees: then a run may begin."""

_UNKNOWN: Final = Refusal("unknown_plan", "check the id")


async def _submitted(tx: Tx, made: Filed, person: str, clock: Clock, origin: str) -> Filed:
    """On record; and where exactly this was rehearsed before, a second person is asked at once."""
    await audit.append(tx, person, "plan.submitted", made.public_id, made.digest.hex(), origin)
    last = await rehearsal_of(tx, made.digest)
    if last is None or not last.passed:
        return made
    made = await _set_state(tx, made, "rehearsed")
    await _ask(tx, made, Asker(made.author, None, origin), clock)
    return made


async def _ask(tx: Tx, found: Filed, who: Asker, clock: Clock, reason: str = "") -> Approval | Refusal:
    terms = PlanApproval(found.public_id, found.digest.hex(), found.plan.goal, found.author)
    return await access.approvals.ask(tx, APPROVE, terms, who, clock, reason)


async def _room(tx: Tx) -> Refusal | None:
    if await tx.value(rows.sql.count_open) >= limits.PLANS_OPEN:
        return Refusal("too_many_plans", "withdraw those that nobody will run")
    return None


async def _locked(tx: Tx, id_: UUID, *states: PlanState) -> Filed | Refusal:
    found = await rows.one(tx, rows.sql.lock, {"id": id_})
    if found is None:
        return _UNKNOWN
    return found if found.state in states else Refusal("plan_state", f"it is {found.state}")


async def _end_draft(tx: Tx, id_: UUID, person: str, clock: Clock) -> Filed | Refusal:
    found = await _locked(tx, id_, "draft")
    return found if isinstance(found, Refusal) else await _close(tx, found, "withdrawn", person, clock)


async def _set_state(tx: Tx, found: Filed, state: PlanState) -> Filed:
    await tx.run(rows.sql.set_state, {"id": found.id, "state": state})
    return msgspec.structs.replace(found, state=state)


async def _close(tx: Tx, found: Filed, state: PlanState, by: str, clock: Clock) -> Filed:
    now = clock.now()
    await tx.run(rows.sql.close, {"id": found.id, "state": state, "at": now, "by": by})
    return msgspec.structs.replace(found, state=state, ended_at=now, ended_by=by)

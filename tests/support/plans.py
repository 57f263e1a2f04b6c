"""Plans for tests, and the way of one through its states."""

from datetime import timedelta
from typing import Any

import msgspec

from tests.support.people import signed_in
from tillkeeper import access
from tillkeeper.access import Approval, approvals
from tillkeeper.base.clock import Clock
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Filed, Plan, Rehearsal, Rehearsed, Step, StepRehearsed
from tillkeeper.maintenance.steps import KINDS
from tillkeeper.store import Store

DEEDS = approvals.deeds(plans.APPROVE, plans.OVERRIDE, plans.LIFT)
ANALYZE = Step("table.analyze", {"table": "payments.payments"}, title="Look at the payments")


def a_plan(goal: str = "Know the payments", **given: Any) -> Plan:
    """One short step that changes nothing."""
    return Plan(goal, "the planner guesses", "anna", **({"steps": (ANALYZE,)} | given))


def rehearsed(clock: Clock, *, passed: bool = True, seconds: float = 2.0) -> Rehearsed:
    """What a rehearsal of a plan of one step found."""
    now = clock.now()
    step = StepRehearsed(0, "table.analyze", passed, seconds, held_ms=12.0, size_change_bytes=8192)
    said = "" if passed else "the table is not there"
    return Rehearsed(passed, now - timedelta(seconds=30), now, (step,), said=said, payments=120)


async def submit(store: Store, clock: Clock, plan: Plan | None = None, author: str = "anna") -> Filed:
    """File it."""
    async with store.tx("submit") as tx:
        filed = await plans.submit(tx, plan or a_plan(), author, KINDS, clock)
    assert isinstance(filed, Filed), filed
    return filed


async def rehearse(store: Store, clock: Clock, filed: Filed, *, passed: bool = True) -> Rehearsal:
    """Note a rehearsal."""
    async with store.tx("rehearse") as tx:
        return await plans.note_rehearsal(tx, filed.digest, rehearsed(clock, passed=passed), clock)


async def waiting(store: Store, clock: Clock) -> list[Approval]:
    """The questions that wait."""
    async with store.tx("waiting") as tx:
        return await approvals.open_ones(tx, clock, None, 10)


async def agree(store: Store, clock: Clock, asked: Approval, by: str = "ben", role: str = "operator") -> Any:
    """A second person's yes, carried out."""
    async with store.tx("decide") as tx:
        session = signed_in(by, clock, [role])
        said = await approvals.decide(tx, DEEDS, asked.id, asked.digest, session, clock, give=True)
    if not isinstance(said, Approval):
        return said
    return await approvals.carry_out(store, DEEDS, asked.id, clock)


async def approved(store: Store, clock: Clock, plan: Plan | None = None, author: str = "anna") -> Filed:
    """A plan that may be run."""
    filed = await submit(store, clock, plan, author)
    await rehearse(store, clock, filed)
    (asked,) = [each for each in await waiting(store, clock) if each.subject == filed.public_id]
    done = await agree(store, clock, asked)
    assert isinstance(done, Approval), done
    return await now(store, filed)


async def now(store: Store, filed: Filed) -> Filed:
    """The plan as it stands."""
    async with store.tx("get") as tx:
        found = await plans.get(tx, filed.id)
    assert found is not None
    return found


def same(one: Filed, other: Filed) -> bool:
    """Whether two are one plan in one state."""
    return msgspec.json.encode(one) == msgspec.json.encode(other)


WHO = access.Asker("anna", None, "test")

"""Asking for a run: of a plan that two people agreed to, and of exactly that."""

from uuid import UUID

from tillkeeper import audit
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.runs import journal
from tillkeeper.maintenance.runs.people import tell
from tillkeeper.maintenance.runs.types import Run
from tillkeeper.store import Tx


async def start(tx: Tx, plan: UUID, who: str, clock: Clock, *, origin: str = "") -> Run | Refusal:
    """Have an approved plan carried out: the agent begins as soon as calendar and preflight let it.

    Refuses unknown_plan, plan_not_approved and run_open.
    """
    if (other := await journal.other_run(tx)) is not None:
        return journal.busy(other)
    id_ = new_id()
    taken = await plans.take(tx, plan, id_, clock)
    if isinstance(taken, Refusal):
        return taken
    run = await journal.ask(tx, id_, plan, taken.plan, who, clock, rehearsal=False)
    assert run is not None  # one asks at a time
    await audit.append(tx, who, "run.asked", run.public, taken.public_id, origin)
    await tell(tx, run, "run.asked", journal.fresh(taken.plan), clock)
    return run

"""`backup.take` and `backup.drill`: ordered of the agent, which has them done by a child process; the step waits.

On a copy no agent works, so there they are done at once, into the copy's own repository.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from tillkeeper.base import limits
from tillkeeper.maintenance.backups import Backup, BackupError, Backups, Order, backup_now, drill, order
from tillkeeper.maintenance.steps.common import judged, ok
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError

T = TypeVar("T")
OrderKind = Literal["full", "incremental", "drill"]


class TakeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Take a backup now: what changed since the last one, or everything. There is nothing to undo; it stays."""

    full: Annotated[bool, Meta(description="everything, not only what has changed")] = False


class DrillParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Restore the newest backup beside, up to this moment, and look at books, audit trail and pages. There is nothing to
    undo.
    """


class _Ordered:
    """What both kinds share: they read, and what they write is kept apart."""

    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def undo(
        self, site: Site, given: TakeParameters | DrillParameters, evidence: Evidence, attempt: Attempt
    ) -> Evidence:
        return {}


class BackupTake(_Ordered):
    """See TakeParameters."""

    name = "backup.take"
    parameters: type[msgspec.Struct] = TakeParameters

    async def preflight(self, site: Site, given: TakeParameters) -> Sequence[Finding]:
        last = await Backups(site.store).latest()
        said = (
            "there is none yet: this will be a full one"
            if last is None
            else f"the last one is of {_when(last)}"
        )
        return [ok("last_backup", said)]

    async def run(self, site: Site, given: TakeParameters, attempt: Attempt) -> Evidence:
        if site.production:
            await _ordered(site, "full" if given.full else "incremental", attempt)
            taken = await Backups(site.store).latest()
        else:
            taken = await _here(backup_now(site.settings, site.clock, full=given.full, by="rehearsal"))
        if taken is None:
            raise StepError("the backup was taken and is not listed: look at till backup list")
        seconds = (taken.ended_at - taken.begun_at).total_seconds() if taken.ended_at else None
        return {"backup": str(taken.id), "kind": taken.kind, "bytes": taken.bytes, "seconds": seconds}

    async def verify(self, site: Site, given: TakeParameters, evidence: Evidence) -> Sequence[Finding]:
        listed = {str(each.id): each for each in await Backups(site.store).list()}
        found = listed.get(evidence["backup"])
        there = found is not None and found.state == "done"
        said = f"{evidence['kind']} backup of {evidence['bytes'] or 0:,} bytes; a drill proves it"
        return [judged("backup_listed", there, said)]


class BackupDrill(_Ordered):
    """See DrillParameters."""

    name = "backup.drill"
    parameters: type[msgspec.Struct] = DrillParameters

    async def preflight(self, site: Site, given: DrillParameters) -> Sequence[Finding]:
        last = await Backups(site.store).latest()
        if last is None and site.production:
            return [Finding("no_backup", "there is no backup to restore: take one first (backup.take)")]
        return [ok("last_backup", f"of {_when(last)}" if last else "none yet")]

    async def run(self, site: Site, given: DrillParameters, attempt: Attempt) -> Evidence:
        if site.production:
            await _ordered(site, "drill", attempt)
            proof = next(iter(await Backups(site.store).drills(1)), None)
        else:
            proof = await _here(drill(site.settings, site.clock, by="rehearsal"))
        if proof is None:
            raise StepError("the drill ended and left no proof: look at till backup list")
        if not proof.passed:
            broken = [f"{each.name}: {each.said}" for each in proof.checks if each.state == "broken"]
            raise StepError(f"the restored copy is not whole: {'; '.join(broken)}")
        return {
            "drill": str(proof.id),
            "backup": str(proof.backup),
            "rpo_seconds": round(proof.rpo_seconds, 3),
            "rto_seconds": round(proof.rto_seconds, 3),
            "checks": [msgspec.to_builtins(each) for each in proof.checks],
        }

    async def verify(self, site: Site, given: DrillParameters, evidence: Evidence) -> Sequence[Finding]:
        proofs = {str(each.id): each for each in await Backups(site.store).drills()}
        found = proofs.get(evidence["drill"])
        said = f"RPO {evidence['rpo_seconds']:g} s, RTO {evidence['rto_seconds']:g} s"
        return [judged("drill_passed", found is not None and found.passed, said)]


async def _ordered(site: Site, kind: OrderKind, attempt: Attempt) -> None:
    """Order it, or join what is ordered already, and wait for its end. Raises StepError when it failed."""
    if "order" in attempt.saved:
        found = await _ended(site, UUID(attempt.saved["order"]), attempt)
        if found is not None and found.state == "done":
            return
        # Else the agent was killed with it, and this is the one after: it is ordered anew.
    async with site.store.tx("step backup") as tx:
        asked = await order(tx, kind, "agent", site.clock.now()) or await _same(site, kind)
    await attempt.save({"order": str(asked)})
    found = await _ended(site, asked, attempt)
    if found is None or found.state == "failed":
        raise StepError(f"it failed: {found.said if found else 'its order is not listed any more'}")


async def _same(site: Site, kind: OrderKind) -> UUID:
    """What is ordered already and does as well. Raises StepError."""
    for each in await Backups(site.store).orders():
        if each.ended_at is None and (each.kind == kind or (each.kind, kind) == ("full", "incremental")):
            return each.id
    raise StepError("another backup is asked for: try again when it has ended")


async def _ended(site: Site, asked: UUID, attempt: Attempt) -> Order | None:
    """The order, once it has ended; None if it is not listed."""
    while True:
        await attempt.checkpoint()
        found = {each.id: each for each in await Backups(site.store).orders()}.get(asked)
        if found is None or found.ended_at is not None:
            return found
        await attempt.progress(0.0 if found.state == "waiting" else 0.5, f"{found.kind}: {found.state}")
        await asyncio.sleep(limits.STEP_TELL_SECONDS)


async def _here(work: Coroutine[Any, Any, T]) -> T:
    """Do it in this process. Raises StepError."""
    try:
        return await work
    except BackupError as error:
        raise StepError(str(error)) from error


def _when(backup: Backup) -> str:
    return f"{backup.begun_at:%Y-%m-%d %H:%M} UTC, {'drilled' if backup.good else 'not drilled'}"

"""`workers.restart`: restart the processes of a kind, one after the other, each after it has ended what it had begun."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from tillkeeper.base import limits
from tillkeeper.maintenance.steps.common import judged
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.store import processes

_LOOK_SECONDS: Final = 0.1


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Restart the processes of a kind, one after the other. Each first ends what it has begun; what is new meanwhile waits,
    or is told to come again (503 under_maintenance), its idempotency key unused. There is nothing to undo.
    """

    kind: Annotated[Literal["api", "console"], Meta(description="which processes")] = "api"
    drain_seconds: Annotated[
        float, Meta(gt=0, le=60, description="then it serves on, and the step has failed")
    ] = 10.0
    ready_seconds: Annotated[
        float, Meta(gt=0, le=limits.SERVE_READY_SECONDS, description="until the new one must serve")
    ] = 120.0


class WorkersRestart:
    """See Parameters."""

    name = "workers.restart"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        serving = await _alive(site, given.kind)
        said = f"{len(serving)} {given.kind} processes serve"
        return [judged("workers", bool(serving) or not site.production, said)]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        if not (state := dict(attempt.saved)):
            old = sorted(str(each.id) for each in await _alive(site, given.kind))
            if not old and site.production:
                raise StepError(f"no {given.kind} process serves: start one (till serve {given.kind})")
            state = {"old": old, "restarted": []}
            await attempt.save(state)
        for number, old_id in enumerate(state["old"]):
            if old_id in [each["old"] for each in state["restarted"]]:
                continue
            await attempt.checkpoint()
            await attempt.progress(number / len(state["old"]), f"{given.kind} {number + 1}: draining")
            state["restarted"].append(await self._restart(site, given, UUID(old_id)))
            await attempt.save(state)
        return state

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        serving = {str(each.id): each for each in await _alive(site, given.kind)}
        left = [each for each in evidence["old"] if each in serving]
        fresh = [each for each in serving.values() if each.state == "serving"]
        return [
            judged(
                "old_ended", not left, f"{len(evidence['old']) - len(left)} of {len(evidence['old'])} ended"
            ),
            judged("new_serve", len(fresh) >= len(evidence["old"]), f"{len(fresh)} serve now"),
        ]

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        async with site.store.tx("step workers.restart") as tx:
            for each in await processes.listed(tx, given.kind):
                if each.alive:
                    await processes.wish(tx, each.id, "serve")
        await attempt.save({})  # whoever runs the step again begins anew
        return {}

    async def _restart(self, site: Site, given: Parameters, old: UUID) -> Evidence:
        """Have one process drain and end, and wait for the one in its place. Raises StepError."""
        known = {each.id for each in await _listed(site, given.kind)}
        begun = site.clock.monotonic()
        await _wish(site, old, "restart", given.drain_seconds + limits.PROCESS_SILENT_SECONDS)
        ended = await _until(
            site, given.drain_seconds + limits.PROCESS_BEAT_SECONDS, lambda: _ended(site, old)
        )
        if not ended:
            await _wish(site, old, "serve", limits.PROCESS_WISH_SECONDS)
            calls = next((each.detail for each in await _listed(site, given.kind) if each.id == old), {})
            raise StepError(
                f"after {given.drain_seconds:g} s {calls.get('in_flight', '?')} calls were still in flight: "
                "it was not restarted and serves on"
            )
        drained = site.clock.monotonic()

        async def replaced() -> bool:
            return any(each.id not in known for each in await _alive(site, given.kind))

        if not await _until(site, given.ready_seconds, replaced):
            raise StepError(
                f"no new {given.kind} serves after {given.ready_seconds:g} s: look at its log; "
                "whoever started the old one must start it again (till up does)"
            )
        return {
            "old": str(old),
            "drained_seconds": round(drained - begun, 3),
            "away_seconds": round(site.clock.monotonic() - drained, 3),
        }


async def _listed(site: Site, kind: str) -> list[processes.Process]:
    async with site.store.tx("step workers.restart") as tx:
        return await processes.listed(tx, kind)


async def _alive(site: Site, kind: str) -> list[processes.Process]:
    return [each for each in await _listed(site, kind) if each.alive]


async def _ended(site: Site, process: UUID) -> bool:
    async with site.store.tx("step workers.restart") as tx:
        return not any(each.id == process and each.alive for each in await processes.listed(tx))


async def _wish(site: Site, process: UUID, wished: processes.Wish, seconds: float) -> None:
    async with site.store.tx("step workers.restart") as tx:
        await processes.wish(tx, process, wished, seconds)


async def _until(site: Site, seconds: float, true: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it became true within so many seconds."""
    deadline = site.clock.monotonic() + seconds
    while not (now := await true()) and site.clock.monotonic() < deadline:  # noqa: ASYNC110 - another process rings no bell
        await asyncio.sleep(_LOOK_SECONDS)
    return now

"""`keys.rotate`: replace the key of sealed data while everybody works."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tillkeeper.base import limits
from tillkeeper.maintenance.steps.common import Irreversible, judged
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.store import sole
from tillkeeper.vault import JOB, Pace, Progress, Proof, Rotation, VaultError, keys

_REST: Final = 4.0  # a fifth of the time, one short step at a time: see docs/performance.md
_ON_COPY_SECONDS: Final = 2 * limits.VAULT_REFRESH_SECONDS
"""On a copy nobody else seals: those of this process know the new key by then."""


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seal all cells (or make all blind indexes) anew with a new key, and destroy the old one when nothing of it is left.

    A rotation that was broken off goes on where it was. It cannot be undone: what is lost with the old key is nothing.
    """

    purpose: Annotated[
        Literal["data", "index"], Meta(description="data: the cells; index: what they are found by")
    ] = "data"
    rest: Annotated[
        float, Meta(ge=0, le=100, description="pause after each piece of work, in times of its length")
    ] = _REST


class KeysRotate(Irreversible):
    """See Parameters."""

    name = "keys.rotate"
    parameters: type[msgspec.Struct] = Parameters
    remedy = "the old key is destroyed, and nothing of it is left; one that was broken off goes on when it begins again"
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        versions = await _versions(site, given.purpose)
        said = ", ".join(f"version {version} is {state}" for version, state in sorted(versions.items()))
        return [
            judged("keys", "active" in versions.values(), f"{given.purpose} key: {said or 'there is none'}")
        ]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        if "version" in attempt.saved:
            return dict(attempt.saved)
        try:
            proof = await _alone(site, given, attempt)
        except sole.TakenError as error:
            raise StepError("another process rotates keys now: wait for it, or stop it") from error
        except VaultError as error:
            raise StepError(f"{error}; nothing was destroyed") from error
        done = {"version": proof.version, "destroyed": proof.destroyed, "rows": proof.done}
        await attempt.save(done)
        return done

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        versions = await _versions(site, given.purpose)
        old = [each for each in evidence["destroyed"] if versions.get(each) != "destroyed"]
        active = versions.get(evidence["version"]) == "active"
        return [
            judged("key_active", active, f"version {evidence['version']} seals"),
            judged("keys_destroyed", not old, f"destroyed: {evidence['destroyed']}; still there: {old}"),
        ]


def _pace(site: Site, given: Parameters) -> Pace:
    pace = Pace.resting(given.rest)
    if site.production:
        return pace
    return msgspec.structs.replace(pace, trust=_ON_COPY_SECONDS, writers=_ON_COPY_SECONDS)


async def _versions(site: Site, purpose: str) -> dict[int, str]:
    """The states of the versions of a key; the classes of sealed data go together."""
    async with site.store.tx("step keys.rotate") as tx:
        return {each.version: each.state for each in await keys(tx) if each.purpose == purpose}


async def _alone(site: Site, given: Parameters, attempt: Attempt) -> Proof:
    """Rotate as the one process that does, telling how far it is; it rests between two pieces of work while the run is
    paused. Raises TakenError, Aborted.
    """
    now = Progress("begins", 0.0, 0)

    def hear(progress: Progress) -> None:
        nonlocal now
        now = progress

    rotation = Rotation(
        site.store, site.vault, site.root, site.clock, given.purpose, "agent", attempt.checkpoint
    )
    rotating = asyncio.create_task(rotation.run(hear, _pace(site, given)))

    async def lost() -> None:
        rotating.cancel()

    try:
        async with sole.sole(site.admin_url, JOB, lost):
            while not (await asyncio.wait({rotating}, timeout=limits.STEP_TELL_SECONDS))[0]:
                await attempt.progress(now.share, f"{now.doing}, {now.done:,} rows")
    finally:
        rotating.cancel()
        await asyncio.gather(rotating, return_exceptions=True)
    if rotating.cancelled():
        raise sole.TakenError("it began to rotate while the database was away")
    try:
        return rotating.result()
    except ExceptionGroup as group:
        raise _first(group) from None


def _first(error: Exception) -> Exception:
    """What went wrong in the first of several lanes."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error

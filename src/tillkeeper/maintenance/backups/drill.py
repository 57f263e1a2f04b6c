"""The restore drill: a backup counts when it was restored, its books balance, and nothing that was there is missing."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tillkeeper import audit, ledger, parties, risk
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import first_id_at, new_id
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups import rows
from tillkeeper.maintenance.backups.copies import running, scratch
from tillkeeper.maintenance.backups.types import Check, Copy, Drill, Tell
from tillkeeper.maintenance.backups.work import alone, silent
from tillkeeper.parties import Register
from tillkeeper.store import Store
from tillkeeper.store.opening import opened
from tillkeeper.store.programs import call, server_account

JOB: Final = "restore drill"
_COMPARED: Final = {"transfers": ledger, "decisions": risk, "audit events": audit}


async def drill(
    settings: Settings, clock: Clock, *, to: datetime | None = None, by: str = "cli", tell: Tell = silent
) -> Drill:
    """Restore the newest backup beside, replay to `to` (unset: as far as the archive goes), look at everything, and write
    down what was found. Raises BackupError when it could not even be tried.
    """
    async with opened(settings, size=2) as (store, urls), alone(urls.app, JOB):
        begun_at = clock.now()
        async with scratch(settings) as home:
            async with running(settings, home, clock, to, tell) as copy:
                restored = copy.restored
                tell(0.96, "looking at books, trail and registers")
                checks = [*restored.checks, *await _look(copy, store, clock)]
            checks.append(await asyncio.to_thread(_pages, home / "postgres"))
        passed = all(each.state != "broken" for each in checks)
        found = Drill(
            id=new_id(),
            backup=restored.backup,
            target=restored.target,
            passed=passed,
            rpo_seconds=restored.rpo_seconds,
            rto_seconds=restored.seconds,
            checks=tuple(checks),
            asked_by=by,
            begun_at=begun_at,
            ended_at=clock.now(),
        )
        await _note(store, found, by)
        return found


async def _note(store: Store, found: Drill, by: str) -> None:
    async with store.tx("drill done") as tx:
        await rows.add_drill(tx, found)
        said = f"passed={str(found.passed).lower()}, rpo {found.rpo_seconds:.1f} s, rto {found.rto_seconds:.1f} s"
        result: audit.Result = "done" if found.passed else "failed"
        await audit.append(tx, by, "backup.drilled", f"backup:{found.backup}", said, "", result)


async def _look(copy: Copy, production: Store, clock: Clock) -> list[Check]:
    async with Store.opened(copy.app_url, size=2) as store:
        compared = await _compare(store, production, copy.restored.target)
        return [
            *compared,
            await _books(store),
            await _trail(store, copy.settings.key_folder, clock),
            await _erasures(store, copy.settings.key_folder),
        ]


async def _books(store: Store) -> Check:
    report = await ledger.verify(store)
    if report.balanced:
        return Check("ledger", "holds", f"{report.transfers} transfers recomputed, the books balance")
    return Check("ledger", "broken", f"{len(report.differences)} differences: till ledger verify names them")


async def _trail(store: Store, keys: Path, clock: Clock) -> Check:
    """Without the anchors: they are ahead of every copy. Events that waited for their seal then are in no tree yet."""
    report = await audit.verify(store, audit.find_ring(keys), [], clock)
    if report.state == "broken":
        first = report.first.what if report.first else ""
        return Check("audit trail", "broken", f"{report.fault_count} faults; the first: {first}")
    unknown = [part for part in report.parts if part.state == "not assessed" and part.name != "waiting"]
    if unknown:
        return Check("audit trail", "not assessed", unknown[0].detail)
    return Check("audit trail", "holds", f"{report.size} sealed events are as they were signed")


async def _erasures(store: Store, keys: Path) -> Check:
    register = Register(keys)
    again = await parties.replay(store, register)
    left = await parties.replay(store, register)
    if left:
        return Check("erasures", "broken", f"{len(left)} customers could not be erased again")
    return Check(
        "erasures", "holds", f"{len(again)} customers erased again of {len(register.read())} registered"
    )


async def _compare(store: Store, production: Store, target: datetime) -> list[Check]:
    """What is only ever added to: everything older than the restored moment is the same here and there.

    An id is made some time before its row commits, so the last minute before that moment is left out.
    """
    before = first_id_at(target - timedelta(seconds=limits.DRILL_MARGIN_SECONDS))
    found = []
    for name, package in _COMPARED.items():
        async with store.tx("drill compares") as here:
            ours = await package.fingerprint_before(here, before)
        async with production.tx("drill compares") as there:
            theirs = await package.fingerprint_before(there, before)
        if not ours.rows and not theirs.rows:
            found.append(Check(name, "not assessed", "there is none yet that is older than a minute"))
        elif ours == theirs:
            found.append(Check(name, "holds", f"{ours.rows} rows, the same as in production"))
        else:
            said = f"{ours.rows} rows and production has {theirs.rows}, or they differ in what they say"
            found.append(Check(name, "broken", said))
    return found


def _pages(data: Path) -> Check:
    """Every page's checksum; the server must have been stopped in order."""
    code, said = call(["pg_checksums", "--check", f"--pgdata={data}"], server_account())
    if code == 0:
        blocks = next(
            (line.split()[-1] for line in said.splitlines() if line.startswith("Blocks scanned")), "all"
        )
        return Check("pages", "holds", f"{blocks} pages have the checksum that they were written with")
    if "not enabled" in said:
        return Check("pages", "not assessed", "this database was made without page checksums")
    return Check("pages", "broken", said.splitlines()[-1])

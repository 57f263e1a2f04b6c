"""What maintenance knows of backups, as monitoring samples it."""

from collections.abc import Sequence
from pathlib import Path

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.maintenance.backups import Backups, wal_state
from tillkeeper.monitoring import Sample, Source
from tillkeeper.store import Store, Tx


class Proofs:
    """The age of the newest backup and of the newest drill that it passed, and the log that waits for its archive. What
    there is none of is left out: it is unknown, and no backup is no fresh backup.
    """

    def __init__(self, store: Store, home: Path, clock: Clock) -> None:
        self._backups = Backups(store)
        self._home = home
        self._clock = clock

    def source(self) -> Source:
        """What can be sampled."""
        return Source("backups", self.sample)

    async def sample(self, tx: Tx) -> Sequence[Sample]:
        """Ages in seconds, and bytes."""
        now, found = self._clock.now(), []
        latest = await self._backups.latest()
        if latest is not None and latest.ended_at is not None:
            found.append(Sample("backup.age_seconds", (now - latest.begun_at).total_seconds()))
        passed = next((each for each in await self._backups.drills(limits.PAGE_DEFAULT) if each.passed), None)
        if passed is not None:
            found.append(Sample("drill.age_seconds", (now - passed.ended_at).total_seconds()))
        waiting = (await wal_state(tx, self._home)).waiting_bytes
        if waiting is not None:
            found.append(Sample("wal.waiting_bytes", waiting))
        return found

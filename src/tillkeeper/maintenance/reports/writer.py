"""Writes the report of each run that has ended: signed, in the database and as files. Runs in the agent."""

import asyncio
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final
from uuid import UUID

from tillkeeper.audit import Ring, find_ring
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.reports import keeping
from tillkeeper.maintenance.reports.gather import gather
from tillkeeper.maintenance.reports.page import LANGUAGES, draw
from tillkeeper.maintenance.reports.signing import document_of, sign, sign_page
from tillkeeper.maintenance.runs import Run
from tillkeeper.store import Store

_AFTER: Final = timedelta(seconds=limits.REPORT_AFTER_SECONDS)


class UnsignedError(Exception):
    """There is no key to sign with: the sealer of the audit trail makes it when it first seals."""


class Writer:
    """The loop that writes reports."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """Write, until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(limits.REPORT_POLL_SECONDS)

    async def beat(self) -> list[UUID]:
        """Report on the runs whose time after their end is over; the reports' ids."""
        async with self._store.tx("report wanted") as tx:
            newest = await runs.list_runs(tx, limit=limits.REPORTS_BEHIND)
            ended = [each for each in newest if each.ended_at and each.ended_at + _AFTER <= self._clock.now()]
            wanted = await keeping.unreported(tx, ended)
        written = [await self.write(each) for each in reversed(wanted)]
        return [each for each in written if each is not None]

    async def write(self, run: Run) -> UUID | None:
        """Report on a run that has ended; None where another agent was faster. Raises UnsignedError."""
        ring = ring_in(self._settings)
        document = await gather(self._store, run.id, self._settings.timezone, self._clock)
        file = sign(document, ring)
        # The files first: after a crash in between both are made anew, and what the list has is also in the folder.
        await asyncio.to_thread(write_files, folder_of(self._settings), run, file, ring)
        async with self._store.tx("report written") as tx:
            return await keeping.keep(tx, run, document, file, self._clock)


def ring_in(settings: Settings) -> Ring:
    """The keys that sign reports. Raises UnsignedError, PrivateFileError."""
    ring = find_ring(settings.key_folder)
    if ring is None or ring.current.private is None:
        raise UnsignedError(f"no key to sign with in {settings.key_folder}: start the agent once")
    return ring


def folder_of(settings: Settings) -> Path:
    """Where the files are."""
    return settings.home / "reports"


def write_files(folder: Path, run: Run, file: bytes, ring: Ring) -> list[Path]:
    """The report as JSON and as a page in each language; each file is there whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    document = document_of(file)
    assert run.ended_at is not None
    name = f"{run.ended_at:%Y%m%d-%H%M%S}-{run.public}"
    content = {f"{name}.json": file} | {
        f"{name}.{language}.html": sign_page(draw(document, language, ring.current.id), ring)
        for language in LANGUAGES
    }
    for each, data in content.items():
        # Each writer's own: of two agents that shared a draft one would find it moved away, or half written by the other.
        draft = folder / f".{each}.{token_hex(4)}"
        draft.write_bytes(data)
        draft.replace(folder / each)
    return [folder / each for each in content]

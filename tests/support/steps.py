"""Steps without a run: a site on a test's database, an attempt that keeps in memory what a journal would keep."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.support.postgres import Database
from tillkeeper.base.clock import Clock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.steps import KINDS, Aborted, Attempt, Evidence, Finding, Site
from tillkeeper.store import Store
from tillkeeper.vault import FileRoot, Vault


@asynccontextmanager
async def site_on(database: Database, store: Store, clock: Clock, folder: Path) -> AsyncIterator[Site]:
    """A site on a test's database; its server counts as somebody else's, so that no step restarts it."""
    root = FileRoot(folder / "keys" / "root.key")
    settings = Settings(
        home=folder,
        keys=folder / "keys",
        database_url=database.app_url,
        admin_database_url=database.admin_url,
    )
    async with Vault.opened(store, root, clock) as vault:
        yield Site(store, database.admin_url, clock, settings, vault, root, production=False)


class Trial(Attempt):
    """One try of a step. `stop_after`: so many checkpoints pass, then the run is to stop."""

    def __init__(self, saved: Evidence | None = None, stop_after: int | None = None) -> None:
        self._saved = saved or {}
        self.told: list[tuple[float, str]] = []
        self.checkpoints = 0
        self.stop_after = stop_after

    @property
    def saved(self) -> Evidence:
        return self._saved

    async def save(self, state: Evidence) -> None:
        # As the journal keeps it: what is no JSON is found here.
        self._saved = msgspec.json.decode(msgspec.json.encode(state))

    async def progress(self, share: float, said: str = "") -> None:
        assert 0.0 <= share <= 1.0
        self.told.append((share, said))

    async def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.stop_after is not None and self.checkpoints > self.stop_after:
            raise Aborted
        await asyncio.sleep(0)


class Step:
    """A kind with parameters on a site, as a plan would name them."""

    def __init__(self, site: Site, kind: str, **parameters: Any) -> None:
        self.kind = KINDS[kind]
        self.site = site
        self.given = msgspec.convert(parameters, self.kind.parameters)

    async def preflight(self) -> dict[str, Finding]:
        return {each.code: each for each in await self.kind.preflight(self.site, self.given)}

    async def stands_in_the_way(self) -> list[str]:
        return [code for code, each in (await self.preflight()).items() if not each.ok]

    async def run(self, trial: Trial | None = None) -> Evidence:
        found = await self.kind.run(self.site, self.given, trial or Trial())
        return dict(msgspec.json.decode(msgspec.json.encode(found)))

    async def faults(self, evidence: Evidence) -> list[str]:
        return [each.code for each in await self.kind.verify(self.site, self.given, evidence) if not each.ok]

    async def undo(self, evidence: Evidence, trial: Trial | None = None) -> Evidence:
        return await self.kind.undo(self.site, self.given, evidence, trial or Trial())

"""A process that archives the log of a home for ever, as the agent does: to be killed."""

import asyncio
import contextlib
import sys
from pathlib import Path

from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups import BackupError, LogArchive
from tillkeeper.store.opening import opened


async def main(home: Path) -> None:
    limits.WAL_SHIP_SECONDS = 0.05  # type: ignore[misc]
    settings = Settings(home=home)
    async with opened(settings, size=2) as (store, urls):
        while True:
            with contextlib.suppress(BackupError):  # the job is still taken by the one that was killed
                await LogArchive(store, urls, settings, SystemClock()).run()
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

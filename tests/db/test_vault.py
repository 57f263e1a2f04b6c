"""The vault on a real database: cells open where they were made and nowhere else; the first keys are made once."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from tillkeeper.base.clock import ManualClock
from tillkeeper.store import Store
from tillkeeper.vault import FileRoot, RootKeyError, Vault


async def test_processes_that_start_together_make_the_keys_once(
    store: Store, clock: ManualClock, tmp_path: Path, admin: psycopg.AsyncConnection
) -> None:
    async def start() -> None:
        async with Vault.opened(store, FileRoot(tmp_path / "root.key"), clock):
            pass

    await asyncio.gather(*(start() for _ in range(6)))
    cursor = await admin.execute("SELECT class, purpose, version, state FROM vault.keys ORDER BY 1, 2")
    assert await cursor.fetchall() == [
        (class_, purpose, 1, "active") for class_ in ("C2", "C3") for purpose in ("data", "index")
    ]
    assert len((tmp_path / "root.key").read_text().splitlines()) == 1


async def test_a_missing_root_key_is_never_replaced(store: Store, clock: ManualClock, tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    async with Vault.opened(store, FileRoot(path), clock):
        pass
    kept = path.rename(tmp_path / "elsewhere")
    with pytest.raises(RootKeyError, match=r"root key is missing.*nothing that is sealed can ever be opened"):
        async with Vault.opened(store, FileRoot(path), clock):
            pass
    assert not path.exists()
    kept.rename(path)
    async with Vault.opened(store, FileRoot(path), clock):
        pass

"""`till keys rotate` as people meet it: what it says, what it asks a second person for, and what it refuses."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import signed_in
from tests.support.postgres import Database
from tillkeeper import access
from tillkeeper.access import approvals
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.store import Store
from tillkeeper.vault import Vault, root_of

# The program itself, without its waits for other processes: there are none.
HASTE = """
import sys
from tillkeeper.base import limits
limits.VAULT_REFRESH_SECONDS, limits.VAULT_TRUST_SECONDS, limits.VAULT_WRITERS_SECONDS = 0.1, 1.0, 0.2
from tillkeeper.faces.cli.main import main
main(sys.argv[1:])
"""
WAITING = b"SELECT id, digest, terms FROM access.approvals WHERE state = 'waiting'"


@pytest.fixture
async def home(store: Store, tmp_path: Path) -> Path:
    """Where a vault was opened once, so that there are keys."""
    async with Vault.opened(store, root_of(Settings(home=tmp_path / "home")), SystemClock()):
        return tmp_path / "home"


class Till:
    """The command under way."""

    def __init__(self, home: Path, database: Database, *arguments: str) -> None:
        environment = os.environ | {
            "TILL_HOME": str(home),
            "TILL_DATABASE_URL": database.app_url,
            "TILL_ADMIN_DATABASE_URL": database.admin_url,
        }
        self._started = asyncio.create_subprocess_exec(
            *(sys.executable, "-c", HASTE, *arguments),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def ended(self) -> tuple[int | None, str, str]:
        process = await self._started
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


async def answer(store: Store, *, give: bool) -> str:
    """What is waiting is decided by a security admin; its terms."""
    clock = SystemClock()
    found: list[tuple[Any, ...]] = []
    while not found:
        await asyncio.sleep(0.02)
        async with store.tx("look") as tx:
            found = await tx.tuples(WAITING)
    ((approval, digest, terms),) = found
    somebody = signed_in("bela", clock, ["security_admin"])
    kinds = approvals.deeds(access.ROOT_CHANGE)
    async with store.tx("decide") as tx:
        said = await approvals.decide(tx, kinds, approval, digest, somebody, clock, give=give)
    assert isinstance(said, access.Approval), said
    return str(terms)


async def test_the_root_key_takes_a_second_person(home: Path, database: Database, store: Store) -> None:
    path = home.with_name("home-keys") / "root.key"
    before = path.read_bytes()
    rotating = asyncio.create_task(Till(home, database, "keys", "rotate", "root", "--json").ended())
    assert str(path) in await answer(store, give=True)
    code, out, err = await rotating
    assert code == 0, err
    assert "A second person must agree" in err
    assert json.loads(out)["keys"] == 4
    assert path.read_bytes() != before
    async with store.tx("look") as tx:
        events = await tx.tuples(b"SELECT action FROM audit.events WHERE action = 'key.rotated'")
    assert len(events) == 1


async def test_a_no_changes_nothing(home: Path, database: Database, store: Store) -> None:
    path = home.with_name("home-keys") / "root.key"
    before = path.read_bytes()
    rotating = asyncio.create_task(Till(home, database, "keys", "rotate", "root").ended())
    await answer(store, give=False)
    code, _, err = await rotating
    assert code == 2
    assert "bela said no" in err
    assert path.read_bytes() == before


async def test_to_two_custodians(home: Path, database: Database, store: Store, tmp_path: Path) -> None:
    to = f"split:{tmp_path / 'anna'},{tmp_path / 'bela'}"
    rotating = asyncio.create_task(Till(home, database, "keys", "rotate", "root", "--to", to).ended())
    await answer(store, give=True)
    code, out, err = await rotating
    assert code == 0, err
    assert f"Set TILL_ROOT_KEY={to}" in out
    code, _, err = await Till(home, database, "keys", "rotate", "data").ended()
    assert code == 2
    assert "the class keys were wrapped by root key" in err


async def test_what_people_read(home: Path, database: Database) -> None:
    code, out, err = await Till(home, database, "keys", "rotate", "index", "--rest", "0.2").ended()
    assert code == 0, err
    assert "every process learns the new version" in out
    assert "parties.customers.phone" in out
    assert (
        "Nothing is left of version 1, counted in one snapshot: it is destroyed. Version 2 is in use." in out
    )


async def test_without_the_root_key_nothing_starts(home: Path, database: Database) -> None:
    (home.with_name("home-keys") / "root.key").unlink()
    code, _, err = await Till(home, database, "keys", "rotate", "data").ended()
    assert code == 2
    assert "its root key is missing" in err
    assert "can ever be opened again" in err

"""`till keys rotate` killed with SIGKILL again and again, while people sign up: it goes on, loses nobody, and ends with proof."""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
import pytest

from tests.support.postgres import Database
from tillkeeper import parties
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.settings import Settings
from tillkeeper.parties import Newcomer
from tillkeeper.store import Store, sole
from tillkeeper.vault import JOB, Sealed, StaleKeysError, Vault, root_of

CUSTOMERS: Final = 6000
KILLS: Final = 6
# The program itself, only more hasty: it waits for other processes as long as they trust what they know, and for writers.
HASTE: Final = """
import sys
from tillkeeper.base import limits
limits.VAULT_REFRESH_SECONDS, limits.VAULT_TRUST_SECONDS, limits.VAULT_WRITERS_SECONDS = 0.1, 1.0, 4.0
limits.ROTATION_BLOCKS = 2
from tillkeeper.faces.cli.main import main
main(sys.argv[1:])
"""
COUNTED: Final = "SELECT state, walked_table, next_block, done FROM vault.rotations WHERE finished_at IS NULL"
SIGNED_UP: Final = b"SELECT id, sealing_key, phone FROM parties.customers"


def people(number: int, draw: random.Random) -> list[Newcomer]:
    return [Newcomer(new_id(), "王小明", phone=f"+86139{draw.randrange(10**8):08}") for _ in range(number)]


async def sign_up(store: Store, vault: Vault, newcomers: list[Newcomer]) -> None:
    """Tried again as an api's caller does: on a busy machine the keys may be too old to seal with for a moment."""
    while True:
        with suppress(StaleKeysError):
            async with store.tx("sign up") as tx:
                await parties.add_customers(tx, vault, newcomers, SystemClock().now())
            return
        await asyncio.sleep(0.05)


@asynccontextmanager
async def rotating(
    home: Path, database: Database, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = {
        "TILL_HOME": str(home),
        "TILL_DATABASE_URL": database.app_url,
        "TILL_ADMIN_DATABASE_URL": database.admin_url,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HASTE, "keys", "rotate", *arguments, "--json"),
        env=os.environ | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def strike(
    home: Path, database: Database, arguments: tuple[str, ...], admin: psycopg.AsyncConnection
) -> tuple[str, int]:
    """Kill the rotation as soon as it has come further than before; where it was."""
    found = await (await admin.execute(COUNTED)).fetchone()
    async with rotating(home, database, *arguments) as process:
        now = found
        while now == found and process.returncode is None:
            await asyncio.sleep(0.005)
            now = await (await admin.execute(COUNTED)).fetchone()
        assert process.returncode is None, (await process.communicate())[1].decode()
        process.kill()
        await process.wait()
    assert now is not None
    return str(now[0]), int(now[3])


async def opened(store: Store, vault: Vault) -> dict[object, str]:
    field = vault.field("parties.customers", "phone")
    async with store.tx("all") as tx:
        rows = await tx.tuples(SIGNED_UP)
    loaded = [field.load(vault.subject_key(key), row, cell) for row, key, cell in rows]
    values = [each for each in loaded if isinstance(each, Sealed)]
    return dict(zip([row[0] for row in rows], await vault.open_all(values), strict=True))


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("purpose", "rest"), [("data", "0"), ("index", "0.5")])
async def test_a_rotation_survives_kills(
    tmp_path: Path,
    database: Database,
    store: Store,
    admin: psycopg.AsyncConnection,
    seed: int,
    purpose: str,
    rest: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "VAULT_REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(limits, "VAULT_TRUST_SECONDS", 1.0)
    draw, root = random.Random(seed), root_of(Settings(home=tmp_path / "home"))
    async with Vault.opened(store, root, SystemClock()) as vault:
        everybody = people(CUSTOMERS, draw)
        for n in range(0, CUSTOMERS, 1000):
            await sign_up(store, vault, everybody[n : n + 1000])
        newer = people(400, draw)

        async def live() -> None:
            for each in newer:
                await sign_up(store, vault, [each])
                await asyncio.sleep(0.01)

        living = asyncio.create_task(live())
        wounds = [
            await strike(tmp_path / "home", database, (purpose, "--rest", rest), admin) for _ in range(KILLS)
        ]
        async with rotating(tmp_path / "home", database, purpose, "--rest", rest) as process:
            out, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        await living
        proof = json.loads(out)
        assert {state for state, _ in wounds} >= {"spreading", "walking"}
        assert proof["version"] == 2
        assert proof["destroyed"] == [1]
        counted = proof["counted"]["parties.customers.phone"]
        assert set(counted) == {"2"}
        assert counted["2"] >= CUSTOMERS
        assert await opened(store, vault) == {each.id: each.phone for each in [*everybody, *newer]}
        field = vault.field("parties.customers", "phone")
        async with store.tx("look up") as tx:
            for each in draw.sample(everybody, 20):
                assert each.phone is not None
                statement = b"SELECT id FROM parties.customers WHERE phone_tag IN (%(tag)b, %(other_tag)b)"
                assert each.id in {row[0] for row in await tx.tuples(statement, field.tags(each.phone))}


async def test_two_at_once_take_turns(tmp_path: Path, database: Database) -> None:
    """The second says so and changes nothing."""

    async def lost() -> None:
        raise AssertionError

    async with (
        sole.sole(database.app_url, JOB, lost),
        rotating(tmp_path / "home", database, "index") as process,
    ):
        _, complaint = await process.communicate()
    assert process.returncode == 2
    assert "another process rotates keys now" in complaint.decode()
    assert not (tmp_path / "home-keys").exists()

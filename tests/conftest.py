"""Fixtures for all tests. `store` is what most of tests/db wants: a fresh, migrated database of its own.

The seed of a run is printed at its head; TILL_SEED repeats it.
"""

import os
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import psycopg
import pytest
import pytest_asyncio

from tests.support.compiled import compile_once
from tests.support.postgres import Database, apart, fresh_database, prepare, start_server
from tests.support.surroundings import no_outside
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.store import Store
from tillkeeper.store.embedded import EmbeddedServer
from tillkeeper.vault import FileRoot, Vault

hypothesis.settings.register_profile("till", deadline=None, print_blob=True)
hypothesis.settings.load_profile("till")


def pytest_configure() -> None:
    # The processes of pytest-xdist inherit the environment, and with it the seed.
    os.environ.setdefault("TILL_SEED", str(random.randrange(10**6)))
    no_outside()
    # A loop of tests stands still for longer than a process may rely on the keys it has read: while tests on other loops
    # run, and on a busy machine. What says that old keys seal nothing sets its own bound.
    pytest.MonkeyPatch().setattr(limits, "VAULT_TRUST_SECONDS", 900.0)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # before pytest-xdist starts its processes
        compile_once()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The long ones first: begun last, one of them would run alone while the other processes have nothing left to do.
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(
        key=lambda item: item.path not in long and item.path.parent.name not in {"storm", "browser", "flow"}
    )


def pytest_report_header() -> str:
    return f"TILL_SEED={os.environ['TILL_SEED']}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number that differs between tests and is the same when the run is repeated with its TILL_SEED."""
    return random.Random(f"{os.environ['TILL_SEED']} {request.node.nodeid}").randrange(2**32)


@pytest.fixture
def clock() -> ManualClock:
    """Noon of an ordinary Wednesday."""
    return ManualClock(datetime(2026, 4, 15, 12, tzinfo=UTC))


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """The server that all tests of this checkout share."""
    started: list[EmbeddedServer] = []

    async def start() -> None:
        started.append(await start_server())

    apart(start())
    yield started[0]
    apart(started[0].stop())


@pytest.fixture(scope="session")
def template(postgres: EmbeddedServer) -> str:
    """The name of the migrated database that `database` clones."""
    made: list[str] = []

    async def make() -> None:
        made.append(await prepare(postgres))

    apart(make())
    return made[0]


@pytest.fixture
async def database(postgres: EmbeddedServer, template: str) -> AsyncIterator[Database]:
    """A migrated database of the test's own, with its addresses for both roles."""
    async with fresh_database(postgres, template) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_database(postgres: EmbeddedServer, template: str) -> AsyncIterator[Database]:
    """A migrated database that the tests of a file share: for those that touch only accounts of their own."""
    async with fresh_database(postgres, template) as made:
        yield made


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    """The store on `database`, under the application's role."""
    async with Store.opened(database.app_url) as opened:
        yield opened


@pytest.fixture
async def vault(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Vault]:
    """The vault on `store`, with new keys and a root key of its own."""
    async with Vault.opened(store, FileRoot(tmp_path / "keys" / "root.key"), clock) as opened:
        yield opened


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[psycopg.AsyncConnection]:
    """The superuser on `database`, autocommit: to plant faults, or to look behind the application's rights."""
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as connection:
        yield connection

"""The fixtures themselves: a fresh database for each test, under the role that owns nothing."""

import socket

import psycopg
import pytest

from tests.support.postgres import Database
from tillkeeper.store import Store


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_database_of_its_own(admin: psycopg.AsyncConnection, turn: int) -> None:
    cursor = await admin.execute("SELECT FROM pg_namespace WHERE nspname = 'mark'")
    assert await cursor.fetchone() is None
    await admin.execute("CREATE SCHEMA mark")


async def test_store_is_the_role_that_owns_nothing(store: Store, database: Database) -> None:
    async with store.tx("test") as tx:
        assert (
            await tx.value(b"SELECT current_user::text || '@' || current_database()")
            == f"till_app@{database.name}"
        )
        owned = await tx.value(b"SELECT count(*) FROM pg_class WHERE relowner = 'till_app'::regrole")
        assert owned == 0


def test_tests_stay_on_this_machine() -> None:
    with pytest.raises(RuntimeError, match=r"192\.0\.2\.1"), socket.socket() as outside:
        outside.connect(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="example"):
        socket.getaddrinfo("example.invalid", 80)

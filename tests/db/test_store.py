"""Transactions: all or nothing, errors where they happened, and what may be tried again after a lost connection."""

import asyncio
from contextlib import suppress

import psycopg
import pytest
from psycopg import errors

from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.store import Store, StoreUnavailableError, columns, is_transient, queries, took_too_long
from tillkeeper.store.wire import Pending

LEASE = b"INSERT INTO store.leases VALUES (%(name)s, 'me', now(), now())"
LEASES = b"SELECT name FROM store.leases ORDER BY name"


async def _leases(store: Store) -> list[str]:
    async with store.tx("read") as tx:
        return [row.name for row in await tx.rows(LEASES)]


async def test_a_transaction_is_committed_at_its_end(store: Store) -> None:
    async with store.tx("write") as tx:
        await tx.run(LEASE, {"name": "a"})
        assert await tx.value(b"SELECT count(*) FROM store.leases") == 1
        assert await _leases(store) == []
    assert await _leases(store) == ["a"]


async def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with suppress(KeyError):
        async with store.tx("write") as tx:
            await tx.run(LEASE, {"name": "a"})
            raise KeyError
    assert await _leases(store) == []


async def test_an_error_of_a_queued_statement_shows_at_the_end_at_the_latest(store: Store) -> None:
    with pytest.raises(errors.UniqueViolation):
        async with store.tx("write") as tx:
            await tx.run(LEASE, {"name": "a"})
            await tx.run(LEASE, {"name": "a"})
    assert await _leases(store) == []


async def test_a_swallowed_error_is_no_commit(store: Store) -> None:
    with pytest.raises(psycopg.Error):
        async with store.tx("write") as tx:
            await tx.run(LEASE, {"name": "a"})
            with suppress(errors.UniqueViolation):
                await tx.rows(LEASE + b" RETURNING name", {"name": "a"})
            with suppress(psycopg.Error):
                await tx.run(LEASE, {"name": "b"})
    assert await _leases(store) == []


async def test_the_application_speaks_as_the_role_that_owns_nothing(store: Store) -> None:
    async with store.tx("who") as tx:
        row = await tx.row(b"SELECT current_user::text AS who, current_setting('timezone') AS zone")
    assert row == ("till_app", "UTC")


async def test_forms_of_reading(store: Store) -> None:
    async with store.tx("read") as tx:
        numbers = b"SELECT n, n * 2 AS twice FROM generate_series(1, %(up_to)s::int) AS n"
        assert [row.twice for row in await tx.rows(numbers, {"up_to": 3})] == [2, 4, 6]
        assert await tx.tuples(numbers, {"up_to": 2}) == [(1, 2), (2, 4)]
        assert await tx.row(numbers, {"up_to": 0}) is None
        assert await tx.value(numbers, {"up_to": 0}) is None
        sent = [await tx.send(numbers, {"up_to": count}) for count in (1, 2)]
        assert [await each.tuples() for each in sent] == [[(1, 2)], [(1, 2), (2, 4)]]


async def test_a_killed_connection_is_transient_and_the_store_recovers(
    store: Store, admin: psycopg.AsyncConnection
) -> None:
    with pytest.raises(psycopg.OperationalError) as raised:
        async with store.tx("long") as tx:
            await tx.value(b"SELECT 1")
            await _kill_all(admin)
            await tx.value(b"SELECT 1")
    assert is_transient(raised.value)
    for _ in range(200):  # the pool still holds connections that were killed with it, until it looks
        with suppress(psycopg.OperationalError):
            assert await _leases(store) == []
            return
        await asyncio.sleep(0.1)
    pytest.fail("the store did not recover")


async def _kill_all(admin: psycopg.AsyncConnection) -> None:
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def test_a_deadlock_is_transient(store: Store) -> None:
    async with store.tx("write") as tx:
        for name in "ab":
            await tx.run(LEASE, {"name": name})
    met = asyncio.Barrier(2)

    async def lock(names: str) -> BaseException | None:
        try:
            async with store.tx("deadlock") as tx:
                for name in names:
                    await tx.value(
                        b"SELECT 1 FROM store.leases WHERE name = %(name)s FOR UPDATE", {"name": name}
                    )
                    if name == names[0]:
                        await met.wait()
        except psycopg.Error as error:
            return error
        return None

    failed = [each for each in await asyncio.gather(lock("ab"), lock("ba")) if each]
    assert [type(each) for each in failed] == [errors.DeadlockDetected]
    assert is_transient(failed[0])


def test_what_may_be_tried_again_and_what_not() -> None:
    assert is_transient(psycopg.OperationalError("the connection is lost"))
    assert is_transient(psycopg.InterfaceError("the connection is closed"))
    assert is_transient(StoreUnavailableError())
    for kind in (
        errors.SerializationFailure,
        errors.AdminShutdown,
        errors.CannotConnectNow,
        errors.LockNotAvailable,
    ):
        assert is_transient(kind())
    for other in (errors.DiskFull(), errors.UniqueViolation(), errors.InsufficientPrivilege(), ValueError()):
        assert not is_transient(other)


async def test_a_statement_that_takes_too_long_is_ended(store: Store) -> None:
    with pytest.raises(errors.QueryCanceled) as raised:
        async with store.tx("slow") as tx:
            await tx.run(b"SET LOCAL statement_timeout = 50")
            await tx.value(b"SELECT pg_sleep(20)")
    assert took_too_long(raised.value)
    assert not is_transient(raised.value)


async def test_a_database_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POOL_WAIT_SECONDS", 0.3)
    with pytest.raises(StoreUnavailableError):
        async with Store.opened("postgresql://till_app@127.0.0.1:1/till"):
            pass


async def test_two_stores_on_one_database_see_each_other(store: Store, database: Database) -> None:
    async with Store.opened(database.app_url) as other:
        async with other.tx("write") as tx:
            await tx.run(LEASE, {"name": "other"})
        assert await _leases(store) == ["other"]


def test_statements_are_named_and_carry_their_name() -> None:
    ours = queries("tillkeeper.store", "queries.sql")
    assert ours.publish.startswith(b"/* store.publish */ INSERT INTO store.outbox")
    assert {name for name, _ in ours} >= {"publish", "take_lease", "find_answers"}
    with pytest.raises(AttributeError, match="no statement 'unknown'; there are: publish"):
        _ = ours.unknown


async def test_a_statement_planned_on_a_small_table_does_not_read_it_whole_when_it_has_grown(
    database: Database,
) -> None:
    plan = b"EXPLAIN SELECT k.place FROM unnest(%(p)b::uuid[], %(k)b::text[]) WITH ORDINALITY AS k (p, key, place)"
    plan += b" JOIN store.idempotency AS i ON i.principal = k.p AND i.key = k.key"
    params = {"p": columns.uuids([]), "k": columns.texts([])}
    async with Store.opened(database.app_url, size=1, by_index=True) as store, store.tx("plan") as tx:
        lines = " ".join(row[0] for row in await tx.tuples(plan, params))
    assert "idempotency_pkey" in lines
    assert "Seq Scan" not in lines


async def test_a_caller_who_leaves_takes_the_statement_with_them(database: Database) -> None:
    async with Store.opened(database.app_url, size=1) as store:

        async def hold() -> None:
            async with store.tx("hold") as tx:
                await tx.value(b"SELECT pg_advisory_xact_lock(1)")
                locked.set()
                await tx.value(b"SELECT pg_sleep(60)")

        locked = asyncio.Event()
        holding = asyncio.create_task(hold())
        await locked.wait()
        holding.cancel()
        with suppress(asyncio.CancelledError):
            await holding
        async with store.tx("next") as tx:  # long before the sleep would have ended
            await tx.run(b"SELECT pg_advisory_xact_lock(1)")


async def test_both_sides_may_have_much_to_say(store: Store) -> None:
    much = "x" * 2_000_000
    async with store.tx("much") as tx:
        sent = [await tx.send(b"SELECT %(much)s::text", {"much": much}) for _ in range(4)]
        for place in range(500):
            await tx.run(LEASE, {"name": f"{place}"})
        assert [await each.tuples() for each in sent] == [[(much,)]] * 4
    assert len(await _leases(store)) == 500


async def test_what_could_not_be_prepared_is_prepared_when_it_can_be(
    database: Database, admin: psycopg.AsyncConnection
) -> None:
    async with Store.opened(database.app_url, size=1) as store:
        for _ in range(2):
            with pytest.raises(errors.UndefinedTable):
                async with store.tx("early") as tx:
                    await tx.value(b"SELECT count(*) FROM store.later")
        await admin.execute("CREATE TABLE store.later (); GRANT SELECT ON store.later TO till_app")
        async with store.tx("later") as tx:
            assert await tx.value(b"SELECT count(*) FROM store.later") == 0


async def test_a_connection_keeps_so_many_statements_prepared(database: Database) -> None:
    async with Store.opened(database.app_url, size=1) as store, store.tx("many") as tx:
        for place in range(150):
            assert await tx.value(f"SELECT {place}".encode()) == place
        assert await tx.value(b"SELECT count(*) FROM pg_prepared_statements") == 100


async def test_placeholders_and_names(store: Store) -> None:
    statement = b"SELECT %(a)s::text || '100%%' || %(b)s::text || %(a)s::text, 1 AS n, 2 AS n"
    async with store.tx("names") as tx:
        assert await tx.tuples(statement, {"a": "x", "b": None}) == [(None, 1, 2)]
        assert await tx.tuples(statement, {"b": "-", "a": "x"}) == [("x100%-x", 1, 2)]
        assert await tx.value(b"SELECT '100%'") == "100%"
        assert [row[1] for row in await tx.rows(statement, {"a": "", "b": ""})] == [1]


async def test_a_connection_out_of_step_is_given_up(database: Database) -> None:
    async with Store.opened(database.app_url, size=1) as store:
        with suppress(KeyError):
            async with store.tx("lost count") as tx:
                await tx.run(LEASE, {"name": "a"})
                tx._wire._pending.append(Pending())  # as if a caller had left between a result and its end
                raise KeyError
        assert await _leases(store) == []


async def test_whoever_is_told_twice_to_leave_leaves_nothing(database: Database) -> None:
    async with Store.opened(database.app_url, size=1) as store:
        inside = asyncio.Event()

        async def write() -> None:
            async with store.tx("write") as tx:
                await tx.rows(LEASE + b" RETURNING name", {"name": "ghost"})
                inside.set()
                await asyncio.sleep(60)

        writing = asyncio.create_task(write())
        await inside.wait()
        for _ in range(2):
            writing.cancel()
            await asyncio.sleep(0)  # the second time while it is being rolled back
        with suppress(asyncio.CancelledError):
            await writing
        async with store.tx("next") as tx:
            await tx.run(LEASE, {"name": "mine"})
        assert await _leases(store) == ["mine"]


async def test_an_error_costs_no_connection_however_much_is_prepared(database: Database) -> None:
    whom = b"SELECT pg_backend_pid()"
    async with Store.opened(database.app_url, size=1) as store:
        async with store.tx("many") as tx:
            before = await tx.value(whom)
            for place in range(100):
                await tx.run(f"SELECT {place}".encode())
        with pytest.raises(errors.DivisionByZero):
            async with store.tx("wrong") as tx:
                await tx.value(b"SELECT 1 / 0")
        async with store.tx("next") as tx:
            assert await tx.value(whom) == before


async def test_what_was_prepared_before_the_schema_changed_is_prepared_anew(
    database: Database, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute("CREATE TABLE store.later (n int); GRANT SELECT ON store.later TO till_app")

    async def look() -> None:
        async with store.tx("look") as tx:
            assert await tx.rows(b"SELECT n FROM store.later") == []

    async with Store.opened(database.app_url, size=1) as store:
        await look()
        await admin.execute("ALTER TABLE store.later ALTER n TYPE bigint")
        with pytest.raises(errors.FeatureNotSupported) as raised:
            await look()
        assert is_transient(raised.value)
        await look()
    assert not is_transient(errors.FeatureNotSupported())


async def test_an_error_is_the_answer_of_its_statement_even_if_another_met_it(store: Store) -> None:
    with pytest.raises(errors.DivisionByZero):
        async with store.tx("two") as tx:
            sent = [await tx.send(b"SELECT 1 / 0 AS n"), await tx.send(b"SELECT 2 AS n")]
            with pytest.raises(errors.DivisionByZero):
                await sent[1].rows()
            await sent[0].rows()

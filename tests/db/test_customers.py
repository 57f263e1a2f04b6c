"""Customers in the database: sealed at rest, masked when read, found by index; and those who are older than the vault."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.postgres import Database
from tillkeeper import parties
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.schema import bring_up_to_date
from tillkeeper.parties import Newcomer
from tillkeeper.payments import webhooks
from tillkeeper.store import Store
from tillkeeper.store.embedded import EmbeddedServer
from tillkeeper.store.opening import Urls
from tillkeeper.vault import Sealed, Vault, root_of

WANG = Newcomer(new_id(), "王小明", "wang", "+8613812345678", "11010519491231002X")


async def add(store: Store, vault: Vault, clock: ManualClock, newcomers: Iterable[Newcomer]) -> None:
    async with store.tx("test") as tx:
        await parties.add_customers(tx, vault, list(newcomers), clock.now())


async def test_nothing_of_a_person_stands_in_the_row(
    store: Store, vault: Vault, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    await add(store, vault, clock, [WANG, Newcomer(new_id(), "Li", "li")])
    ((whole,),) = await (
        await admin.execute("SELECT string_agg(c::text, ' ') FROM parties.customers AS c")
    ).fetchall()
    for text in (WANG.name, WANG.phone, "13812345678", WANG.id_number, "Li", "王"):
        assert text is not None
        assert text not in whole
        assert text.encode().hex() not in whole
    async with store.tx("test") as tx:
        found = (await parties.customers(tx, vault, [WANG.id]))[WANG.id]
        (li,) = await parties.customers_by(tx, vault, "name", "Li", 10)
    assert (found.name, found.phone, found.id_number) == ("王**", "138****5678", "1***X")
    assert (li.phone, li.id_number) == (None, None)
    assert "王小明" not in repr(found) + repr(WANG)
    assert isinstance(found.phone, Sealed)
    assert await vault.open(found.phone) == "+8613812345678"


async def test_a_cell_moved_to_another_customer_does_not_open(
    store: Store, vault: Vault, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    other = Newcomer(new_id(), "Eve", None, "+8613900000000")
    await add(store, vault, clock, [WANG, other])
    await admin.execute(
        "UPDATE parties.customers AS e SET phone = w.phone, sealing_key = w.sealing_key, full_name = w.full_name"
        " FROM parties.customers AS w WHERE w.id = %s AND e.id = %s",
        (WANG.id, other.id),
    )
    async with store.tx("test") as tx:
        eve = (await parties.customers(tx, vault, [other.id]))[other.id]
    assert (eve.name, eve.phone) == ("••••", "••••")


async def test_searches_use_their_index_also_in_a_plan_made_once(
    database: Database, vault: Vault, clock: ManualClock
) -> None:
    async with Store.opened(database.app_url, by_index=True) as store:
        many = [Newcomer(new_id(), f"Li {n}", None, f"+86138{n:08d}", f"P{n:07d}") for n in range(300)]
        await add(store, vault, clock, many)
        async with store.tx("test") as tx:
            await tx.run(b"SET LOCAL plan_cache_mode = force_generic_plan")
            for field in ("name", "phone", "id_number"):
                column = {"name": "full_name"}.get(field, field)
                plan = await tx.tuples(
                    b"EXPLAIN SELECT id FROM parties.customers WHERE %b_tag IN (%%(tag)b, %%(other_tag)b) ORDER BY id DESC"
                    % column.encode(),
                    {"tag": b"x", "other_tag": b"y"},
                )
                assert f"customers_by_{column}" in str(plan), field
                (found,) = await parties.customers_by(tx, vault, field, getattr(many[7], field), 10)
                assert found.id == many[7].id


async def test_namesakes_share_a_beacon_and_strangers_do_not_pass(
    store: Store, vault: Vault, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a beacon of two bytes, some of 3,000 names share one: what is found is still only who was asked for."""
    people = [Newcomer(new_id(), f"N{n}") for n in range(3000)]
    await add(store, vault, clock, people)
    async with store.tx("test") as tx:
        shared = await tx.tuples(
            b"SELECT min(id::text) FROM parties.customers GROUP BY full_name_tag HAVING count(*) > 1"
        )
        by_id = {str(each.id): each for each in people}
        assert len(shared) > 10
        for (id_,) in shared[:10]:
            found = await parties.customers_by(tx, vault, "name", by_id[id_].name.lower(), 10)
            assert [str(each.id) for each in found] == [id_]


# -- older than the vault

OLD = """
INSERT INTO parties.customers (id, name, reference, created_at)
SELECT gen_random_uuid(), 'Ovidiu Oldman ' || n, 'old-' || n, now() FROM generate_series(1, %s) AS n;
INSERT INTO payments.webhook_endpoints (id, url, topics, secret, created_at)
VALUES (gen_random_uuid(), 'https://shop.example/', '{*}', 'whsec_b2xkIHNlY3JldA==', now());
INSERT INTO store.idempotency (principal, key, input_hash, status, body, at)
SELECT gen_random_uuid(), 'k' || n, 'x', 201, convert_to(
    '{"id":"cus_01k","name":"Ovidiu \\"O\\" Oldman ' || n || '","state":"active"}', 'UTF8'), now()
FROM generate_series(1, 3) AS n;
INSERT INTO store.idempotency (principal, key, input_hash, status, body, at)
VALUES (gen_random_uuid(), 'm', 'x', 201, '{"id":"mer_01k","name":"Oldman''s Shop"}', now())
"""


class Old:
    """A database of before, and what brings it up to date."""

    def __init__(self, database: Database, admin: psycopg.AsyncConnection, home: Path) -> None:
        self.admin = admin
        self.settings = Settings(home=home)
        self.urls = Urls(database.app_url, database.admin_url)

    async def fill(self, count: int) -> None:
        for statement in OLD.split(";\n"):
            await self.admin.execute(statement.replace("%s", str(count)).encode())

    async def one(self, statement: str) -> Any:
        row = await (await self.admin.execute(statement.encode())).fetchone()
        assert row is not None
        return row[0]

    async def in_the_clear(self) -> int:
        return int(await self.one("SELECT count(*) FROM parties.customers WHERE name IS NOT NULL"))


@pytest.fixture
def old(database: Database, admin: psycopg.AsyncConnection, tmp_path: Path) -> Old:
    return Old(database, admin, tmp_path)


async def test_names_of_before_are_sealed_and_gone_from_the_files(
    old: Old, store: Store, clock: ManualClock, postgres: EmbeddedServer
) -> None:
    # A rewrite keeps what somebody in this database may still see: an ANALYZE of autovacuum's would be such a one.
    for table in ("parties.customers", "payments.webhook_endpoints"):
        await old.admin.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
    await old.fill(1200)
    elsewhere = postgres.url("postgres", "postgres")
    async with await psycopg.AsyncConnection.connect(
        elsewhere
    ) as other:  # at work in another database all the while
        await other.execute("SELECT pg_current_xact_id()")
        done = await bring_up_to_date(old.settings, old.urls)
    assert (done.sealed, done.rewritten) == (1201, True)
    assert await old.in_the_clear() == 0
    again = await bring_up_to_date(old.settings, old.urls)
    assert (again.sealed, again.erased_again) == (0, [])
    async with Vault.opened(store, root_of(old.settings), clock) as vault, store.tx("test") as tx:
        found = await parties.customer_by_reference(tx, vault, "old-7")
        assert found is not None
        assert isinstance(found.name, Sealed)
        assert await vault.open(found.name) == "Ovidiu Oldman 7"
        assert [
            each.reference for each in await parties.customers_by(tx, vault, "name", "ovidiu oldman 1200", 9)
        ] == ["old-1200"]
    bodies = await (
        await old.admin.execute("SELECT key, body FROM store.idempotency ORDER BY key")
    ).fetchall()
    assert bytes(bodies[0][1]) == b'{"id":"cus_01k","name":"***","state":"active"}'
    assert b"Oldman's Shop" in bytes(bodies[3][1])
    await old.admin.execute("CHECKPOINT")
    for table, texts in (("parties.customers", [b"Ovidiu"]), ("payments.webhook_endpoints", [b"whsec_"])):
        relation = await old.one(f"SELECT pg_relation_filepath('{table}')")
        content = (postgres.data / relation).read_bytes()
        assert content
        assert not any(text in content for text in texts), table


async def test_while_somebody_still_sees_the_names_they_are_not_gone(
    old: Old, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MIGRATION_TRIES", 2)
    await old.fill(3)
    async with await psycopg.AsyncConnection.connect(database.admin_url) as backup:
        await backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await backup.execute("SELECT count(*) FROM store.migrations")
        done = await bring_up_to_date(old.settings, old.urls)
    assert (done.sealed, done.rewritten) == (4, False)


async def test_sealing_that_was_interrupted_goes_on(
    old: Old, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEALING_BATCH", 50)
    await old.fill(400)
    while True:
        work = asyncio.ensure_future(bring_up_to_date(old.settings, old.urls))
        before = await old.in_the_clear()
        while await old.in_the_clear() == before and not work.done():  # noqa: ASYNC110 - another connection rings no bell
            await asyncio.sleep(0.001)
        if work.done():
            break
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert await old.in_the_clear() == 0
    assert await old.one("SELECT count(*) FROM parties.customers WHERE full_name IS NOT NULL") == 400
    async with store.tx("test") as tx:
        assert not await webhooks.any_in_the_clear(tx)


async def test_a_name_in_the_clear_is_masked_before_it_is_sealed(
    old: Old, store: Store, vault: Vault
) -> None:
    await old.fill(1)
    async with store.tx("test") as tx:
        found = await parties.customer_by_reference(tx, vault, "old-1")
    assert found is not None
    assert found.name == "O. ***"

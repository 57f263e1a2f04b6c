"""Rotation: every cell and tag is made anew under live writers, the old version is destroyed only when nothing of it is left."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.strongroom import TABLES, Strongroom, add, people, strongroom
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.store import Store
from tillkeeper.vault import (
    DestroyedVersionError,
    FileRoot,
    Pace,
    Progress,
    Proof,
    RootKeyError,
    Rotation,
    SplitRoot,
    StaleKeysError,
    StuckError,
    Vault,
    Wrapped,
    by_version,
    rotate_root,
)

QUICK = Pace(trust=0.05, writers=0.1, blocks=3)


@pytest.fixture
async def room(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Strongroom]:
    async with strongroom(store, admin, clock, tmp_path) as opened:
        yield opened


def rotation(room: Strongroom, purpose: str) -> Rotation:
    return Rotation(room.store, room.vault, room.root, room.clock, purpose, "anna")


async def rotate(room: Strongroom, purpose: str, told: list[Progress] | None = None) -> Proof:
    return await rotation(room, purpose).run((told if told is not None else []).append, QUICK)


async def versions(room: Strongroom, purpose: str) -> dict[str, dict[int, int]]:
    async with room.store.tx("count") as tx:
        return await by_version(tx, TABLES, purpose)


async def test_data_keys(room: Strongroom, seed: int) -> None:
    guests = await room.fill(200, seed)
    before = await room.rows(b"SELECT sealing_key, name, phone_tag FROM shop.guests ORDER BY id")
    told: list[Progress] = []
    proof = await rotate(room, "data", told)
    assert (proof.version, proof.done, proof.destroyed) == (2, 401, [1])
    assert proof.counted == {
        "shop.guests.sealing_key": {2: 200},
        "shop.guests.name": {2: 200},
        "shop.guests.phone": {2: 200},
        "shop.guests.code": {2: 200},
        "shop.notes.said": {2: 200},
        "shop.links.secret": {2: 1},
    }
    assert await room.opened() == guests
    after = await room.rows(b"SELECT sealing_key, name, phone_tag FROM shop.guests ORDER BY id")
    assert all(was[:2] != now[:2] and was[2] == now[2] for was, now in zip(before, after, strict=True))
    states = await room.states()
    assert {name: state for name, state in states.items() if name[1] == "data"} == {
        (class_, "data", version): state
        for class_ in ("C2", "C3")
        for version, state in ((1, "destroyed"), (2, "active"))
    }
    assert all(0 <= each.share <= 1 for each in told)
    assert "shop.guests" in {each.doing for each in told}


async def test_index_keys(room: Strongroom, seed: int) -> None:
    guests = await room.fill(100, seed)
    proof = await rotate(room, "index")
    assert proof.counted == {"shop.guests.name": {2: 100}, "shop.guests.phone": {2: 100}}
    field = room.vault.field("shop.guests", "phone")
    for guest in guests[:5]:
        async with room.store.tx("look up") as tx:
            statement = b"SELECT id FROM shop.guests WHERE phone_tag IN (%(tag)b, %(other_tag)b)"
            assert [row[0] for row in await tx.tuples(statement, field.tags(guest.phone))] == [guest.id]
    assert await versions(room, "data") == {name: {1: n} for name, n in {
        "shop.guests.sealing_key": 100, "shop.guests.name": 100, "shop.guests.phone": 100, "shop.guests.code": 100,
        "shop.notes.said": 100, "shop.links.secret": 1}.items()}  # fmt: skip


async def test_an_index_rotation_makes_tags_that_were_missing(room: Strongroom, seed: int) -> None:
    """A column that gets a search later needs no other way."""
    guests = await room.fill(20, seed)
    await room.admin.execute("UPDATE shop.guests SET phone_tag = NULL")
    await rotate(room, "index")
    found = await room.rows(b"SELECT phone_tag FROM shop.guests ORDER BY id")
    assert [row[0] for row in found] == [
        room.vault.field("shop.guests", "phone").tag(each.phone) for each in guests
    ]


async def test_a_destroyed_version_is_gone(room: Strongroom, seed: int) -> None:
    await room.fill(1, seed)
    (kept,) = await room.found()
    await rotate(room, "data")
    with pytest.raises(DestroyedVersionError):
        await room.vault.open(kept.name)
    cursor = await room.admin.execute("SELECT wrapped FROM vault.keys WHERE purpose = 'data' AND version = 1")
    assert await cursor.fetchall() == [(None,), (None,)]


async def test_twice_and_both_purposes(room: Strongroom, seed: int) -> None:
    guests = await room.fill(30, seed)
    assert [(await rotate(room, "data")).version for _ in range(2)] == [2, 3]
    assert (await rotate(room, "index")).version == 2
    assert await room.opened() == guests


async def test_an_empty_house_rotates_too(room: Strongroom) -> None:
    assert (await rotate(room, "data")).done == 0
    assert (await rotate(room, "index")).done == 0


async def surely(deed: Callable[[], Awaitable[None]]) -> None:
    """Tried again, as a caller does: on a busy machine the keys may be too old to seal with for a moment."""
    while True:
        with suppress(StaleKeysError):
            await deed()
            return
        await asyncio.sleep(0.05)


async def test_writers_meanwhile_lose_nothing(
    room: Strongroom, store: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They add, change and move rows through a vault of their own, that learns of new keys behind their backs."""
    monkeypatch.setattr(limits, "VAULT_REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(limits, "VAULT_TRUST_SECONDS", 0.8)
    guests = await room.fill(300, seed)
    added = people(200, seed + 1)

    async def write(vault: Vault) -> None:
        for n in range(0, len(added), 10):
            await surely(lambda at=n: add(store, vault, added[at : at + 10], room.clock))  # type: ignore[misc]
            async with store.tx("visit") as tx:  # the rows move to other blocks, their cells with them
                await tx.run(b"UPDATE shop.guests SET visits = visits + 1 WHERE visits < 3")
            await asyncio.sleep(0.02)

    async with Vault.opened(store, room.root, room.clock, TABLES) as other:
        writing = asyncio.create_task(write(other))
        pace = Pace(trust=0.8, writers=3.0, blocks=2)
        proof = await rotation(room, "data").run(lambda _: None, pace)
        await writing
        await other.refresh()
        late = people(5, seed + 2)
        await surely(lambda: add(store, other, late, room.clock))
    assert set(proof.counted["shop.guests.name"]) == {2}
    assert (await versions(room, "data"))["shop.guests.name"] == {2: 505}
    assert await room.opened() == sorted([*guests, *added, *late], key=lambda guest: guest.id)


async def test_rows_that_somebody_holds_are_met_later(room: Strongroom, seed: int) -> None:
    guests = await room.fill(50, seed)
    async with room.admin.transaction():
        await room.admin.execute("SELECT FROM shop.guests WHERE id = %s FOR UPDATE", (guests[7].id,))
        rotating = asyncio.create_task(rotate(room, "data"))
        async with asyncio.timeout(60):
            while (await versions(room, "data"))["shop.guests.name"] != {1: 1, 2: 49}:
                assert not rotating.done()
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        assert not rotating.done()
    proof = await rotating
    assert proof.counted["shop.guests.name"] == {2: 50}
    assert await room.opened() == guests


async def test_erased_customers_do_not_stand_in_the_way(room: Strongroom, seed: int) -> None:
    guests = await room.fill(10, seed)
    await room.admin.execute("UPDATE shop.guests SET sealing_key = NULL WHERE id = %s", (guests[0].id,))
    await room.admin.execute("UPDATE shop.guests SET sealing_key = '' WHERE id = %s", (guests[1].id,))
    await rotate(room, "index")
    assert await room.rows(b"SELECT phone_tag FROM shop.guests ORDER BY id LIMIT 2") == [(None,), (None,)]
    await rotate(room, "data")
    await rotate(room, "index")
    found = await room.found()
    assert [each.name.erased for each in found] == [True, True] + [False] * 8
    cursor = await room.admin.execute("SELECT name, phone_tag FROM shop.guests ORDER BY id LIMIT 2")
    assert await cursor.fetchall() == [(b"", None)] * 2
    assert (await room.rows(b"SELECT said FROM shop.notes ORDER BY number LIMIT 2")) == [(b"",), (b"",)]


@pytest.mark.parametrize("purpose", ["data", "index"])
async def test_a_broken_cell_keeps_the_old_version_alive(room: Strongroom, seed: int, purpose: str) -> None:
    guests = await room.fill(10, seed)
    await room.admin.execute(
        "UPDATE shop.guests SET phone = (SELECT phone FROM shop.guests WHERE id = %s) WHERE id = %s",
        (guests[0].id, guests[1].id),
    )
    with pytest.raises(StuckError, match=rf"1 rows keep the old version alive.*{guests[1].id}.*moved here"):
        await rotate(room, purpose)
    assert (await room.states())["C2", purpose, 1] == "decrypt_only"
    await room.admin.execute("UPDATE shop.guests SET phone = NULL WHERE id = %s", (guests[1].id,))
    assert (await rotate(room, purpose)).version == 2


async def test_a_rotation_goes_on_where_it_was_left(
    room: Strongroom, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each of its transactions in turn; tests/storm does it with a real SIGKILL."""
    guests = await room.fill(60, seed)
    real = Store.tx
    proof, tries, left = None, 0, 0

    def tx(self: Store, name: str) -> object:
        nonlocal left
        if name.startswith("vault") and name != "vault keys":
            left -= 1
            if left < 0:
                raise KilledError
        return real(self, name)

    monkeypatch.setattr(Store, "tx", tx)
    while proof is None:
        tries += 1
        left = tries
        with suppress(KilledError, ExceptionGroup):
            proof = await rotation(room, "data").run(lambda _: None, Pace(0, 0, blocks=2, lanes=1))
        left = 1000
        assert await room.opened() == guests
    assert tries > 5
    assert (proof.version, set(proof.counted["shop.guests.name"])) == (2, {2})
    cursor = await room.admin.execute("SELECT state, version FROM vault.rotations")
    assert await cursor.fetchall() == [("done", 2)]


class KilledError(Exception):
    pass


async def test_a_rotation_is_in_the_audit_trail(room: Strongroom, seed: int) -> None:
    await room.fill(1, seed)
    await rotate(room, "data")
    cursor = await room.admin.execute(
        "SELECT actor, action, subject, reason FROM audit.events WHERE actor <> 'vault' ORDER BY id"
    )
    assert await cursor.fetchall() == [
        ("anna", "key.rotation_started", "data key", "version 2"),
        ("anna", "key.rotated", "data key", "version 2 active, 1 destroyed, 3 rows"),
    ]


# -- the root key


async def test_root_key(room: Strongroom, seed: int, tmp_path: Path) -> None:
    guests = await room.fill(5, seed)
    path = tmp_path / "keys" / "root.key"
    before = path.read_bytes()
    done = await rotate_root(room.store, room.root, room.root, "anna")
    assert done.keys == 4
    assert path.read_bytes() != before
    async with Vault.opened(room.store, FileRoot(path), room.clock, TABLES) as other:
        guest = (await room.found())[0]
        assert await other.open(guest.name) == guests[0].name
    path.write_bytes(before)
    with pytest.raises(RootKeyError, match="were wrapped by root key"):
        async with Vault.opened(room.store, FileRoot(path), room.clock, TABLES):
            pass


async def test_killed_between_the_file_and_the_database_both_root_keys_are_readable(
    room: Strongroom, seed: int, tmp_path: Path
) -> None:
    await room.fill(2, seed)
    path = tmp_path / "keys" / "root.key"
    cursor = await room.admin.execute("SELECT DISTINCT root FROM vault.keys")
    (used,) = await cursor.fetchall()
    await FileRoot(path).renew(set(used))  # and there it was killed
    async with Vault.opened(room.store, FileRoot(path), room.clock, TABLES) as other:
        await other.open((await room.found())[0].name)
    await rotate_root(room.store, FileRoot(path), FileRoot(path), "anna")
    assert len(path.read_text().splitlines()) in {1, 2}
    async with Vault.opened(room.store, FileRoot(path), room.clock, TABLES) as other:
        await other.open((await room.found())[0].name)


async def test_the_root_key_moves_to_two_custodians(room: Strongroom, seed: int, tmp_path: Path) -> None:
    guests = await room.fill(2, seed)
    split = SplitRoot(tmp_path / "anna" / "share", tmp_path / "bela" / "share")
    done = await rotate_root(room.store, room.root, split, "anna")
    assert "backups of the database made before this need the file" in done.remark
    again = await rotate_root(room.store, room.root, split, "anna")  # called twice
    assert again.keys == 4
    async with Vault.opened(room.store, split, room.clock, TABLES) as other:
        assert await other.open((await room.found())[0].name) == guests[0].name
    with pytest.raises(RootKeyError, match="were wrapped by root key"):
        async with Vault.opened(room.store, room.root, room.clock, TABLES):
            pass


async def test_a_root_key_that_forgets_changes_nothing(room: Strongroom, seed: int) -> None:
    await room.fill(1, seed)

    class Forgetful(FileRoot):
        async def unwrap(self, wrapped: Wrapped, place: bytes) -> bytes:
            return (await super().unwrap(wrapped, place))[::-1]

    with pytest.raises(RootKeyError, match="does not give back"):
        await rotate_root(room.store, room.root, Forgetful(room.root._path), "anna")
    async with Vault.opened(room.store, FileRoot(room.root._path), room.clock, TABLES) as other:
        await other.open((await room.found())[0].name)


async def test_an_unknown_version_is_looked_for_at_once(room: Strongroom, store: Store, seed: int) -> None:
    async with Vault.opened(store, room.root, room.clock, TABLES) as other:
        await rotate(room, "data")
        guest = people(1, seed)
        await add(store, room.vault, guest, room.clock)
        found = (await room.found())[0]
        assert other._keyset._active["C2", "data"].version == 1
        assert await other.open(found.name) == guest[0].name

"""The root key in a key service: over the HTTP API of the transit engine, with its faults."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.strongroom import TABLES, strongroom
from tests.support.transit import TOKEN, TransitEngine, transit
from tillkeeper.base.clock import ManualClock
from tillkeeper.store import Store
from tillkeeper.vault import RootKeyError, TransitRoot, Vault, Wrapped, rotate_root

PLACE = b"C2|data|1"
SECRET = b"s" * 32


@pytest.fixture
def engine() -> Iterator[TransitEngine]:
    with transit() as serving:
        yield serving


@pytest.fixture
def root(engine: TransitEngine, tmp_path: Path) -> TransitRoot:
    token = tmp_path / "transit.token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    return TransitRoot(engine.url, token)


async def test_what_is_wrapped_unwraps_at_its_place(root: TransitRoot, engine: TransitEngine) -> None:
    await root.make()
    await root.make()
    assert engine.asked.count("POST /v1/transit/keys/till") == 1
    wrapped = await root.wrap(SECRET, PLACE)
    assert wrapped.root == "transit/till:v1"
    assert wrapped.secret.startswith(b"vault:v1:")
    assert await root.unwrap(wrapped, PLACE) == SECRET
    with pytest.raises(RootKeyError, match="says 400 to decrypt: cipher: message authentication failed"):
        await root.unwrap(wrapped, b"C3|data|1")


async def test_a_new_version_leaves_the_old_readable(root: TransitRoot, engine: TransitEngine) -> None:
    await root.make()
    old = await root.wrap(SECRET, PLACE)
    await root.renew({old.root})
    await root.renew({old.root})
    assert len(engine.keys["till"]) == 2
    assert (await root.wrap(SECRET, PLACE)).root == "transit/till:v2"
    assert await root.unwrap(old, PLACE) == SECRET
    assert "min_decryption_version" in await root.retire()
    engine.oldest["till"] = 2
    with pytest.raises(RootKeyError, match="too old"):
        await root.unwrap(old, PLACE)


async def test_faults_are_told(root: TransitRoot, engine: TransitEngine, tmp_path: Path) -> None:
    await root.make()
    await root.health()
    engine.token = "another"
    with pytest.raises(RootKeyError, match="says 403 to keys: permission denied"):
        await root.health()
    engine.sealed = True
    with pytest.raises(RootKeyError, match="says 503 to keys: Vault is sealed"):
        await root.health()
    (tmp_path / "transit.token").chmod(0o644)
    with pytest.raises(RootKeyError, match="chmod 600"):
        await root.health()
    (tmp_path / "transit.token").unlink()
    with pytest.raises(RootKeyError, match="wants a token"):
        await root.health()


async def test_no_key_of_another_place_is_asked_for(root: TransitRoot, engine: TransitEngine) -> None:
    with pytest.raises(RootKeyError, match=r"wrapped by root key 0123, not by key service"):
        await root.unwrap(Wrapped("0123", b"x"), PLACE)
    assert engine.asked == []


async def test_a_service_that_is_away_is_told(tmp_path: Path) -> None:
    with transit() as engine:
        url = engine.url
    token = tmp_path / "transit.token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with pytest.raises(RootKeyError, match="cannot be asked"):
        await TransitRoot(url, token).health()


async def test_a_house_lives_on_it(
    store: Store,
    admin: psycopg.AsyncConnection,
    clock: ManualClock,
    root: TransitRoot,
    engine: TransitEngine,
    tmp_path: Path,
    seed: int,
) -> None:
    """Moved there from a file, renewed there; asked at the start only, never for a cell."""
    async with strongroom(store, admin, clock, tmp_path) as room:
        guests = await room.fill(20, seed)
        await rotate_root(store, room.root, root, "anna")
        async with Vault.opened(store, root, clock, TABLES) as vault:
            asked = len(engine.asked)
            assert [await vault.open(each.name) for each in await room.found()] == [
                each.name for each in guests
            ]
            engine.sealed = True
            await vault.refresh()
            vault.new_key()
            assert len(engine.asked) == asked
            engine.sealed = False
        await rotate_root(store, root, root, "anna")
        cursor = await admin.execute("SELECT DISTINCT root FROM vault.keys")
        assert await cursor.fetchall() == [("transit/till:v2",)]
        async with Vault.opened(store, root, clock, TABLES) as vault:
            assert await vault.open((await room.found())[0].name) == guests[0].name
        engine.sealed = True
        with pytest.raises(RootKeyError, match="Vault is sealed"):
            async with Vault.opened(store, root, clock, TABLES):
                pass

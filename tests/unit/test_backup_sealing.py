"""What lies in a repository cannot be read, changed, cut, moved or mixed without being found out."""

import os
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillkeeper.maintenance.backups.chest import Chest, Manifest
from tillkeeper.maintenance.backups.repository import Folder, get_small, put_small
from tillkeeper.maintenance.backups.sealing import FRAME, HEAD, DataKey, Opener, Sealer, key_of
from tillkeeper.maintenance.backups.types import BackupError
from tillkeeper.vault import FileRoot, RootKeyError

KEY = DataKey(UUID(int=7), bytes(range(32)))
NAME = "backups/1/data"


def sealed(pieces: list[bytes], name: str = NAME, key: DataKey = KEY) -> list[bytes]:
    """The head, then each frame."""
    sealer = Sealer(key, name)
    last = len(pieces) - 1
    return [sealer.head, *(sealer.frame(n, each, last=n == last) for n, each in enumerate(pieces))]


def opened(stored: bytes, name: str = NAME, key: DataKey = KEY, step: int = 1 << 20) -> bytes:
    assert key_of(name, stored) == KEY.id
    opener = Opener(key, name, stored[:HEAD])
    body = stored[HEAD:]
    plain = [one for at in range(0, len(body), step) for one in opener.feed(body[at : at + step])]
    opener.end()
    return b"".join(plain)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.integers(1, 400))
def test_it_opens_whatever_the_pieces_it_comes_in(pieces: list[bytes], step: int) -> None:
    assert opened(b"".join(sealed(pieces)), step=step) == b"".join(pieces)


def test_large_frames_that_cannot_be_compressed_open() -> None:
    noise = os.urandom(FRAME)
    assert opened(b"".join(sealed([noise, noise[:5]]))) == noise + noise[:5]


def test_the_same_content_never_looks_the_same() -> None:
    assert sealed([b"same"]) != sealed([b"same"])


@settings(max_examples=60)
@given(st.data())
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    stored = bytearray(b"".join(sealed([b"first", b"second", b"third"])))
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((BackupError, AssertionError)):  # a changed head names another key
        opened(bytes(stored))


@pytest.mark.parametrize(
    "order",
    [[0, 1, 2], [0, 1], [0], [0, 2, 1, 3], [0, 1, 3], [0, 1, 1, 2, 3], [0, 1, 2, 3, 3], [0, 3]],
)
def test_frames_taken_out_moved_or_doubled_are_found(order: list[int]) -> None:
    parts = sealed([b"first", b"second", b"third"])
    with pytest.raises(BackupError):
        opened(b"".join(parts[n] for n in order))


def test_an_object_in_anothers_place_does_not_open() -> None:
    with pytest.raises(BackupError, match="was changed"):
        opened(b"".join(sealed([b"x"])), name="backups/2/data")


def test_frames_of_two_objects_do_not_mix() -> None:
    one, other = sealed([b"a", b"b"]), sealed([b"c", b"d"])
    with pytest.raises(BackupError):
        opened(b"".join([one[0], one[1], other[2]]))


# -- the chest


@pytest.fixture
def root(tmp_path: Path) -> FileRoot:
    return FileRoot(tmp_path / "keys" / "root.key")


@pytest.fixture
async def chest(tmp_path: Path, root: FileRoot) -> Chest:
    await root.make()
    return Chest(Folder(tmp_path / "backups"), root)


def manifest(key: DataKey, at: str = "2026-04-15T12:00:00Z") -> Manifest:
    return msgspec.convert(
        {
            "id": UUID(int=1),
            "kind": "full",
            "parent": None,
            "begun_at": at,
            "ended_at": at,
            "system": "7",
            "timeline": 1,
            "start_lsn": "0/2000028",
            "end_lsn": "0/2000120",
            "size": 9,
            "database_bytes": 10,
            "key": key.id,
        },
        Manifest,
    )


async def test_the_repository_alone_opens_nothing(chest: Chest, tmp_path: Path) -> None:
    key = await chest.new_key()
    await chest.write_small("wal/a", key, b"a customer's name" * 100)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "backups").rglob("*") if path.is_file())
    assert b"customer" not in stored
    assert key.secret not in stored
    stranger = FileRoot(tmp_path / "other" / "root.key")
    await stranger.make()
    with pytest.raises(RootKeyError):
        await Chest(chest.repository, stranger).read_small("wal/a")


async def test_a_changed_manifest_is_found(chest: Chest) -> None:
    key = await chest.new_key()
    await chest.add_manifest(manifest(key))
    (kept,) = await chest.manifests()
    await chest.check(kept)
    name = f"backups/{kept.id}/manifest.json"
    text = (await get_small(chest.repository, name)).replace(b"0/2000028", b"0/1000028")
    await put_small(chest.repository, name, text)
    (changed,) = await chest.manifests()
    with pytest.raises(BackupError, match="was changed"):
        await chest.check(changed)


async def test_a_new_root_key_opens_what_the_old_one_sealed(
    chest: Chest, root: FileRoot, tmp_path: Path
) -> None:
    key = await chest.new_key()
    await chest.write_small("wal/a", key, b"before")
    new = FileRoot(tmp_path / "new" / "root.key")
    await new.make()
    assert await chest.wrap_anew(new) == 1
    assert await Chest(chest.repository, new).read_small("wal/a") == b"before"
    assert await chest.wrap_anew(new) == 1  # killed in the middle, it is begun again
    with pytest.raises(RootKeyError):
        await Chest(chest.repository, root).read_small("wal/a")


async def test_one_repository_is_of_one_database(chest: Chest) -> None:
    await chest.belong_to("7")
    await chest.belong_to("7")
    with pytest.raises(BackupError, match="another database"):
        await chest.belong_to("8")

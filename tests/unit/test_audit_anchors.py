"""Keys and anchors as files: what is read back, what is refused, what never is overwritten."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from tillkeeper import audit
from tillkeeper.audit.anchors import FILE, FileAnchor, Folder, ObjectAnchor, read, written
from tillkeeper.audit.keys import KEY_FILE, Ring, find_ring, is_signed, new_key, open_ring
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.store.private import PrivateFileError

TRAIL = UUID("01890000-0000-7000-8000-000000000001")


def head(size: int, clock: ManualClock, trail: UUID = TRAIL) -> audit.Head:
    clock.advance(1)
    return audit.Head(trail, size, bytes([size]) * 32, clock.now(), "ak_1", b"s" * 64)


async def sizes(found: AsyncIterator[audit.Head | None]) -> list[int | None]:
    return [None if each is None else each.size async for each in found]


# -- keys


def test_the_key_is_made_once_and_nobody_else_may_read_it(tmp_path: Path, clock: ManualClock) -> None:
    folder = tmp_path / "keys"
    assert find_ring(folder) is None
    made = open_ring(folder, clock)
    assert open_ring(folder, clock) == find_ring(folder) == made
    assert (folder / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / KEY_FILE).chmod(0o640)
    with pytest.raises(PrivateFileError, match="chmod 600"):
        find_ring(folder)


def test_a_signature_is_of_one_text_and_one_key(tmp_path: Path, clock: ManualClock) -> None:
    ring, other = open_ring(tmp_path / "one", clock), open_ring(tmp_path / "other", clock)
    signature, key = ring.sign(b"text"), ring.current
    assert ring.signed(key.id, b"text", signature)
    assert not ring.signed(key.id, b"texT", signature)
    assert not ring.signed(other.current.id, b"text", signature)
    assert not is_signed(bytes.fromhex(other.current.public), b"text", signature)
    assert not is_signed(b"short", b"text", signature)


@pytest.mark.parametrize("spoilt", [b"", b"{}", b"\xff", b'{"trail": "x", "keys": []}'])
def test_a_spoilt_key_file_is_named_and_never_replaced(
    tmp_path: Path, clock: ManualClock, spoilt: bytes
) -> None:
    path = tmp_path / KEY_FILE
    path.write_bytes(spoilt)
    path.chmod(0o600)
    with pytest.raises(PrivateFileError, match=r"file of audit keys|has no key"):
        open_ring(tmp_path, clock)
    assert path.read_bytes() == spoilt


def test_a_key_under_a_false_name_or_without_its_private_part_signs_nothing(
    tmp_path: Path, clock: ManualClock
) -> None:
    ring, path = open_ring(tmp_path, clock), tmp_path / KEY_FILE
    for change, word in (({"id": "ak_other"}, "whose id"), ({"private": None}, "no private part")):
        key = msgspec.structs.replace(ring.current, **change)
        path.write_bytes(msgspec.json.encode(Ring(ring.trail, (key,))))
        with pytest.raises(PrivateFileError, match=word):
            open_ring(tmp_path, clock)


def test_a_restore_explains_what_was_anchored_before_it_and_beyond_it(clock: ManualClock) -> None:
    now = clock.now()
    ring = Ring(TRAIL, (new_key(clock),), (audit.Restore(10, now, "ada", "disk"),))
    assert ring.lost(11, now - timedelta(days=1)) is not None
    assert ring.lost(10, now) is None
    assert ring.lost(11, now + timedelta(seconds=1)) is None


# -- anchors


def test_a_head_is_read_as_it_was_written(clock: ManualClock) -> None:
    one = head(7, clock)
    assert read(written(one)) == one
    assert read(written(one)[:-9]) is None
    assert read(written(one).replace(b"0707", b"07zz")) is None


async def test_the_file_begins_anew_when_it_is_full_and_all_parts_are_read(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANCHOR_FILE_BYTES", 900)
    anchor = FileAnchor(tmp_path / FILE)
    for size in range(1, 9):
        await anchor.put(head(size, clock))
    assert len(list(tmp_path.iterdir())) > 2
    assert await sizes(anchor.heads(TRAIL)) == list(range(1, 9))
    last = await anchor.last(TRAIL)
    assert last is not None
    assert last.size == 8
    assert await anchor.last(uuid4()) is None


async def test_a_line_cut_short_spoils_no_other(tmp_path: Path, clock: ManualClock) -> None:
    anchor, path = FileAnchor(tmp_path / FILE), tmp_path / FILE
    await anchor.put(head(1, clock))
    path.write_bytes(path.read_bytes()[:-30])
    await anchor.put(head(2, clock))
    assert await sizes(anchor.heads(TRAIL)) == [None, 2]


async def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, clock: ManualClock) -> None:
    anchor, path = FileAnchor(tmp_path / FILE), tmp_path / FILE
    path.write_bytes(b"x" * 100_000)
    await anchor.put(head(2, clock))
    found = await sizes(anchor.heads(TRAIL))
    assert found[-1] == 2
    assert set(found[:-1]) == {None}


async def test_objects_are_never_overwritten(tmp_path: Path, clock: ManualClock) -> None:
    folder = Folder(tmp_path)
    await folder.put_new("a/1.json", b"one")
    with pytest.raises(FileExistsError):
        await folder.put_new("a/1.json", b"two")
    assert await folder.get("a/1.json") == b"one"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["1.json"]
    anchor, other = ObjectAnchor(folder, "x"), uuid4()
    for size in (3, 1, 2):
        await anchor.put(head(size, clock))
        await anchor.put(head(size + 10, clock, other))
    assert await sizes(anchor.heads(TRAIL)) == [3, 1, 2]
    last = await anchor.last(other)
    assert last is not None
    assert last.size == 12


async def test_a_mount_that_is_missing_is_not_made(tmp_path: Path, clock: ManualClock) -> None:
    anchor = ObjectAnchor(Folder(tmp_path / "mount"), "x")
    for attempt in (anchor.put(head(1, clock)), anchor.last(TRAIL), sizes(anchor.heads(TRAIL))):
        with pytest.raises(audit.AnchorError):
            await attempt
    assert not (tmp_path / "mount").exists()


def test_an_anchor_that_is_none_is_refused_without_saying_it_all(tmp_path: Path) -> None:
    with pytest.raises(audit.AnchorError) as error:
        audit.anchors_of(tmp_path, ["https://user:" + "secret" * 9])
    assert "secret" not in str(error.value)

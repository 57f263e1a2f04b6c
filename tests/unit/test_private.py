"""Private files: made once, readable by nobody else."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tillkeeper.base.settings import Settings
from tillkeeper.store.private import PrivateFileError, append_private, make_private, read_private


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "root.key"
    assert read_private(path) is None
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: make_private(path, lambda: os.urandom(32)), range(8)))
    assert made == {read_private(path)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["root.key"]


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    path.write_bytes(b"secret")
    path.chmod(0o640)
    with pytest.raises(PrivateFileError, match="chmod 600"):
        read_private(path)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PrivateFileError, match=r"root\.key cannot be"):
        make_private(tmp_path / "file" / "root.key", lambda: b"secret")


def test_keys_lie_beside_the_data() -> None:
    assert Settings(home=Path("a/.till")).key_folder == Path("a/.till-keys")
    assert Settings(keys=Path("k")).key_folder == Path("k")


def test_a_new_key_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "keys" / "root.key", []

    def sync(file: int) -> None:
        synced.append((os.fstat(file).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    make_private(path, lambda: b"secret")
    entries = [(path.parent.stat().st_ino, True), (tmp_path.stat().st_ino, True)]
    assert synced == [(path.stat().st_ino, False), *entries]


def test_lines_are_added_for_good_and_what_a_crash_left_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lines"
    append_private(path, b"one")
    append_private(path, b"two")
    with path.open("ab") as file:
        file.write(b"half a li")
    append_private(path, b"three")
    assert read_private(path) == b"one\ntwo\nthree\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_many_processes_add_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: append_private(path, b"%d" % n * 100), range(200)))
    lines = (read_private(path) or b"").splitlines()
    assert sorted(lines) == sorted(b"%d" % n * 100 for n in range(200))


def test_nothing_is_added_to_what_is_no_file_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"x" * 200_000)
    with pytest.raises(PrivateFileError, match="not made of lines"):
        append_private(path, b"one")
    assert path.stat().st_size == 200_000

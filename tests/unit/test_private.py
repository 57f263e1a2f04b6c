"""Private files: made once, readable by nobody else."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tillkeeper.base.settings import Settings
from tillkeeper.store.private import PrivateFileError, make_private, read_private


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

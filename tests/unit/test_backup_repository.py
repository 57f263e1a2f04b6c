"""What both kinds of repository promise: an object is there whole or not at all, and comes back as it was put."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups.repository import (
    AbsentError,
    Folder,
    Repository,
    RepositoryError,
    get_small,
    put_small,
    repository_of,
)

BUCKET = "tills-backups"
LARGE = [bytes([n]) * (3 << 20) for n in range(5)]  # S3 takes parts of 5 MiB at least


@pytest.fixture(scope="module")
def stand_in() -> Iterator[str]:
    """An S3 on loopback, with one bucket."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    assert httpx.put(f"{address}/{BUCKET}").is_success
    yield address
    server.stop()


def secret(folder: Path) -> Path:
    path = folder / "secret"
    path.write_text("secret\n")
    path.chmod(0o600)
    return path


@pytest.fixture(params=["folder", "bucket"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    if request.param == "folder":
        return Folder(tmp_path / "backups")
    address = request.getfixturevalue("stand_in")
    return repository_of(
        Settings(
            backups=f"s3://{BUCKET}/{tmp_path.name}",
            backups_endpoint=address,
            backups_access_key="anna",
            backups_secret_file=secret(tmp_path),
        )
    )


async def pieces(content: list[bytes], then: Exception | None = None) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece
    if then is not None:
        raise then


async def test_it_comes_back_as_it_was_put(repository: Repository) -> None:
    assert await repository.put("backups/1/data", pieces(LARGE)) == 15 << 20
    assert b"".join([piece async for piece in repository.get("backups/1/data")]) == b"".join(LARGE)


async def test_an_object_is_replaced_as_a_whole(repository: Repository) -> None:
    await put_small(repository, "wal/a.partial", b"old and long")
    await put_small(repository, "wal/a.partial", b"new")
    assert await get_small(repository, "wal/a.partial") == b"new"


async def test_what_breaks_off_leaves_nothing(repository: Repository) -> None:
    with pytest.raises(RepositoryError, match="pg_basebackup"):
        await repository.put("backups/1/data", pieces(LARGE, RepositoryError("pg_basebackup ended")))
    assert await repository.names("backups") == []
    with pytest.raises(AbsentError):
        await get_small(repository, "backups/1/data")


async def test_names_are_those_of_a_folder_and_sorted(repository: Repository) -> None:
    for name in ("wal/b", "wal/a", "keys/c", "backups/1/manifest.json"):
        await put_small(repository, name, b"x")
    assert await repository.names("wal") == ["wal/a", "wal/b"]
    assert await repository.names("backups") == ["backups/1/manifest.json"]
    assert await repository.names("nothing") == []


async def test_deleting_is_for_good_and_may_be_repeated(repository: Repository) -> None:
    await put_small(repository, "wal/a", b"x")
    await repository.delete("wal/a")
    await repository.delete("wal/a")
    assert await repository.names("wal") == []


async def test_a_folder_keeps_drafts_apart_and_others_out(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "backups")
    await put_small(folder, "wal/a", b"x")
    draft = tmp_path / "backups" / "wal" / ".b.1234"
    draft.write_bytes(b"half")
    assert await folder.names("wal") == ["wal/a"]
    folder.sweep("backups")
    assert draft.exists(), "another writer's"
    folder.sweep("wal")
    assert not draft.exists()
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "backups", tmp_path / "backups/wal/a")]
    assert modes == [0o700, 0o600]


async def test_a_place_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError, match="TILL_BACKUPS"):
        await put_small(Folder(tmp_path / "file"), "wal/a", b"x")


async def test_a_bucket_that_is_not_there_says_so(stand_in: str, tmp_path: Path) -> None:
    settings = Settings(
        backups="s3://nobodys",
        backups_endpoint=stand_in,
        backups_access_key="anna",
        backups_secret_file=secret(tmp_path),
    )
    with pytest.raises(RepositoryError, match="nobodys"):
        await put_small(repository_of(settings), "wal/a", b"x")


async def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = secret(tmp_path)
    path.chmod(0o644)
    with pytest.raises(RepositoryError, match="chmod 600"):
        repository_of(Settings(backups="s3://x", backups_access_key="anna", backups_secret_file=path))

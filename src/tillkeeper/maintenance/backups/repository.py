"""Where backups lie: a folder, or an S3-compatible store. Objects have names with slashes, and appear whole or not at all."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tillkeeper.base import limits
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups.types import BackupError
from tillkeeper.store.private import PrivateFileError, read_private

_PIECE: Final = 1 << 20


class Repository(Protocol):
    """Named objects. All errors are RepositoryError."""

    @property
    def name(self) -> str:
        """Where it is, for people."""
        ...

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        """Store an object, in place of one of that name; its size. When this returns it is durable."""
        ...

    def get(self, name: str) -> AsyncIterator[bytes]:
        """An object in pieces. Raises AbsentError."""
        ...

    async def names(self, folder: str) -> list[str]:
        """The names of all objects under a folder, sorted."""
        ...

    async def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        ...


class RepositoryError(BackupError):
    """The repository cannot be used now. The message says why and what to do."""


class AbsentError(RepositoryError):
    """There is no such object."""


def repository_of(settings: Settings) -> Repository:
    """The repository that the settings name. Raises RepositoryError."""
    if not settings.backup_place.startswith("s3://"):
        return Folder(Path(settings.backup_place))
    return Bucket(settings)


async def put_small(repository: Repository, name: str, content: bytes) -> None:
    """Store a small object."""

    async def once() -> AsyncIterator[bytes]:
        yield content

    await repository.put(name, once())


async def get_small(repository: Repository, name: str) -> bytes:
    """A small object, whole. Raises AbsentError."""
    return b"".join([piece async for piece in repository.get(name)])


class Folder:
    """A folder, best on another disk or machine than the database's. Only this user may enter it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._root)

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        """Written beside, synced, renamed, and the folder synced."""
        path = self._root / name
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        size = 0
        with _told(self.name):
            await asyncio.to_thread(self._make_folders, path.parent)
            try:
                with draft.open("xb") as file:
                    draft.chmod(0o600)
                    async for piece in content:
                        size += await asyncio.to_thread(file.write, piece)
                    await asyncio.to_thread(_sync, file.fileno())
                draft.rename(path)
            finally:
                draft.unlink(missing_ok=True)
            await asyncio.to_thread(_sync_folder, path.parent)
        return size

    async def get(self, name: str) -> AsyncIterator[bytes]:
        """Read piece by piece."""
        with _told(self.name):
            try:
                file = (self._root / name).open("rb")
            except FileNotFoundError:
                raise AbsentError(f"{self.name} has no {name}") from None
            with file:
                while piece := await asyncio.to_thread(file.read, _PIECE):
                    yield piece

    async def names(self, folder: str) -> list[str]:
        """Drafts, which begin with a dot, are no objects."""
        with _told(self.name):
            return await asyncio.to_thread(self._names, folder)

    def _names(self, folder: str) -> list[str]:
        found = (self._root / folder).rglob("*")
        return sorted(
            str(path.relative_to(self._root))
            for path in found
            if path.is_file() and not path.name.startswith(".")
        )

    async def delete(self, name: str) -> None:
        """Unlink; the folder of a backup goes when it becomes empty, while those that others write to stay."""
        path = self._root / name
        with _told(self.name):
            path.unlink(missing_ok=True)
            if name.count("/") > 1 and path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()

    def sweep(self, folder: str) -> None:
        """Remove the drafts of writers that were killed. Only for who alone writes in that folder."""
        for draft in (self._root / folder).rglob(".*"):
            draft.unlink(missing_ok=True)

    def free(self) -> int:
        """Bytes left on its disk."""
        near = next(each for each in (self._root, *self._root.parents) if each.exists())
        return shutil.disk_usage(near).free

    def _make_folders(self, folder: Path) -> None:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(each.parent)


class Bucket:
    """A bucket of Amazon S3 or of a store that speaks like it."""

    def __init__(self, settings: Settings) -> None:
        bucket, _, prefix = settings.backup_place.removeprefix("s3://").partition("/")
        self.name = settings.backup_place
        endpoint = settings.backups_endpoint
        with _told(self.name):
            self._store: Any = S3Store(
                bucket,
                prefix=prefix or None,
                region=settings.backups_region,
                endpoint=endpoint,
                access_key_id=settings.backups_access_key,
                secret_access_key=_secret(settings),
                client_options={"allow_http": bool(endpoint and endpoint.startswith("http://"))},
                retry_config={"max_retries": limits.REPOSITORY_TRIES, "retry_timeout": _RETRY},
            )

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        """A multipart upload: S3 shows the object when all of it is there."""
        size = 0
        failed: list[Exception] = []

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            try:
                async for piece in content:
                    size += len(piece)
                    yield piece
            except Exception as error:
                failed.append(error)
                raise

        with _told(self.name):
            try:
                await obstore.put_async(self._store, name, counted(), max_concurrency=4)
            except BaseError:
                if failed:
                    raise failed[0] from None  # not the store's fault
                raise
        return size

    async def get(self, name: str) -> AsyncIterator[bytes]:
        """Streamed."""
        with _told(self.name):
            try:
                answer = await obstore.get_async(self._store, name)
            except FileNotFoundError:
                raise AbsentError(f"{self.name} has no {name}") from None
            async for piece in answer.stream(min_chunk_size=_PIECE):
                yield bytes(piece)

    async def names(self, folder: str) -> list[str]:
        """All pages of the listing."""
        with _told(self.name):
            return sorted([each["path"] async for page in obstore.list(self._store, folder) for each in page])

    async def delete(self, name: str) -> None:
        """S3 does not mind if it is not there."""
        with _told(self.name):
            await obstore.delete_async(self._store, name)


_RETRY: Final = timedelta(seconds=limits.REPOSITORY_RETRY_SECONDS)


def _secret(settings: Settings) -> str | None:
    if settings.backups_secret_file is None:
        return None
    try:
        kept = read_private(settings.backups_secret_file)
    except PrivateFileError as error:
        raise RepositoryError(f"TILL_BACKUPS_SECRET_FILE: {error}") from error
    if kept is None:
        raise RepositoryError(f"TILL_BACKUPS_SECRET_FILE: {settings.backups_secret_file} is not there")
    return kept.decode().strip()


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, BaseError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        raise RepositoryError(
            f"the backup repository {where} cannot be used: {said}; see TILL_BACKUPS"
        ) from error


def _sync(handle: int) -> None:
    os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

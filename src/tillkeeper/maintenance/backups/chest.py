"""A repository with its keys: what is written is sealed, what is read was not changed. It needs the root key, never the database.

cluster.json               whose backups these are
log.json                   which data key the log is sealed with
keys/ID.json               a data key, wrapped by the root key
backups/ID/manifest.json   written last: without it there is no such backup
backups/ID/data            the base backup, sealed
backups/ID/files           PostgreSQL's list of its files, sealed: the next incremental backup begins from it
wal/NAME                   a segment of the write-ahead log, sealed; NAME.partial while it still grows
"""

import asyncio
import hashlib
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.backups.repository import AbsentError, Folder, Repository, get_small, put_small
from tillkeeper.maintenance.backups.sealing import FRAME, HEAD, DataKey, Opener, Sealer, key_of
from tillkeeper.maintenance.backups.types import BackupError, BackupKind
from tillkeeper.maintenance.backups.walnames import lsn_number, outlived
from tillkeeper.vault import RootKey, RootKeyError, Wrapped

_NONCE: Final = 12


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup is, readable without any key; `seal` binds it to the data key, so that a changed one is found."""

    id: UUID
    kind: BackupKind
    parent: UUID | None
    begun_at: datetime
    ended_at: datetime
    system: str
    timeline: int
    start_lsn: str
    end_lsn: str
    size: int
    database_bytes: int
    key: UUID
    seal: bytes = b""


class _WrappedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    root: str
    wrapped: bytes


class _Cluster(msgspec.Struct, frozen=True):
    system: str


class _LogKey(msgspec.Struct, frozen=True):
    key: UUID


class Chest:
    """Everything in it is sealed with data keys that `root` wraps. Raises BackupError."""

    def __init__(self, repository: Repository, root: RootKey) -> None:
        self.repository = repository
        self._root = root
        self._keys: dict[UUID, DataKey] = {}

    async def belong_to(self, system: str) -> None:
        """Make it that cluster's own, or see that it is."""
        try:
            owner = msgspec.json.decode(
                await get_small(self.repository, "cluster.json"), type=_Cluster
            ).system
        except AbsentError:
            await put_small(self.repository, "cluster.json", msgspec.json.encode(_Cluster(system)))
            return
        if owner != system:
            raise BackupError(
                f"{self.repository.name} holds the backups of another database: set TILL_BACKUPS to another place"
            )

    async def sweep(self, folder: str) -> None:
        """Remove what killed writers left in a folder that only the caller writes to; an S3 store shows no such things."""
        if isinstance(self.repository, Folder):
            await asyncio.to_thread(self.repository.sweep, folder)

    async def new_key(self) -> DataKey:
        """A data key, kept in the repository before anything is sealed with it."""
        key = DataKey(new_id(), os.urandom(32))
        await self._keep(key, self._root)
        self._keys[key.id] = key
        return key

    async def log_key(self) -> DataKey:
        """The data key of the log, one for all of it: every object derives a key of its own from it."""
        try:
            id_ = msgspec.json.decode(await get_small(self.repository, "log.json"), type=_LogKey).key
        except AbsentError:
            key = await self.new_key()
            await put_small(self.repository, "log.json", msgspec.json.encode(_LogKey(key.id)))
            return key
        return await self._key(id_)

    async def write(self, name: str, key: DataKey, content: AsyncIterator[bytes]) -> int:
        """Seal an object; its stored size. Threads share the work, a few frames ahead of the repository."""
        return await self.repository.put(name, _sealed(Sealer(key, name), content))

    async def write_small(self, name: str, key: DataKey, content: bytes) -> int:
        """Seal an object that fits in memory."""

        async def once() -> AsyncIterator[bytes]:
            yield content

        return await self.write(name, key, once())

    async def read(self, name: str) -> AsyncGenerator[bytes, None]:
        """Open an object."""
        head, opener = b"", None
        async for piece in self.repository.get(name):
            rest = piece
            if opener is None:
                head += piece
                if len(head) < HEAD:
                    continue
                key = await self._key(key_of(name, head))
                opener, rest = Opener(key, name, head[:HEAD]), head[HEAD:]
            for plain in await asyncio.to_thread(opener.feed, rest):
                yield plain
        if opener is None:
            key_of(name, head)
            raise BackupError(f"{name} is cut off in the repository: use another backup")
        opener.end()

    async def read_small(self, name: str) -> bytes:
        """Open an object that fits in memory."""
        return b"".join([piece async for piece in self.read(name)])

    async def add_manifest(self, manifest: Manifest) -> None:
        """With this the backup exists."""
        key = await self._key(manifest.key)
        nonce = os.urandom(_NONCE)
        seal = nonce + AESGCM(key.secret).encrypt(nonce, b"", _form(manifest))
        sealed = msgspec.structs.replace(manifest, seal=seal)
        await put_small(self.repository, manifest_name(manifest.id), msgspec.json.encode(sealed))

    async def manifests(self) -> list[Manifest]:
        """All backups, the oldest first."""
        names = [name for name in await self.repository.names("backups") if name.endswith("/manifest.json")]
        return sorted([await self._manifest(name) for name in names], key=lambda each: each.ended_at)

    async def _manifest(self, name: str) -> Manifest:
        content = await get_small(self.repository, name)
        try:
            manifest = msgspec.json.decode(content, type=Manifest)
        except msgspec.MsgspecError as error:
            raise BackupError(f"{name} is damaged ({error}): remove that backup's folder") from error
        if manifest_name(manifest.id) != name:
            raise BackupError(f"{name} was moved in the repository")
        return manifest

    async def check(self, manifest: Manifest) -> None:
        """Raises BackupError where a manifest is not as it was written."""
        key = await self._key(manifest.key)
        try:
            AESGCM(key.secret).decrypt(manifest.seal[:_NONCE], manifest.seal[_NONCE:], _form(manifest))
        except (InvalidTag, ValueError):
            raise BackupError(f"{manifest_name(manifest.id)} was changed: use another backup") from None

    async def remove_unfinished(self, before: UUID) -> int:
        """Remove what backups with ids before that one left who never came to their manifest; how many objects."""
        names = await self.repository.names("backups")
        folders = {name.removesuffix("manifest.json") for name in names if name.endswith("/manifest.json")}
        left = [
            name
            for name in names
            if not name.startswith(tuple(folders)) and UUID(name.split("/")[1]) < before
        ]
        for name in left:
            await self.repository.delete(name)
        return len(left)

    async def remove(self, manifest: Manifest) -> None:
        """Prune a backup: first it exists no more, then its bytes go, and with its key whatever copies there are."""
        for name in (manifest_name(manifest.id), data_name(manifest.id), files_name(manifest.id)):
            await self.repository.delete(name)
        await self.repository.delete(_key_name(manifest.key))

    async def log_names(self) -> list[str]:
        """The files of the log, sorted."""
        return [name.removeprefix("wal/") for name in await self.repository.names("wal")]

    async def forget_log(self, kept: Sequence[Manifest]) -> int:
        """Remove of the log what none of these backups needs; how many files. Without backups all of it stays."""
        if not kept:
            return 0
        oldest = min((each.start_lsn for each in kept), key=lsn_number)
        late = outlived(await self.log_names(), oldest)
        for name in late:
            await self.repository.delete(f"wal/{name}")
        return len(late)

    async def wrap_anew(self, root: RootKey) -> int:
        """Wrap all data keys with the newest root key of another place (or of the same); how many. Raises RootKeyError."""
        names = await self.repository.names("keys")
        for name in names:
            key = await self._unwrapped(name, root)
            await self._keep(key, root)
        return len(names)

    async def _unwrapped(self, name: str, other: RootKey) -> DataKey:
        wrapped, id_ = await self._wrapped(name)
        try:
            return DataKey(id_, await self._root.unwrap(wrapped, _place(id_)))
        except RootKeyError:
            return DataKey(id_, await other.unwrap(wrapped, _place(id_)))  # an earlier try brought it over

    async def _key(self, id_: UUID) -> DataKey:
        if id_ not in self._keys:
            wrapped, _ = await self._wrapped(_key_name(id_))
            self._keys[id_] = DataKey(id_, await self._root.unwrap(wrapped, _place(id_)))
        return self._keys[id_]

    async def _wrapped(self, name: str) -> tuple[Wrapped, UUID]:
        try:
            kept = msgspec.json.decode(await get_small(self.repository, name), type=_WrappedKey)
            return Wrapped(kept.root, kept.wrapped), UUID(name.removeprefix("keys/").removesuffix(".json"))
        except (msgspec.MsgspecError, ValueError) as error:
            raise BackupError(
                f"{name} in the repository is damaged, and what it sealed never opens"
            ) from error

    async def _keep(self, key: DataKey, root: RootKey) -> None:
        wrapped = await root.wrap(key.secret, _place(key.id))
        if await root.unwrap(wrapped, _place(key.id)) != key.secret:
            raise RootKeyError(f"{root.name} does not give back what it wrapped: nothing was changed")
        kept = _WrappedKey(wrapped.root, wrapped.secret)
        await put_small(self.repository, _key_name(key.id), msgspec.json.encode(kept))


def manifest_name(id_: UUID) -> str:
    """Where a backup's manifest is."""
    return f"backups/{id_}/manifest.json"


def data_name(id_: UUID) -> str:
    """Where its bytes are."""
    return f"backups/{id_}/data"


def files_name(id_: UUID) -> str:
    """Where PostgreSQL's list of its files is."""
    return f"backups/{id_}/files"


def _key_name(id_: UUID) -> str:
    return f"keys/{id_}.json"


def _place(id_: UUID) -> bytes:
    return f"backup key {id_}".encode()


def _form(manifest: Manifest) -> bytes:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(manifest, seal=b""))).digest()


async def _sealed(sealer: Sealer, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield sealer.head
    under_way: deque[asyncio.Task[bytes]] = deque()
    try:
        number = 0
        async for piece, last in _frames(content):
            work = asyncio.to_thread(sealer.frame, number, piece, last=last)
            under_way.append(asyncio.ensure_future(work))
            number += 1
            if len(under_way) >= limits.BACKUP_LANES:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()


async def _frames(content: AsyncIterator[bytes]) -> AsyncIterator[tuple[bytes, bool]]:
    """The same bytes in frames, each with whether it is the last; an empty content is one empty frame."""
    waiting = bytearray()
    async for piece in content:
        waiting += piece
        while len(waiting) > FRAME:  # never all of it: the last frame must be known as the last
            yield bytes(waiting[:FRAME]), False
            del waiting[:FRAME]
    yield bytes(waiting), True

"""Where heads are kept outside the database, so that whoever rules the database cannot rewrite the past unseen.

Three kinds: a file beside the key (always), a table in another database, objects in an append-only storage. One JSON object
is a head, wherever it lies: {"trail", "size", "root", "at", "key", "signature"}, root and signature in hexadecimal.
"""

import asyncio
import heapq
import os
import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from uuid import UUID

import msgspec

from tillkeeper.audit.types import Head
from tillkeeper.base import limits
from tillkeeper.store import StoreUnavailableError, queries
from tillkeeper.store.elsewhere import Elsewhere

_sql = queries(__package__, "anchors.sql")
FILE: Final = "audit-anchors.jsonl"
_TAIL: Final = 64 * 1024  # of a file, in which its last whole line is looked for
_LONGEST: Final = 4096  # of a line; ours have 330 bytes


class AnchorError(Exception):
    """An anchor cannot be read or written. The message says why."""


class Anchor(Protocol):
    """A place outside the database where heads are only ever added. All its methods raise AnchorError."""

    @property
    def name(self) -> str:
        """What people call it; no secrets."""
        ...

    @property
    def pause(self) -> float:
        """Seconds between two heads; those in between are left out."""
        ...

    async def put(self, head: Head) -> None:
        """Add a head; when this returns, it is durable."""
        ...

    async def last(self, trail: UUID) -> Head | None:
        """The last head of a trail."""
        ...

    def heads(self, trail: UUID) -> AsyncGenerator[Head | None, None]:
        """All heads of a trail, in the order they were added; None stands for one that cannot be read."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class _Line(msgspec.Struct, frozen=True):
    trail: UUID
    size: int
    root: str
    at: datetime
    key: str
    signature: str


def written(head: Head) -> bytes:
    """A head as anchors keep it."""
    line = _Line(head.trail, head.size, head.root.hex(), head.at, head.key, head.signature.hex())
    return msgspec.json.encode(line)


def read(raw: bytes | str) -> Head | None:
    """The head in a line; None if there is none."""
    try:
        line = msgspec.json.decode(raw, type=_Line)
        return Head(
            line.trail, line.size, bytes.fromhex(line.root), line.at, line.key, bytes.fromhex(line.signature)
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None


class FileAnchor:
    """A file to which lines are appended. One that is full is put aside under a number, and a new one begins."""

    pause: Final = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = f"file {path.name}"

    async def put(self, head: Head) -> None:
        try:
            await asyncio.to_thread(self._put, written(head))
        except OSError as error:
            raise AnchorError(f"{self._path}: {error.strerror}") from error

    def _put(self, line: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = not self._path.exists()
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
            whole = (
                not size or os.pread(file, 1, size - 1) == b"\n"
            )  # a full disk may have cut the last line short
            data = (b"" if whole else b"\n") + line + b"\n"
            if os.write(file, data) < len(data):
                raise OSError(0, "the disk took only a part of the line")
            os.fsync(file)
        finally:
            os.close(file)
        if new:
            _sync_folder(self._path.parent)
        if size + len(data) > limits.ANCHOR_FILE_BYTES:
            self._path.rename(self._path.with_suffix(f".{len(self._parts()):06d}.jsonl"))
            _sync_folder(self._path.parent)

    async def last(self, trail: UUID) -> Head | None:
        found: Head | None = None
        try:
            for part in reversed(self._parts()):
                for raw in reversed(await asyncio.to_thread(_tail, part)):
                    if (found := read(raw)) is not None and found.trail == trail:
                        return found
        except OSError as error:
            raise AnchorError(f"{self._path}: {error.strerror}") from error
        return None

    async def heads(self, trail: UUID) -> AsyncGenerator[Head | None, None]:
        try:
            for part in self._parts():
                for raw in _lines(part):
                    head = read(raw)
                    if head is None or head.trail == trail:
                        yield head
        except OSError as error:
            raise AnchorError(f"{self._path}: {error.strerror}") from error

    async def close(self) -> None:
        pass

    def _parts(self) -> list[Path]:
        """The files that are full, the oldest first, and the one in use."""
        full = sorted(self._path.parent.glob(f"{self._path.stem}.*.jsonl"))
        return [*full, self._path] if self._path.exists() else full


def _lines(path: Path) -> Iterator[bytes]:
    with _opened(path) as file:
        while line := file.readline(_LONGEST):
            yield line


def _tail(path: Path) -> list[bytes]:
    with _opened(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return file.read(_TAIL).splitlines()


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise OSError(0, "it is no ordinary file")
    return path.open("rb")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class DatabaseAnchor:
    """A table in another PostgreSQL, under a role that may insert and read only."""

    pause: Final = 0.0

    def __init__(self, url: str) -> None:
        self._elsewhere = Elsewhere(url)
        self.name = f"database {self._elsewhere.name}"

    async def put(self, head: Head) -> None:
        params = {"trail": head.trail, "head": written(head).decode()}
        try:
            if not (await self._elsewhere.run(_sql.is_there))[0][0]:
                await self._elsewhere.run(_sql.make)
            await self._elsewhere.run(_sql.put, params)
        except StoreUnavailableError as error:
            raise AnchorError(str(error)) from error

    async def last(self, trail: UUID) -> Head | None:
        rows = await self._ask("last", {"trail": trail})
        return read(rows[0][1]) if rows else None

    async def heads(self, trail: UUID) -> AsyncGenerator[Head | None, None]:
        after = 0
        while rows := await self._ask("heads", {"trail": trail, "after": after, "limit": limits.ANCHOR_READ}):
            for _, line in rows:
                yield read(line)
            after = rows[-1][0]

    async def close(self) -> None:
        await self._elsewhere.close()

    async def _ask(self, name: str, params: dict[str, object]) -> list[tuple[int, str]]:
        try:
            if not (await self._elsewhere.run(_sql.is_there))[0][0]:
                return []
            return [(number, line) for number, line in await self._elsewhere.run(getattr(_sql, name), params)]
        except StoreUnavailableError as error:
            raise AnchorError(str(error)) from error


class Objects(Protocol):
    """Append-only object storage, such as a bucket with object lock. Methods raise OSError."""

    async def put_new(self, name: str, content: bytes) -> None:
        """Store an object under a new name. Raises FileExistsError when the name is taken; nothing is replaced."""
        ...

    async def names(self, prefix: str, after: str) -> list[str]:
        """Some names that begin with `prefix` and follow `after` in order; none at the end."""
        ...

    async def get(self, name: str) -> bytes:
        """An object's content."""
        ...


class ObjectAnchor:
    """One object a head, `<trail>/<time>-<size>.json`, in a storage that lets nobody replace or delete it."""

    pause: Final = limits.ANCHOR_OBJECT_SECONDS

    def __init__(self, objects: Objects, name: str) -> None:
        self._objects = objects
        self.name = f"objects {name}"

    async def put(self, head: Head) -> None:
        try:
            with suppress(FileExistsError):  # it is there already
                name = f"{head.trail}/{head.at:%Y%m%dT%H%M%S.%f}-{head.size}.json"
                await self._objects.put_new(name, written(head))
        except OSError as error:
            raise AnchorError(str(error)) from error

    async def last(self, trail: UUID) -> Head | None:
        name = ""
        try:
            while found := await self._objects.names(f"{trail}/", name):
                name = found[-1]
            return read(await self._objects.get(name)) if name else None
        except OSError as error:
            raise AnchorError(str(error)) from error

    async def heads(self, trail: UUID) -> AsyncGenerator[Head | None, None]:
        name = ""
        try:
            while found := await self._objects.names(f"{trail}/", name):
                for name in found:
                    yield read(await self._objects.get(name))
        except OSError as error:
            raise AnchorError(str(error)) from error

    async def close(self) -> None:
        pass


class Folder:
    """Objects as files that are never written to twice: on a mount that keeps what it got, or as a stand-in.

    The folder must be there: an empty one made in the place of a mount that is missing would keep nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def put_new(self, name: str, content: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = path.with_name(f".{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename it replaces nothing, and what it shows is whole
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)

    async def names(self, prefix: str, after: str) -> list[str]:
        folder, _, beginning = prefix.rpartition("/")
        if not (self._path / folder).exists() and self._path.exists():
            return []
        files = (self._path / folder).iterdir()
        found = (f"{folder}/{each.name}" for each in files if each.suffix == ".json")
        wanted = (name for name in found if name.startswith(f"{folder}/{beginning}") and name > after)
        return heapq.nsmallest(limits.ANCHOR_READ, wanted)

    async def get(self, name: str) -> bytes:
        return (self._path / name).read_bytes()


def anchors_of(key_folder: Path, others: Sequence[str]) -> list[Anchor]:
    """The file beside the key, and what the settings add: `postgresql://…`, or `dir:` and a folder.

    Raises AnchorError for another word.
    """
    return [FileAnchor(key_folder / FILE), *(_other(each) for each in others)]


def _other(word: str) -> Anchor:
    if word.startswith(("postgresql://", "postgres://")):
        return DatabaseAnchor(word)
    if word.startswith("dir:"):
        return ObjectAnchor(Folder(Path(word.removeprefix("dir:"))), word)
    raise AnchorError(f"{word.partition(':')[0][:20]!r} is no anchor: write postgresql://… or dir:FOLDER")

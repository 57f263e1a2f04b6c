"""Root keys: what wraps the class keys. It is kept outside the database, so that its copy alone opens nothing."""

import hashlib
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tillkeeper.store.private import PrivateFileError, make_private, read_private, replace_private
from tillkeeper.vault.cells import new_secret
from tillkeeper.vault.errors import RootKeyError

log = logging.getLogger(__name__)

_NONCE: Final = 12
LOSS: Final = "without it nothing that is sealed can ever be opened again"


class Wrapped(NamedTuple):
    """A class key as the database keeps it; `root` names the root key that wrapped it."""

    root: str
    secret: bytes


class RootKey(Protocol):
    """A place that keeps root keys. All of its errors are RootKeyError."""

    @property
    def name(self) -> str:
        """What and where it is, for people."""
        ...

    async def make(self) -> None:
        """Make the first root key of this place unless there is one; only asked while nothing is wrapped with it."""
        ...

    async def wrap(self, secret: bytes, place: bytes) -> Wrapped:
        """Wrap a class key with the newest root key; it unwraps with the same place only."""
        ...

    async def unwrap(self, wrapped: Wrapped, place: bytes) -> bytes:
        """A class key."""
        ...

    async def renew(self, used: Collection[str]) -> None:
        """Make a new root key if the newest is among those `used`, by name; the older ones still unwrap."""
        ...

    async def retire(self) -> str:
        """The older root keys are no longer used here. What to do with them, for people."""
        ...

    async def health(self) -> None:
        """Raises RootKeyError when it could not wrap now."""
        ...


class FileRoot:
    """Root keys in a private file, one line each, the newest last: `<name> <64 hex digits>`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """The file."""
        return f"file {self._path}"

    async def make(self) -> None:
        """Make the file, mode 0600, unless it is there."""
        with told():
            is_new = read_private(self._path) is None
            make_private(self._path, lambda: line_of(new_secret()))
        if is_new:
            log.warning(
                "a root key was made: %s. Copy it to a safe place, apart from backups: %s", self._path, LOSS
            )

    async def wrap(self, secret: bytes, place: bytes) -> Wrapped:
        """Under the newest root key."""
        name, key = list(self._read().items())[-1]
        return Wrapped(name, seal_root(key, secret, place))

    async def unwrap(self, wrapped: Wrapped, place: bytes) -> bytes:
        """Under whichever of the file's root keys wrapped it."""
        return unwrap_with(
            self._keys if wrapped.root in self._keys else self._read(), wrapped, place, self.name
        )

    async def renew(self, used: Collection[str]) -> None:
        """Add a line to the file."""
        keys = self._read()
        if list(keys)[-1] in used:
            with told():
                replace_private(self._path, lines_of([*keys.values(), new_secret()]))
            self._read()

    async def retire(self) -> str:
        """Move the older lines to a file beside it."""
        *older, newest = self._read().values()
        old_path = self._path.with_name(f"{self._path.name}.old-{root_name(newest)}")
        with told():
            if older:
                replace_private(old_path, lines_of(older))
            replace_private(self._path, lines_of([newest]))
        return (
            f"Copy {self._path} to a safe place now: {LOSS}. Backups of the database made before this need "
            f"{old_path}: keep it apart from them, and destroy it when they are gone."
        )

    async def health(self) -> None:
        """The file can be read."""
        self._read()

    def _read(self) -> dict[str, bytes]:
        with told():
            content = read_private(self._path)
        if content is None:
            raise RootKeyError(
                f"the database has sealed data, but its root key is missing: {self._path}. "
                f"Put it back from your copy; {LOSS}"
            )
        self._keys = keys_in(content, str(self._path))
        return self._keys


def root_name(key: bytes) -> str:
    """A root key's name: part of a hash, so it tells nothing and a mistaken file is noticed."""
    return hashlib.sha256(b"tillkeeper root key\0" + key).hexdigest()[:12]


def line_of(key: bytes) -> bytes:
    """A root key as a line of its file."""
    return f"{root_name(key)} {key.hex()}\n".encode()


def lines_of(keys: Iterable[bytes]) -> bytes:
    """A file of root keys, the newest last."""
    return b"".join(map(line_of, keys))


def keys_in(content: bytes, path: str) -> dict[str, bytes]:
    """The root keys of a file, by name. Raises RootKeyError if any line is damaged."""
    found: dict[str, bytes] = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1):
        name, _, digits = line.partition(" ")
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            key = b""
        if len(key) != 32 or root_name(key) != name:
            raise RootKeyError(f"{path}, line {number}: damaged; put the file back from your copy")
        found[name] = key
    if not found:
        raise RootKeyError(f"{path} is empty; put the file back from your copy")
    return found


def unwrap_with(keys: Mapping[str, bytes], wrapped: Wrapped, place: bytes, where: str) -> bytes:
    """A class key under one of the root keys. Raises RootKeyError."""
    if wrapped.root not in keys:
        raise RootKeyError(
            f"the class keys were wrapped by root key {wrapped.root}, but {where} holds {', '.join(keys)}: "
            f"put the right one back; {LOSS}"
        )
    return open_root(keys[wrapped.root], wrapped.secret, place)


def seal_root(key: bytes, secret: bytes, place: bytes) -> bytes:
    """A class key under a root key."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, secret, place)


def open_root(key: bytes, wrapped: bytes, place: bytes) -> bytes:
    """A class key. Raises RootKeyError when it was changed or moved."""
    try:
        return AESGCM(key).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], place)
    except (InvalidTag, ValueError):
        raise RootKeyError(f"the class key {place.decode()} was changed in the database") from None


@contextmanager
def told() -> Iterator[None]:
    """What is wrong with a private file is told as of the root key."""
    try:
        yield
    except PrivateFileError as error:
        raise RootKeyError(f"root key: {error}") from error

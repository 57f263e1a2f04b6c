"""Root keys: what wraps the class keys. It is kept outside the database, so that its copy alone opens nothing."""

import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tillkeeper.base.settings import Settings
from tillkeeper.store.private import PrivateFileError, make_private, read_private
from tillkeeper.vault.errors import RootKeyError

_NONCE: Final = 12
_LOSS: Final = "without it nothing that is sealed can ever be opened again"


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
        """Make the first root key if there is none; only asked while no class key exists."""
        ...

    async def current(self) -> str:
        """The name of the root key that wraps now."""
        ...

    async def wrap(self, secret: bytes, place: bytes) -> Wrapped:
        """Wrap a class key; it unwraps with the same place only."""
        ...

    async def unwrap(self, wrapped: Wrapped, place: bytes) -> bytes:
        """A class key."""
        ...


class FileRoot:
    """Root keys in a private file, one line each, the current one last: `<name> <64 hex digits>`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """The file."""
        return f"file {self._path}"

    async def make(self) -> None:
        """Make the file, mode 0600, unless it is there."""
        try:
            make_private(self._path, lambda: line_of(os.urandom(32)))
        except PrivateFileError as error:
            raise RootKeyError(f"root key: {error}") from error

    async def current(self) -> str:
        """The last line's name."""
        self._read()
        return list(self._keys)[-1]

    async def wrap(self, secret: bytes, place: bytes) -> Wrapped:
        """Under the current root key."""
        name = await self.current()
        return Wrapped(name, seal_root(self._keys[name], secret, place))

    async def unwrap(self, wrapped: Wrapped, place: bytes) -> bytes:
        """Under whichever of the file's root keys wrapped it."""
        if wrapped.root not in self._keys:
            self._read()
        if wrapped.root not in self._keys:
            raise RootKeyError(
                f"the class keys were wrapped by root key {wrapped.root}, but {self._path} holds "
                f"{', '.join(self._keys)}: put the right file back ({_LOSS})"
            )
        return open_root(self._keys[wrapped.root], wrapped.secret, place)

    def _read(self) -> None:
        try:
            content = read_private(self._path)
        except PrivateFileError as error:
            raise RootKeyError(f"root key: {error}") from error
        if content is None:
            raise RootKeyError(
                f"the database has sealed data, but its root key is missing: {self._path}. Put it back from your copy; {_LOSS}"
            )
        self._keys = keys_in(content, str(self._path))


def root_of(settings: Settings) -> RootKey:
    """The place of root keys that the settings name."""
    return FileRoot(settings.key_folder / "root.key")


def root_name(key: bytes) -> str:
    """A root key's name: part of a hash, so it tells nothing and a mistaken file is noticed."""
    return hashlib.sha256(b"tillkeeper root key\0" + key).hexdigest()[:12]


def line_of(key: bytes) -> bytes:
    """A root key as a line of its file."""
    return f"{root_name(key)} {key.hex()}\n".encode()


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

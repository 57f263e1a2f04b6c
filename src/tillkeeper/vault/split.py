"""A root key that two custodians hold: neither of their files alone tells anything, and nothing opens without both.

Each file has a line for each root key, `<name> <64 hex digits>`: a share. The key is the exclusive or of both shares.
"""

import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from tillkeeper.store.private import make_private, read_private, replace_private
from tillkeeper.vault.cells import KEY_BYTES, new_secret
from tillkeeper.vault.errors import RootKeyError
from tillkeeper.vault.roots import LOSS, Wrapped, root_name, seal_root, told, unwrap_with

log = logging.getLogger(__name__)

_Shares = dict[str, bytes]
_HEX: Final = KEY_BYTES * 2


class SplitRoot:
    """Root keys in two private files, which two people bring. They are read at the start of a process only."""

    def __init__(self, first: Path, second: Path) -> None:
        if first.absolute() == second.absolute():
            raise RootKeyError("the two custodians' files are one and the same: name two")
        self._paths = (first, second)
        self._keys: _Shares = {}

    @property
    def name(self) -> str:
        """Both files."""
        return f"custodians' files {self._paths[0]} and {self._paths[1]}"

    async def make(self) -> None:
        """Make both files. One alone is a mistake, or not plugged in: nothing is made then."""
        with told():
            found = [read_private(path) for path in self._paths]
        if None not in found:
            self._read()
            return
        if found != [None, None]:
            there, missing = self._paths if found[1] is None else reversed(self._paths)
            raise RootKeyError(
                f"{there} is there, but {missing} is not: bring it, or remove both to begin anew"
            )
        key, share = new_secret(), new_secret()
        for path, part in zip(self._paths, (share, xor(key, share)), strict=True):
            with told():
                make_private(path, lambda part=part: _lines([(root_name(key), part)]))  # type: ignore[misc]
        log.warning("a root key was made: %s. Each is copied to a safe place of its own: %s", self.name, LOSS)
        self._read()

    async def wrap(self, secret: bytes, place: bytes) -> Wrapped:
        """Under the newest root key."""
        name, key = list(self._read().items())[-1]
        return Wrapped(name, seal_root(key, secret, place))

    async def unwrap(self, wrapped: Wrapped, place: bytes) -> bytes:
        """Under whichever of the root keys wrapped it."""
        return unwrap_with(
            self._keys if wrapped.root in self._keys else self._read(), wrapped, place, self.name
        )

    async def renew(self, used: Collection[str]) -> None:
        """Add a line to both files. Killed between them, the line that stands alone is left out and the next try adds anew."""
        keys = self._read()
        if list(keys)[-1] not in used:
            return
        first, second = (self._shares(path) for path in self._paths)
        key, share = new_secret(), new_secret()
        for path, shares, part in zip(self._paths, (first, second), (share, xor(key, share)), strict=True):
            kept = [(name, shares[name]) for name in keys]
            with told():
                replace_private(path, _lines([*kept, (root_name(key), part)]))
        self._read()

    async def retire(self) -> str:
        """Move the older lines to a file beside each."""
        newest = list(self._read())[-1]
        moved = []
        for path in self._paths:
            shares = self._shares(path)
            old_path = path.with_name(f"{path.name}.old-{newest}")
            older = [(name, share) for name, share in shares.items() if name != newest]
            with told():
                if older:
                    replace_private(old_path, _lines(older))
                replace_private(path, _lines([(newest, shares[newest])]))
            moved.append(str(old_path))
        return (
            f"Each custodian copies their file to a safe place now: {LOSS}. Backups of the database made before this "
            f"need {' and '.join(moved)}: keep them apart, and destroy them when those backups are gone."
        )

    async def health(self) -> None:
        """Both files can be read."""
        self._read()

    def _read(self) -> _Shares:
        first, second = (self._shares(path) for path in self._paths)
        keys = {name: xor(first[name], second[name]) for name in first if name in second}
        if wrong := [name for name, key in keys.items() if root_name(key) != name]:
            raise RootKeyError(
                f"the two shares of root key {wrong[0]} do not fit: one of the files is damaged"
            )
        if not keys:
            raise RootKeyError(
                f"{self.name} belong to different installations: they have no root key in common"
            )
        self._keys = keys
        return keys

    def _shares(self, path: Path) -> _Shares:
        with told():
            content = read_private(path)
        if content is None:
            raise RootKeyError(f"a custodian's file is missing: {path}. Nothing opens without it; {LOSS}")
        return _shares_in(content, path)


def xor(one: bytes, other: bytes) -> bytes:
    """Both together: a key from its shares, or a share from the key and the other."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _lines(shares: Iterable[tuple[str, bytes]]) -> bytes:
    return b"".join(f"{name} {share.hex()}\n".encode() for name, share in shares)


def _shares_in(content: bytes, path: Path) -> _Shares:
    found: _Shares = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1):
        name, _, digits = line.partition(" ")
        try:
            share = bytes.fromhex(digits)
        except ValueError:
            share = b""
        if len(digits) != _HEX or len(share) != KEY_BYTES:
            raise RootKeyError(f"{path}, line {number}: damaged; put the file back from your copy")
        found[name] = share
    return found

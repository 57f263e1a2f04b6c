"""The keys that sign heads: a file beside the other keys, never in the database.

`audit.key` in the key folder is JSON: {"trail": id, "keys": [{"id", "since", "until", "public", "private"}, …]}, keys in the
order of their use. The last one signs. The others are kept without `private`, so that what they signed can be verified:
to rotate, give the last one an `until` and no `private`, and add one after it. The trail's id says which trail the folder
belongs to: heads of another database that shares an anchor are told apart by it. `restores` are what somebody with this
folder said of a database that fell back behind its anchors; verification tells them, and no longer calls them a cut.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tillkeeper.base.clock import Clock
from tillkeeper.store.private import PrivateFileError, make_private, read_private, replace_private

KEY_FILE: Final = "audit.key"
_REMEDY: Final = "restore it from your copy; docs/operating says what to do when it is lost"


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signing key, hexadecimal. `id` is taken from the public key; `until`: no head after it is signed with this key."""

    id: str
    since: datetime
    public: str
    until: datetime | None = None
    private: str | None = None


class Restore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An older copy of the database took the place of the newer: what was anchored before `at` beyond `size` is lost."""

    size: int
    at: datetime
    by: str
    reason: str


class Ring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of one trail, the one that signs last."""

    trail: UUID
    keys: tuple[Key, ...]
    restores: tuple[Restore, ...] = ()

    @property
    def current(self) -> Key:
        """The key that signs."""
        return self.keys[-1]

    def sign(self, data: bytes) -> bytes:
        """The current key's signature, 64 bytes."""
        assert self.current.private is not None  # open_ring has looked
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.current.private)).sign(data)

    def place(self, key: str) -> int | None:
        """Where a key stands in the order of use; None if it is not ours."""
        return next((place for place, each in enumerate(self.keys) if each.id == key), None)

    def lost(self, size: int, at: datetime) -> Restore | None:
        """The restore by which a head was lost, if it was."""
        return next((each for each in self.restores if size > each.size and at <= each.at), None)

    def signed(self, key: str, data: bytes, signature: bytes) -> bool:
        """Whether one of our keys, this one, made the signature."""
        place = self.place(key)
        return place is not None and is_signed(bytes.fromhex(self.keys[place].public), data, signature)


def is_signed(public: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the holder of a public key made a signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def new_key(clock: Clock) -> Key:
    """A fresh key."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return Key(key_id(public), clock.now(), public.hex(), None, private.private_bytes_raw().hex())


def key_id(public: bytes) -> str:
    """A key's name: the beginning of its public part's SHA-256."""
    return "ak_" + sha256(public).hexdigest()[:16]


def open_ring(folder: Path, clock: Clock, trail: UUID | None = None, old: Sequence[Key] = ()) -> Ring:
    """The keys in this folder, to sign with; made if there are none, then for this trail and after these keys.

    Raises PrivateFileError.
    """
    path = folder / KEY_FILE
    ring = _read(
        path, make_private(path, lambda: msgspec.json.encode(Ring(trail or uuid4(), (*old, new_key(clock)))))
    )
    if ring.current.private is None:
        raise PrivateFileError(
            f"{path} has no private part for its last key, so nothing can be signed: {_REMEDY}"
        )
    return ring


def add_restore(folder: Path, restore: Restore) -> None:
    """Note a restore for good. Raises PrivateFileError."""
    ring = find_ring(folder)
    if ring is None:
        raise PrivateFileError(f"there is no {KEY_FILE} in {folder}: {_REMEDY}")
    changed = msgspec.structs.replace(ring, restores=(*ring.restores, restore))
    replace_private(folder / KEY_FILE, msgspec.json.encode(changed))


def find_ring(folder: Path) -> Ring | None:
    """The keys in this folder, to verify with; None if there are none. Raises PrivateFileError."""
    raw = read_private(folder / KEY_FILE)
    return None if raw is None else _read(folder / KEY_FILE, raw)


def _read(path: Path, raw: bytes) -> Ring:
    try:
        ring = msgspec.json.decode(raw, type=Ring)
        named = [key_id(bytes.fromhex(each.public)) == each.id for each in ring.keys]
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise PrivateFileError(f"{path} is not a file of audit keys ({error}): {_REMEDY}") from error
    if not named or not all(named):
        raise PrivateFileError(
            f"{path} has no key, or one whose id is not that of its public part: {_REMEDY}"
        )
    return ring

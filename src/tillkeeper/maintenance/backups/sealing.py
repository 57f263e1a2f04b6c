"""The form of everything in a repository: compressed, sealed, and bound to its place. Pure.

An object is a head and frames. The head names the data key and has a salt; from both and from the object's name comes a key
of its own (HKDF-SHA256), so that no nonce is ever used twice and an object put in another's place does not open. Each frame
is at most FRAME of plaintext, compressed alone (so that threads share the work) and sealed with AES-256-GCM. Its nonce is
its number and whether it is the last: frames taken out, put in, moved or cut off at the end are found (the STREAM
construction of Hoang, Reyhanitabar, Rogaway and Vizar).
"""

import hashlib
import os
import zlib
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tillkeeper.maintenance.backups.types import BackupError

FRAME: Final = 1 << 20
_MAGIC: Final = b"TILLB1\r\n"
_SALT: Final = 16
HEAD: Final = len(_MAGIC) + 16 + _SALT
_LENGTH: Final = 4
_LEVEL: Final = 1
# Whatever cannot be compressed grows by some bytes; a longer frame is none of ours and is not waited for.
_LONGEST: Final = FRAME + (FRAME >> 8) + 64


class DataKey(msgspec.Struct, frozen=True):
    """What objects are sealed with."""

    id: UUID
    secret: bytes


class Sealer:
    """Seals one object. `frame` may be called from several threads; each number once, the last one said to be so."""

    def __init__(self, key: DataKey, name: str) -> None:
        salt = os.urandom(_SALT)
        self.head = _MAGIC + key.id.bytes + salt
        self._cipher = _cipher(key, salt, name)

    def frame(self, number: int, piece: bytes, *, last: bool) -> bytes:
        """A frame as it is stored."""
        sealed = self._cipher.encrypt(_nonce(number, last=last), zlib.compress(piece, _LEVEL), None)
        return len(sealed).to_bytes(_LENGTH, "big") + sealed


class Opener:
    """Opens one object from pieces of any size. Raises BackupError where it was changed, moved or cut off."""

    def __init__(self, key: DataKey, name: str, head: bytes) -> None:
        self._name = name
        self._cipher = _cipher(key, head[-_SALT:], name)
        self._waiting = bytearray()
        self._number = 0
        self._ended = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The plaintext that has become known."""
        self._waiting += piece
        opened = []
        while (frame := self._next_frame()) is not None:
            opened.append(self._open(frame))
        return opened

    def end(self) -> None:
        """Nothing follows: was it whole?"""
        if not self._ended or self._waiting:
            raise BackupError(f"{self._name} is cut off in the repository: take a new backup")

    def _next_frame(self) -> bytes | None:
        if len(self._waiting) < _LENGTH:
            return None
        length = int.from_bytes(self._waiting[:_LENGTH], "big")
        if length > _LONGEST or self._ended:
            raise self._changed()
        if len(self._waiting) < _LENGTH + length:
            return None
        frame = bytes(self._waiting[_LENGTH : _LENGTH + length])
        del self._waiting[: _LENGTH + length]
        return frame

    def _open(self, frame: bytes) -> bytes:
        for last in (False, True):
            try:
                packed = self._cipher.decrypt(_nonce(self._number, last=last), frame, None)
            except InvalidTag:
                continue
            self._number += 1
            self._ended = last
            return zlib.decompress(packed)
        raise self._changed()

    def _changed(self) -> BackupError:
        return BackupError(f"{self._name} was changed in the repository: use another backup")


def key_of(name: str, head: bytes) -> UUID:
    """Which data key an object was sealed with, from its first HEAD bytes. Raises BackupError."""
    if len(head) < HEAD or not head.startswith(_MAGIC):
        raise BackupError(f"{name} in the repository is no sealed object of ours")
    return UUID(bytes=head[len(_MAGIC) : len(_MAGIC) + 16])


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _cipher(key: DataKey, salt: bytes, name: str) -> AESGCM:
    info = b"tillkeeper backup\0" + hashlib.sha256(name.encode()).digest()
    return AESGCM(HKDF(SHA256(), 32, salt, info).derive(key.secret))

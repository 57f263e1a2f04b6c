"""Cells, wrapped keys and tags as bytes. Pure.

Cell: format 1, algorithm 1, key version 4 (big-endian), nonce 12, ciphertext, tag 16. A customer's wrapped key begins with
the same six bytes. Tag: index key version 4, then 16 bytes (exact) or 2 (beacon) of an HMAC.
"""

import hashlib
import hmac
import os
import struct
import unicodedata
from functools import lru_cache
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from tillkeeper.vault.errors import BrokenCellError

RowId = UUID | str | int | bytes
"""What names a row within its table: its primary key."""

FORMAT: Final = 1
AES_256_GCM: Final = 1
AES_256_KW: Final = 2
KEY_BYTES: Final = 32
EXACT_BYTES: Final = 16
BEACON_BYTES: Final = 2
"""65,536 beacons: of a million customers fifteen share one, so the index alone tells nobody's phone."""

_HEADER: Final = struct.Struct(">BBI")
_VERSION: Final = struct.Struct(">I")
_INNER: Final = bytes(each ^ 0x36 for each in range(256))
_OUTER: Final = bytes(each ^ 0x5C for each in range(256))
_NONCE: Final = 12
_OVERHEAD: Final = _HEADER.size + _NONCE + 16


def new_secret() -> bytes:
    """A fresh key."""
    return os.urandom(KEY_BYTES)


def version_of(blob: bytes) -> int:
    """The key version a cell or wrapped key was made with. Raises BrokenCellError."""
    if len(blob) < _HEADER.size or blob[0] != FORMAT:
        raise BrokenCellError("too short, or of a format that this program does not know")
    return int.from_bytes(blob[2:6])


def version_of_tag(tag: bytes) -> int:
    """The index key version of a tag. Raises BrokenCellError."""
    if len(tag) <= _VERSION.size:
        raise BrokenCellError("a tag too short")
    return int(_VERSION.unpack_from(tag)[0])


def version_bytes(version: int) -> bytes:
    """A version as it stands in cells and tags."""
    return _VERSION.pack(version)


def cell_key(class_key: bytes, secret: bytes) -> AESGCM:
    """The key of the cells of one customer (`secret` is theirs) or, where there is none, of one row (its place).

    Derived by the one-step KDF of NIST SP 800-56C with SHA-256. So no key ever seals more than a customer's or a row's
    few cells, far from the 2^32 that random nonces allow.
    """
    return AESGCM(hashlib.sha256(b"\0\0\0\1%bcell|%b" % (class_key, secret)).digest())


def seal(key: AESGCM, version: int, place: bytes, plain: bytes) -> bytes:
    """A cell that opens at its place only."""
    nonce, head = os.urandom(_NONCE), _HEADER.pack(FORMAT, AES_256_GCM, version)
    return b"%b%b%b" % (head, nonce, key.encrypt(nonce, plain, place + head[2:]))


def unseal(key: AESGCM, place: bytes, cell: bytes) -> bytes:
    """What a cell holds. Raises BrokenCellError."""
    if len(cell) < _OVERHEAD or cell[1] != AES_256_GCM:
        raise BrokenCellError("cut, or of an algorithm that this program does not know")
    try:
        return key.decrypt(cell[6:18], cell[18:], place + cell[2:6])
    except InvalidTag:
        raise BrokenCellError("changed, or moved here from another place") from None


def row_bytes(row: RowId) -> bytes:
    """A row's id as it is bound."""
    if isinstance(row, UUID):
        return row.bytes
    return row if isinstance(row, bytes) else str(row).encode()


def row_text(row: RowId) -> str:
    """A row's id for people."""
    return row.hex() if isinstance(row, bytes) else str(row)


@lru_cache(maxsize=64)
def derived(class_key: bytes, purpose: bytes) -> bytes:
    """A key of its own for each purpose of a class key."""
    return hmac.digest(class_key, purpose, "sha256")


def wrap(class_key: bytes, version: int, secret: bytes) -> bytes:
    """A customer's key, as it is kept in the customer's row."""
    header = _HEADER.pack(FORMAT, AES_256_KW, version)
    return header + aes_key_wrap(derived(class_key, b"wrap"), secret)


def unwrap(class_key: bytes, wrapped: bytes) -> bytes:
    """A customer's key. Raises BrokenCellError."""
    if wrapped[1] != AES_256_KW:
        raise BrokenCellError("a wrapped key of an algorithm that this program does not know")
    try:
        return aes_key_unwrap(derived(class_key, b"wrap"), wrapped[_HEADER.size :])
    except InvalidUnwrap:
        raise BrokenCellError("a wrapped key that was cut or changed") from None


def normal(text: str) -> str:
    """A text as it is looked for: full-width and half-width, capitals, and space make no difference."""
    if text.isascii():
        return "".join(text.lower().split())
    before = ""
    while text != before:  # what NFKC puts together may fold again, and what it takes apart may be a space
        before, text = text, "".join(unicodedata.normalize("NFKC", text).casefold().split())
    return text


@lru_cache(maxsize=64)
def index_key(class_key: bytes, column: bytes) -> tuple[bytes, bytes]:
    """Each column's own, so that equal values in two columns have nothing in common. `column`: schema.table.column.

    As HMAC's two padded blocks (RFC 2104): OpenSSL's one-shot HMAC, which looks its digest up each time, takes three times
    as long as all of the rest.
    """
    key = derived(class_key, b"index|" + column).ljust(64, b"\0")
    return key.translate(_INNER), key.translate(_OUTER)


def tag(key: tuple[bytes, bytes], version: int, text: str, length: int) -> bytes:
    """The blind index of a text under a column's index key: HMAC-SHA256, cut."""
    inner, outer = key
    digest = hashlib.sha256(outer + hashlib.sha256(inner + normal(text).encode()).digest()).digest()
    return _VERSION.pack(version) + digest[:length]

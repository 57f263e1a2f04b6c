"""Identifiers: UUIDv7 inside (sorted by time, so indexes grow at one end), TypeID outside (`pay_01h4…`).

TypeID is the public specification github.com/jetify-com/typeid: a prefix, an underscore, and the 128 bits in
26 characters of Crockford's base 32.
"""

from datetime import datetime
from typing import Final
from uuid import UUID, SafeUUID

import uuid_utils

from tillkeeper.base.clock import to_us

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_LENGTH: Final = 26
# To the digits of Python's base 32; what is in neither alphabet becomes something that int() refuses.
_DIGITS: Final = "".join(
    "0123456789abcdefghijklmnopqrstuv"[_ALPHABET.index(char)] if char in _ALPHABET else "!"
    for char in map(chr, range(128))
)
_make: Final = object.__new__
_set_int: Final = UUID.int.__set__  # type: ignore[misc, attr-defined] # a slot, see _uuid
_set_safe: Final = UUID.is_safe.__set__  # type: ignore[misc, attr-defined]

NIL: Final = UUID(int=0)


class BadIdError(ValueError):
    """A text that is no TypeID of the wanted prefix."""


def new_id() -> UUID:
    """A UUIDv7: later calls in one process give larger ids, so their order is the order of arrival."""
    return _uuid(uuid_utils.uuid7().int)


def to_typeid(prefix: str, value: UUID) -> str:
    """The public form of an id."""
    number = value.int
    pairs = _PAIRS
    return f"{prefix}_" + "".join([pairs[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def from_typeid(prefix: str, text: str) -> UUID:
    """Read a public id. Raises BadIdError when the prefix, length, alphabet or range is wrong."""
    head, _, tail = text.rpartition("_")
    if head != prefix or len(tail) != _LENGTH:
        raise BadIdError(f"{text[:60]!r} is not an id of the form {prefix}_…")
    try:
        number = int(tail.translate(_DIGITS) if tail.isascii() else "", 32)
    except ValueError:
        raise BadIdError(f"{text[:60]!r} has a character that ids do not use") from None
    if number >> 128:
        raise BadIdError(f"{text[:60]!r} is out of range")
    return _uuid(number)


def _uuid(number: int) -> UUID:
    """UUID(int=number), which spends 0.6 µs on what else it might have been given; a payment makes five of them."""
    made = _make(UUID)
    _set_int(made, number)
    _set_safe(made, SafeUUID.unknown)
    return made


def first_id_at(moment: datetime) -> UUID:
    """The lower bound of the UUIDv7s of a moment: ids at or above it were made since, found by index."""
    return UUID(int=(to_us(moment) // 1000) << 80)

"""Identifiers: UUIDv7 inside (sorted by time, so indexes grow at one end), TypeID outside (`pay_01h4…`).

TypeID is the public specification github.com/jetify-com/typeid: a prefix, an underscore, and the 128 bits in
26 characters of Crockford's base 32.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from tillkeeper.base.clock import to_us

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_VALUES: Final = {pair: index for index, pair in enumerate(_PAIRS)}
_LENGTH: Final = 26

NIL: Final = UUID(int=0)


class BadIdError(ValueError):
    """A text that is no TypeID of the wanted prefix."""


def new_id() -> UUID:
    """A UUIDv7: later calls in one process give larger ids, so their order is the order of arrival."""
    return uuid7()


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
    number = 0
    try:
        for at in range(0, _LENGTH, 2):
            number = (number << 10) | _VALUES[tail[at : at + 2]]
    except KeyError:
        raise BadIdError(f"{text[:60]!r} has a character that ids do not use") from None
    if number >> 128:
        raise BadIdError(f"{text[:60]!r} is out of range")
    return UUID(int=number)


def first_id_at(moment: datetime) -> UUID:
    """The lower bound of the UUIDv7s of a moment: ids at or above it were made since, found by index."""
    return UUID(int=(to_us(moment) // 1000) << 80)

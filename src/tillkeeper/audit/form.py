"""What is hashed and what is signed, byte for byte. Whoever checks a proof elsewhere needs this page and RFC 6962.

A list of texts is written as netstrings: each text as the number of its UTF-8 bytes in decimal, a colon, the bytes, a comma.

- A leaf's data: `till.audit.event.1`, then every column of the event in the order of EVENT_FIELDS: the id in its usual
  form of 36 lower-case characters, the time as microseconds since 1970-01-01 UTC, the transaction as a decimal number.
- What a head's signature covers: `till.audit.head.1`, then HEAD_FIELDS: the trail as an id, the size in decimal, the root
  in lower-case hexadecimal, the time as above, the id of the key.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from tillkeeper.base.clock import to_us

EVENT_FIELDS: Final = ("id", "at", "actor", "action", "subject", "reason", "origin", "result", "xid")
HEAD_FIELDS: Final = ("trail", "size", "root", "at", "key")
_EVENT: Final = "till.audit.event.1"
_HEAD: Final = "till.audit.head.1"
_MISSING: Final = b"-,"  # a column that lost its text is like no text, not even the empty one


def netstrings(texts: Iterable[str | None]) -> bytes:
    """Texts one after the other, each with its length."""
    return b"".join([_MISSING if text is None else _netstring(text.encode()) for text in texts])


def event_form(texts: Sequence[str | None]) -> bytes:
    """A leaf's data; `texts` are the event's columns in the order of EVENT_FIELDS."""
    return netstrings((_EVENT, *texts))


def head_form(trail: UUID, size: int, root: bytes, at: datetime, key: str) -> bytes:
    """What a head's signature covers."""
    return netstrings((_HEAD, str(trail), str(size), root.hex(), str(to_us(at)), key))


def _netstring(raw: bytes) -> bytes:
    return b"%d:%b," % (len(raw), raw)

"""Secrets as texts: 256 random bits each, of which only the SHA-256 is kept (no guessing makes a slow hash worthwhile).

Base 32 in lower case: a double click selects all of it, and secret scanners find a key by
`till_[a-z2-7]{16}_[a-z2-7]{52}`.
"""

import base64
import hashlib
import re
import secrets
from typing import Final

_SHORT_BYTES: Final = 10
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(r"till_([a-z2-7]{16})_[a-z2-7]{52}")
_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)


def _random_text(size: int) -> str:
    return base64.b32encode(secrets.token_bytes(size)).decode().rstrip("=").lower()


def new_key() -> tuple[str, str]:
    """A new API key: its short id, and its whole text."""
    short_id = _random_text(_SHORT_BYTES)
    return short_id, f"till_{short_id}_{_random_text(_SECRET_BYTES)}"


def new_token() -> str:
    """A new secret for a sign-in link, a cookie or a form."""
    return _random_text(_SECRET_BYTES)


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def key_in(header: str) -> tuple[str, str] | None:
    """The short id and whole text of the API key in an Authorization header; None if there is none."""
    found = _BEARER.fullmatch(header)
    key = _KEY.fullmatch(found[1]) if found else None
    return (key[1], key[0]) if key else None

"""Logs tell what happened, not to whom: whatever looks like a person's number is masked before a line is written.

What the program handles as personal data is sealed and shows its mask by itself. This net is for what comes from outside
unannounced: a path somebody made up, a driver's error that quotes a value.
"""

import logging
import re
from collections.abc import Iterator
from typing import Final

from tillkeeper.base.cardnumbers import card_numbers, plain
from tillkeeper.base.forbidden import forbidden, security_codes
from tillkeeper.base.results import Refusal

# A Chinese mobile, with or without its country; a resident's id number; a number in E.164.
_NUMBERS: Final = re.compile(
    r"(?<![0-9a-zA-Z])(?:\+?86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}(?![0-9a-zA-Z])"
    r"|(?<![0-9a-zA-Z])[1-9]\d{5}(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx](?![0-9a-zA-Z])"
    r"|(?<![0-9a-zA-Z])\+[1-9]\d{6,14}(?![0-9a-zA-Z])"
)
_FEWEST: Final = 3
MASK: Final = "‹masked›"


def discreet(text: str) -> str:
    """The text with card numbers, security codes, PINs, phone and id numbers masked."""
    if sum(map(str.isdigit, text)) < _FEWEST:
        return text
    done, parts = 0, []
    for start, end in sorted(_places(text)):
        if start >= done:
            parts += [text[done:start], MASK]
        done = max(done, end)
    return "".join([*parts, text[done:]])


def gossip(text: str, field: str | None = None) -> Refusal | None:
    """Why a text that everybody may read (a reason, a comment) may not be taken, if so: it holds what must never be stored,
    or somebody's phone or id number (`personal_data_refused`).
    """
    if refusal := forbidden(text):
        return Refusal(refusal.code, refusal.detail, field)
    if _NUMBERS.search(plain(text)):
        return Refusal("personal_data_refused", "name a ticket, a case, a letter's date", field)
    return None


def _places(text: str) -> Iterator[tuple[int, int]]:
    yield from card_numbers(text)
    yield from security_codes(text)
    yield from (found.span() for found in _NUMBERS.finditer(plain(text)))


class DiscreetFormatter(logging.Formatter):
    """Masks the whole line, tracebacks and arguments with it: whoever logs need not think of it."""

    def format(self, record: logging.LogRecord) -> str:
        return discreet(super().format(record))

"""Card numbers must never be stored: find what looks like one in a text, so that an edge can refuse it."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_LENGTHS: Final = range(13, 20)  # ISO/IEC 7812-1
# What people put between the digits: up to three spaces, dashes, dots, slashes, underlines, of any script, visible or not.
_BETWEEN: Final = (
    r"[\s\-./_·・\u00ad\u200b-\u200f\u2010-\u2015\u2060\u2212\ufe58\ufe63\ufeff\uff0d-\uff0f\uff3f]{0,3}"
)
_RUN: Final = re.compile(rf"\d(?:{_BETWEEN}\d)*")
_GROUP: Final = re.compile(r"\d+")
# How the numbers of the schemes begin, and their lengths; 9: banks of one country, Chinese debit cards among them.
# Without it one in ten of all longer numbers is refused: times in milliseconds, dated order numbers.
_ISSUED: Final = re.compile(
    r"1\d{14}|2[2-7]\d{14,17}|3\d{13,18}|4\d{12}|4\d{14,18}|[56]\d{12,18}|8[12]\d{14,17}|9\d{15,18}"
)
_WIDER: Final = 0xFEE0  # how far full-width forms stand behind those of ASCII
_PHONE_DIGITS: Final = 15  # at most, after a plus (E.164)
# One in 460 random UUIDs has digits that pass for a card number, and clients use UUIDs as keys and references.
_UUID: Final = re.compile(
    r"(?i)(?<![0-9a-z])[0-9a-f]{8}(-?)[0-9a-f]{4}(?:\1[0-9a-f]{4}){2}\1[0-9a-f]{12}(?![0-9a-z])"
)
# One in a million of our own ids has: its owner could never be named in a request.
_TYPEID: Final = re.compile(r"(?<![0-9a-z])[a-z]{2,8}_[0-7][0-9a-hjkmnp-tv-z]{25}(?![0-9a-z])")


def has_card_number(text: str) -> bool:
    """Whether a text holds a 13-19 digit number that passes the Luhn check, whatever stands between its digits and
    in whatever script they are.

    The digits of a UUID, of an id of ours, or of a phone number with its plus are none.
    """
    return next(card_numbers(text), None) is not None


def card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text the card numbers stand (start, end), one after the other."""
    if digits_in(text) < _LENGTHS.start:
        return
    text = without_ids(plain(text))
    for run in _RUN.finditer(text):
        yield from _in_run(text, run.start(), run.end())


def digits_in(text: str) -> int:
    """How many digits a text has, of whatever script."""
    if text.isascii():  # most are, and every text of every payment is looked at
        return len(text) - len(text.encode().translate(None, b"0123456789"))
    return sum(map(str.isdigit, text))


def plain(text: str) -> str:
    """The text with the digits of every script as 0-9, and full-width letters as narrow ones, each in its place."""
    return text if text.isascii() else "".join(map(_narrow, text))


def _narrow(char: str) -> str:
    if char.isdigit():
        return str(unicodedata.digit(char))
    return chr(ord(char) - _WIDER) if "\uff01" <= char <= "\uff5e" else char


def without_ids(text: str) -> str:
    """The text with UUIDs and ids of ours blotted out, as long as before: their characters mean nothing."""
    return _TYPEID.sub(_blank, _UUID.sub(_blank, text))


def _blank(found: re.Match[str]) -> str:
    return "x" * len(found.group())


def _in_run(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Card numbers made of whole groups of a run of digits: what follows one, its expiry date, may be a group too."""
    groups = [found.span() for found in _GROUP.finditer(text, start, end)]
    phone = _end_of_phone(groups) if text[start - 1 : start] == "+" else start
    done = start
    for first, (begin, _) in enumerate(groups):
        if begin < done:
            continue
        digits = ""
        for low, high in groups[first:]:
            digits += text[low:high]
            if len(digits) >= _LENGTHS.stop:
                break
            if high > phone and len(digits) in _LENGTHS and _is_card_number(digits):
                yield begin, high
                done = high
                break


def _end_of_phone(groups: list[tuple[int, int]]) -> int:
    """Where a phone number ends at the latest that stands at the head of these groups."""
    digits, end = 0, groups[0][0]
    for low, high in groups:
        digits += high - low
        if digits > _PHONE_DIGITS:
            break
        end = high
    return end


def _is_card_number(digits: str) -> bool:
    return _ISSUED.fullmatch(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0

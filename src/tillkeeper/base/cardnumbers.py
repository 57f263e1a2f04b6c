"""Card numbers must never be stored: find what looks like one in a text, so that an edge can refuse it."""

import re
import unicodedata
from typing import Final

# 13-19 digits, single spaces, dashes or dots between them allowed (ISO/IEC 7812-1 lengths).
_CANDIDATE: Final = re.compile(r"(?<!\d)\d(?:[ \-.]?\d){12,18}(?!\d)")
_ENOUGH_DIGITS: Final = 13
# How the numbers of the schemes begin, and their lengths; 9: banks of one country, Chinese debit cards among them.
# Without it one in ten of all longer numbers is refused: times in milliseconds, dated order numbers.
_ISSUED: Final = re.compile(
    r"1\d{14}|2[2-7]\d{14,17}|3\d{13,18}|4\d{12}|4\d{14,18}|[56]\d{12,18}|8[12]\d{14,17}|9\d{15,18}"
)
# One in 460 random UUIDs has digits that pass for a card number, and clients use UUIDs as keys and references.
_UUID: Final = re.compile(
    r"(?i)(?<![0-9a-z])[0-9a-f]{8}(-?)[0-9a-f]{4}(?:\1[0-9a-f]{4}){2}\1[0-9a-f]{12}(?![0-9a-z])"
)
# One in a million of our own ids has: its owner could never be named in a request.
_TYPEID: Final = re.compile(r"(?<![0-9a-z])[a-z]{2,3}_[0-7][0-9a-hjkmnp-tv-z]{25}(?![0-9a-z])")


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


def has_card_number(text: str) -> bool:
    """Whether a text holds a 13-19 digit number that passes the Luhn check, also with spaces, dashes, full-width digits.

    The digits of a UUID, or of an id of ours, are none.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if sum(map(str.isdigit, text)) < _ENOUGH_DIGITS:
        return False
    text = _TYPEID.sub("x", _UUID.sub("x", text))
    return any(_is_card_number(re.sub(r"\D", "", found.group())) for found in _CANDIDATE.finditer(text))

"""Phone numbers and id numbers as people write them, brought to the one form that is stored and looked for."""

import re
import unicodedata
from datetime import date
from typing import Final

from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.limits import MAX_TEXT
from tillkeeper.base.results import Refused, refuse

_E164: Final = re.compile(r"\+[1-9]\d{6,14}")
_MOBILE: Final = re.compile(r"1[3-9]\d{9}")
_PUNCTUATION: Final = re.compile(r"[\s\-.()]")

_RESIDENT: Final = re.compile(r"\d{17}[\dX]")
_RESIDENT_OF_OLD: Final = re.compile(r"\d{15}")  # issued until 1999, without a check digit
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK: Final = "10X98765432"  # ISO 7064 MOD 11-2, as GB 11643 has it
_PROVINCES: Final = frozenset(
    map(str, (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66)))
) | {"71", "81", "82", "83", "91"}
_OLDEST: Final = 1880


def phone_number(text: str, field: str = "phone") -> str:
    """A phone number in E.164; eleven digits alone are a Chinese mobile. Refuses what is none (`invalid_value`)."""
    bare = _PUNCTUATION.sub("", unicodedata.normalize("NFKC", text))
    if _MOBILE.fullmatch(bare):
        bare = f"+86{bare}"
    elif bare.startswith("00"):
        bare = f"+{bare[2:]}"
    chinese = bare.startswith("+861")
    if not bare.isascii() or not _E164.fullmatch(bare) or (chinese and not _MOBILE.fullmatch(bare[3:])):
        raise refuse("invalid_value", "a phone number: +442071838750, or a Chinese mobile 13800138000", field)
    return bare


def id_number(text: str, field: str = "id_number") -> str:
    """The number of an identity document, in capitals and without space around it.

    Eighteen characters are a Chinese resident's, whose date and check digit must be right (`invalid_value`); other
    documents are taken as they are, but for what may never be stored (`card_number_refused`).
    """
    bare = " ".join(unicodedata.normalize("NFKC", text).upper().split())
    if not bare or len(bare) > MAX_TEXT or not bare.isprintable():
        raise refuse("invalid_value", "the number of an identity document", field)
    if _RESIDENT.fullmatch(bare) and bare.isascii():
        if not _is_resident(bare):
            raise refuse("invalid_value", "a resident's id number: its date or check digit is wrong", field)
        return bare
    if bare.isascii() and _RESIDENT_OF_OLD.fullmatch(bare) and _is_placed_and_dated(bare, f"19{bare[6:12]}"):
        return bare
    if refusal := forbidden(bare):
        raise Refused(type(refusal)(refusal.code, refusal.detail, field))
    return bare


def _is_resident(number: str) -> bool:
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True))
    return number[17] == _CHECK[total % 11] and _is_placed_and_dated(number, number[6:14])


def _is_placed_and_dated(number: str, day: str) -> bool:
    try:
        born = date.fromisoformat(day)
    except ValueError:
        return False
    return number[:2] in _PROVINCES and born.year >= _OLDEST


def resident_check(first: str) -> str:
    """The check digit after the first seventeen digits of a resident's id number."""
    return _CHECK[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first, strict=True)) % 11]

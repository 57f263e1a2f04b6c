"""What people see of a sealed value unless they have a reason to see it. Pure.

A mask has a fixed number of stars, so that it does not tell the length, and never shows a value that is too short to hide.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

HIDDEN: Final = "••••"
_STARS: Final = "***"
# Family names of two characters; all others have one.
_DOUBLE_NAMES: Final = (
    "欧阳 太史 端木 上官 司马 东方 独孤 南宫 万俟 闻人 夏侯 诸葛 尉迟 公羊 赫连 澹台 皇甫 宗政 濮阳 公冶 太叔 申屠 公孙"
    " 慕容 仲孙 钟离 长孙 宇文 司徒 鲜于 司空 令狐 歐陽 司馬 東方 諸葛 尉遲 長孫 鍾離"
)


def mask(kind: str, text: str) -> str:
    """A text under one of MASKS."""
    return MASKS[kind](text)


def _name(text: str) -> str:
    """王小明 -> 王**, 欧阳小明 -> 欧阳**, Anna Schmidt -> A. ***"""
    name = text.strip()
    if len(name) < 2:
        return _STARS
    if _is_han(name[0]):
        double = name[:2] in _DOUBLE_NAMES.split() and len(name) > 2
        return name[: 2 if double else 1] + "**"
    return f"{name[0]}. {_STARS}" if name[0].isalpha() else _STARS


def _is_han(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("CJK UNIFIED")


def _phone(text: str) -> str:
    """13812345678 -> 138****5678; a short number shows nothing."""
    digits = "".join(letter for letter in unicodedata.normalize("NFKC", text) if letter.isdecimal())
    if len(digits) == 13 and digits.startswith("86"):
        digits = digits[2:]
    return f"{digits[:3]}****{digits[-4:]}" if len(digits) >= 11 else "****"


def _identity(text: str) -> str:
    """11010519491231002X -> 1***X"""
    number = text.strip()
    return f"{number[0]}{_STARS}{number[-1]}" if len(number) >= 6 else _STARS


def _email(text: str) -> str:
    """anna@example.com -> a***@example.com"""
    name, at, domain = text.strip().rpartition("@")
    return f"{name[0]}{_STARS}@{domain}" if at and len(name) > 1 else _STARS


def _account(text: str) -> str:
    """A bank account's last four: DE89370400440532013000 -> ***3000"""
    number = "".join(text.split())
    return f"{_STARS}{number[-4:]}" if len(number) >= 8 else _STARS


def _text(_: str) -> str:
    return _STARS


def _secret(_: str) -> str:
    return HIDDEN


MASKS: Final[dict[str, Callable[[str], str]]] = {
    "name": _name,
    "phone": _phone,
    "identity": _identity,
    "email": _email,
    "account": _account,
    "text": _text,
    "secret": _secret,
}

"""What parameters of steps are made of: names, expressions and statements, checked in form before anything runs."""

import re
from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta

from tillkeeper.base import limits
from tillkeeper.store import quoted

_NAME: Final = r"[a-z_][a-z0-9_]{0,62}"

Name = Annotated[str, Meta(pattern=f"^{_NAME}$", examples=["created_at"])]
"""A column, or an index of a table's own schema."""

Qualified = Annotated[
    str, Meta(pattern=rf"^{_NAME}\.{_NAME}$", description="schema.name", examples=["payments.payments"])
]
"""A table or index with its schema."""

Expression = Annotated[str, Meta(max_length=limits.MAX_STATEMENT, description="an SQL expression")]

StatementText = Annotated[
    str, Meta(min_length=1, max_length=limits.MAX_STATEMENT, description="one SQL statement")
]

# What would end an expression or hide its end; a text in quotes may hold anything.
_BREAKS_OUT: Final = re.compile(r";|--|/\*|\$\w*\$")
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")

BOOKS: Final = frozenset({"ledger", "audit"})
"""Schemas that no step changes: money moves by the turn alone, and what happened has happened."""


def sql_name(qualified: str) -> str:
    """A qualified name as SQL."""
    return quoted(*qualified.split("."))


def schema_of(qualified: str) -> str:
    """The schema of a qualified name."""
    return qualified.partition(".")[0]


def bare(text: str) -> str:
    """SQL without what stands in quotes, in one line and lower case: to be looked through."""
    return " ".join(_QUOTED.sub("''", text).lower().split())


def check_expressions(expressions: Iterable[tuple[str, str]]) -> None:
    """Raise ValueError naming the field of an expression that is more than one; for a Parameters' `__post_init__`."""
    for field, text in expressions:
        # A text like E'…\'…' ends elsewhere than it seems to.
        if _BREAKS_OUT.search(_QUOTED.sub("''", text)) or "\\'" in text:
            raise ValueError(f"{field}: an expression without ; and comments, and without \\'")
        if not _closed(bare(text)):
            raise ValueError(f"{field}: a parenthesis is not closed, or closed that was not opened")


def _closed(text: str) -> bool:
    """Whether parentheses go in pairs: one that closes what the text did not open would end what it is put into."""
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return depth == 0

"""Cursors and bounds of lists. A cursor is ours alone: callers hand back what they were given."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar.params import QueryParameter

from tillkeeper.base import limits
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.results import refuse

Cursor = Annotated[
    str | None, QueryParameter(max_length=limits.MAX_TEXT, description="`next_cursor` of the page before.")
]
Limit = Annotated[int, QueryParameter(ge=1, le=limits.PAGE_MAX, description="Rows of a page.")]


def id_cursor(text: str | None) -> UUID | None:
    """The id that a page goes on from. Refuses what we did not give (`bad_cursor`)."""
    if text is None:
        return None
    try:
        return from_typeid("cur", text)
    except BadIdError:
        raise refuse("bad_cursor", "use next_cursor of the page before, unchanged", "cursor") from None


def version_cursor(text: str | None) -> int | None:
    """The place in a statement that a page goes on from. Refuses what we did not give (`bad_cursor`)."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise refuse("bad_cursor", "use next_cursor of the page before, unchanged", "cursor")
    return int(text)


def moment_in(text: str, field: str) -> datetime:
    """A moment in the input, RFC 3339 with its zone. Refuses other forms (`invalid_value`)."""
    try:
        moment = datetime.fromisoformat(text)
        in_utc = None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        in_utc = None
    if in_utc is None:
        raise refuse("invalid_value", "a time with its zone: 2026-11-22T16:00:00Z", field)
    return in_utc

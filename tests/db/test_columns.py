"""Packed columns come back from PostgreSQL as they went: empty, with nulls, at both ends of their types."""

import struct
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.postgres import Database
from tillkeeper.store import Store, columns
from tillkeeper.store.columns import Column

# PostgreSQL's texts hold no NUL, and UTF-8 no surrogates.
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=50)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
KINDS: dict[str, tuple[Callable[[Sequence[Any]], Column], str, st.SearchStrategy[Any]]] = {
    "uuids": (columns.uuids, "uuid[]", st.uuids()),
    "texts": (columns.texts, "text[]", texts),
    "blobs": (columns.blobs, "bytea[]", st.binary(max_size=50)),
    "bigints": (columns.bigints, "bigint[]", st.integers(-(2**63), 2**63 - 1)),
    "integers": (columns.integers, "integer[]", st.integers(-(2**31), 2**31 - 1)),
    "smallints": (columns.smallints, "smallint[]", st.integers(-(2**15), 2**15 - 1)),
    "doubles": (columns.doubles, "double precision[]", st.floats(allow_nan=False)),
    "booleans": (columns.booleans, "boolean[]", st.booleans()),
    "times": (columns.times, "timestamptz[]", moments),
    "dates": (columns.dates, "date[]", st.dates()),
}


@pytest.fixture
async def store(module_database: Database) -> AsyncIterator[Store]:
    async with Store.opened(module_database.app_url, size=1) as opened:
        yield opened


async def _back(store: Store, kind: str, values: Sequence[Any]) -> list[Any]:
    pack, cast, _ = KINDS[kind]
    async with store.tx("columns") as tx:
        # The type of a packed column is the cast's: it must be the array it claims to be.
        found = await tx.value(f"SELECT %(values)b::{cast}".encode(), {"values": pack(values)})
    return list(found)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_values_come_back(store: Store, kind: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | KINDS[kind][2], max_size=20))
    assert await _back(store, kind, values) == values


EXTREMES: dict[str, list[Any]] = {
    "uuids": [UUID(int=0), UUID(int=2**128 - 1), None],
    "texts": ["", "中文 🧮", "NULL", "{a,b}", '"', None, "x" * 100_000],
    "blobs": [b"", b"\x00\xff", None, bytes(range(256)) * 1000],
    "bigints": [-(2**63), 2**63 - 1, 0, None],
    "integers": [-(2**31), 2**31 - 1, None],
    "smallints": [-(2**15), 2**15 - 1, None],
    "doubles": [float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308, -0.0, None],
    "booleans": [True, False, None, True],
    "times": [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), None],
    "dates": [date(1, 1, 1), date(9999, 12, 31), None],
}


@pytest.mark.parametrize("kind", KINDS)
async def test_extremes_empty_and_nulls(store: Store, kind: str) -> None:
    for values in ([], [None], [None, None], EXTREMES[kind], EXTREMES[kind][:1] * 1000):
        assert await _back(store, kind, values) == values


async def test_a_value_beyond_its_type_is_refused_here(store: Store) -> None:
    for pack, value in (
        (columns.bigints, 2**63),
        (columns.integers, 2**31),
        (columns.smallints, -(2**15) - 1),
    ):
        with pytest.raises(struct.error):
            pack([value])


async def test_a_column_of_another_type_is_refused_there(store: Store) -> None:
    """Bytes of bigints read as uuids would be somebody's account: PostgreSQL must not guess."""
    with pytest.raises(psycopg.errors.DatatypeMismatch):
        async with store.tx("columns") as tx:
            await tx.value(b"SELECT %(values)b::uuid[]", {"values": columns.bigints([1, 2])})


async def test_columns_of_one_statement_are_rows(store: Store) -> None:
    async with store.tx("columns") as tx:
        rows = await tx.tuples(
            b"SELECT * FROM unnest(%(names)b::text[], %(sizes)b::bigint[])",
            {"names": columns.texts(["a", None]), "sizes": columns.bigints([None, 7])},
        )
    assert rows == [("a", None), (None, 7)]

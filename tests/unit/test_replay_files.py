"""Files: rows with their lines, whatever is wrong with single ones."""

import tracemalloc
from pathlib import Path

import duckdb
import pytest

from tillkeeper.replay import ReplayError, open_file
from tillkeeper.replay.types import Bad, Row

HEAD = "a,b,c\n"


def csv_rows(tmp_path: Path, text: str | bytes) -> list[Row | Bad]:
    path = tmp_path / "file.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [row for batch in open_file(path).batches() for row in batch]


def good(rows: list[Row | Bad]) -> list[tuple[int, list[str | None]]]:
    return [(row.line, list(row.values)) for row in rows if isinstance(row, Row)]


def bad(rows: list[Row | Bad]) -> list[int]:
    return [row.line for row in rows if isinstance(row, Bad)]


def test_rows_have_the_line_they_begin_in(tmp_path: Path) -> None:
    rows = csv_rows(tmp_path, HEAD + '1,2,3\n\n"x\ny",5,6\n7,8,9')
    assert good(rows) == [(2, ["1", "2", "3"]), (4, ["x\ny", "5", "6"]), (6, ["7", "8", "9"])]
    assert not bad(rows)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_seen(tmp_path: Path, delimiter: str) -> None:
    rows = csv_rows(tmp_path, "\ufeffa,b,c\n1,2,3\n".replace(",", delimiter))
    assert good(rows) == [(2, ["1", "2", "3"])]


def test_too_few_and_too_many_fields(tmp_path: Path) -> None:
    rows = csv_rows(tmp_path, HEAD + "1,2\n1,2,3\n1,2,3,4\n")
    assert good(rows) == [(3, ["1", "2", "3"])]
    assert bad(rows) == [2, 4]


@pytest.mark.parametrize("closing", ["", '1,"2",3\n', '1,2,"3"\n'])
def test_a_quote_that_nobody_closes_costs_one_line(tmp_path: Path, closing: str) -> None:
    rows = csv_rows(tmp_path, HEAD + '1,2,"3\n' + "4,5,6\n" * 3 + closing)
    assert bad(rows) == [2]
    assert [line for line, _ in good(rows)] == [3, 4, 5] + ([6] if closing else [])


def test_an_endless_quote_costs_one_line(tmp_path: Path) -> None:
    rows = csv_rows(tmp_path, HEAD + '1,"2,3\n' + "4,5,6\n" * 40_000)
    assert bad(rows) == [2]
    assert len(good(rows)) == 40_000


def test_bytes_that_are_no_text_are_marked(tmp_path: Path) -> None:
    rows = csv_rows(tmp_path, b"a,b,c\n1,\xff,3\n")
    assert good(rows) == [(2, ["1", "\ufffd", "3"])]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        ("a,b\n".encode("utf-16"), "neither Parquet nor CSV"),
        (b"a,b,a\n1,2,3\n", "'a' twice"),
        (b"PAR1 but not really", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_file_of_rows_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ReplayError, match=said):
        open_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be read"):
        open_file(tmp_path / "nothing")


def test_parquet_comes_as_exact_texts(tmp_path: Path) -> None:
    path = tmp_path / "no-ending"
    relation = duckdb.from_query(
        "SELECT 57.10::DECIMAL(9, 2) AS a, 57.1::DOUBLE AS b, TIMESTAMP '2018-04-01 00:00:31.25' AS c, true AS d,"
        " NULL AS e, TIMESTAMPTZ '2018-04-01 02:00:00+02' AS f"
    )
    assert relation is not None
    relation.write_parquet(str(path))
    source = open_file(path)
    assert source.columns == ("a", "b", "c", "d", "e", "f")
    ((row,),) = source.batches()
    assert isinstance(row, Row)
    assert row.line == 1
    assert row.values[:5] == ("57.10", "57.1", "2018-04-01 00:00:31.25", "true", None)
    assert row.values[5] in {"2018-04-01 00:00:00+00", "2018-04-01 02:00:00+02", "2018-04-01 08:00:00+08"}
    assert source.share == 1.0


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text(HEAD + "123456789,123456789,123456789\n" * 100_000)
    tracemalloc.start()
    try:
        assert sum(len(batch) for batch in open_file(path).batches()) == 100_000
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 2
    finally:
        tracemalloc.stop()

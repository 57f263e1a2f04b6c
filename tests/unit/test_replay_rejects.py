"""The reject file."""

import csv
from pathlib import Path

from tillkeeper.replay.rejects import Rejects
from tillkeeper.replay.types import Bad


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_lines_reasons_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "replay" / "mine.rejects.csv"
    with Rejects(path, 0) as rejects:
        assert not path.exists()
        rejects.add(Bad(3, "amount", "'-5' is not positive", ["1", "a, b", None]))
        rejects.add(Bad(4, "", "2 fields", ["x,y"]))
    assert rows(path) == [
        ["line", "reason", "row"],
        ["3", "amount: '-5' is not positive", '1,"a, b",'],
        ["4", "2 fields", '"x,y"'],
    ]


def test_never_a_card_number(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with Rejects(path, 0) as rejects:
        rejects.add(Bad(1, "payer", "looks like a card number", ["4111111111111111", "5"]))
        rejects.add(Bad(2, "", "not CSV", ["1,4111-1111-1111-1111,x"]))
        rejects.add(Bad(3, "", "long", ["x" * 5000]))
    text = path.read_text()
    assert "1111" not in text
    assert text.count("withheld") == 2
    assert len(rows(path)[3][2]) == 1000


def test_what_comes_again_is_not_listed_twice(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with Rejects(path, 0) as rejects:
        for line in (2, 5, 9):
            rejects.add(Bad(line, "", "bad", ["row"]))
    with path.open("a") as file:
        file.write('12,"half a li')  # killed in the midst of it
    with Rejects(path, 5) as rejects:
        rejects.add(Bad(9, "", "bad", ["row"]))
    assert [row[0] for row in rows(path)] == ["line", "2", "5", "9"]
    with Rejects(path, 0):
        assert not path.exists()

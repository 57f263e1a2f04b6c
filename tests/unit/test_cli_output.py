"""Tables for people: whole words, or a row as lines of its own."""

import io
import sys

import pytest

from tillkeeper.faces.cli.output import records, say_table

HEADS = ["case", "about"]
ROWS = [["case_01m83gzwe1ejasvdkzm0jq972p", "customer\ncus_01m83fgm87e3zrx7p26gwz357z"], ["case_x", ""]]


class Terminal(io.StringIO):
    """A terminal of `COLUMNS` columns."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "table"), [(80, True), (60, False)])
def test_an_id_is_never_broken(monkeypatch: pytest.MonkeyPatch, columns: int, *, table: bool) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    say_table(HEADS, ROWS)
    said = terminal.getvalue()
    assert ROWS[0][0] in said
    assert "cus_01m83fgm87e3zrx7p26gwz357z" in said
    assert ("─" in said) == table


def test_a_row_as_lines() -> None:
    assert list(records(HEADS, ROWS)) == [
        "case   case_01m83gzwe1ejasvdkzm0jq972p",
        "about  customer",
        "       cus_01m83fgm87e3zrx7p26gwz357z",
        "",
        "case   case_x",
        "",
    ]

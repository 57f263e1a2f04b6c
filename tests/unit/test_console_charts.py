"""Charts: axes that end on round numbers, bands that lie upon each other, parts that fill the bar."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.faces.console import charts


@pytest.mark.parametrize(
    ("highest", "top"),
    [
        (0, 4),
        (3, 4),
        (5, 6),
        (7, 8),
        (9, 10),
        (11, 12),
        (21, 24),
        (51, 60),
        (61, 80),
        (99, 100),
        (1001, 1200),
    ],
)
def test_an_axis_ends_on_a_round_number(highest: int, top: int) -> None:
    assert charts.ceiling(highest) == top


@given(st.integers(0, 10**9))
def test_an_axis_is_never_too_low_nor_much_too_high(highest: int) -> None:
    top = charts.ceiling(highest)
    assert max(highest, 4) <= top <= max(5 * highest // 3 + 1, 4)
    assert top % 2 == 0


def edge(svg: str, name: str) -> list[int]:
    """The heights of a layer's edge, from its path."""
    path = re.search(rf'class="edge {name}" d="M0 (\d+)((?:l4 -?\d+)*)"', svg)
    assert path is not None
    heights = [int(path[1])]
    for step in re.findall(r"l4 (-?\d+)", path[2]):
        heights.append(heights[-1] + int(step))
    return heights


def test_layers_lie_upon_each_other() -> None:
    svg, top = charts.stacked([("main", [0, 2, 4]), ("bad", [4, 2, 0])], "rate")
    assert top == 4
    assert edge(svg, "main") == [120, 60, 0]
    assert edge(svg, "bad") == [0, 0, 0]
    assert svg.index("edge bad") < svg.index("edge main")  # the lowest is drawn last


def test_a_line_of_nothing_lies_on_the_ground() -> None:
    svg, top = charts.line([0, 0], "quiet")
    assert (top, edge(svg, "main")) == (4, [120, 120])
    assert charts.line([], "none")[0].startswith("<svg")


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=5))
def test_parts_fill_the_bar(values: list[int]) -> None:
    svg = charts.shares([("good", value) for value in values], "parts")
    widths = [float(width) for width in re.findall(r'width="([\d.]+)%"', svg)]
    assert len(widths) == sum(value > 0 for value in values)
    assert sum(widths) == pytest.approx(100 if any(values) else 0, abs=0.01 * len(values))


def test_a_label_cannot_break_out() -> None:
    assert "<b>" not in charts.shares([("good", 1)], '"><b>')


def test_a_curve_is_broken_where_nothing_is_known() -> None:
    svg, top = charts.curve([1.5, 2.5, None, None, 0.5], "x")
    assert top == 3.0
    starts = re.findall(r'translate\((\d+)\)"><path class="area main" d="M0 (\d+)', svg)
    assert starts == [("0", "60"), ("16", "100")]
    assert "edge" not in charts.curve([None, None], "x")[0]


def test_columns_lie_upon_each_other_and_one_day_is_seen() -> None:
    svg, top = charts.columns([("main", [3]), ("deny", [1])], "a day", bound=2)
    assert top == 4
    found = re.findall(r'class="part (\w+)" x="0.4" y="(\d+)" width="3.2" height="(\d+)"', svg)
    assert found == [("main", "30", "90"), ("deny", "0", "30")]
    assert 'd="M0 60H4"' in svg  # the bound
    assert "ideal" not in charts.columns([("main", [3])], "a day", bound=9)[0]

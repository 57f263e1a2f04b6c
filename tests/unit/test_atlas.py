"""Maps and the pictures of scores: what they show, and that nothing falls off their edge."""

import re
from itertools import pairwise

import pytest

from tillkeeper.faces.console import charts
from tillkeeper.faces.console.atlas import Frame, Spot, around, atlas


def test_no_spot_shows_the_world() -> None:
    assert around([]) == Frame(-180.0, 90.0, 360.0)
    assert 'viewBox="-180.0 -90.0 360.0 180.0"' in atlas([], "nothing")


@pytest.mark.parametrize(
    "places",
    [
        [(31.5, 121.5)],
        [(89.5, 0.5)],
        [(-89.5, 179.5)],
        [(0.5, -179.5), (0.5, 179.5)],
        [(-89.5, 0.5), (89.5, 0.5)],
    ],
)
def test_every_spot_lies_within_the_map(places: list[tuple[float, float]]) -> None:
    frame = around([Spot(latitude, longitude, 1, 0) for latitude, longitude in places])
    assert frame.width == frame.height * 2
    for latitude, longitude in places:
        assert frame.west <= longitude <= frame.west + frame.width
        assert frame.north - frame.height <= latitude <= frame.north
    assert frame.west >= -180
    assert frame.west + frame.width <= 180
    assert frame.north <= 90


def test_the_area_of_a_circle_is_how_many_and_nothing_vanishes() -> None:
    drawn = atlas([Spot(10, 10, 10_000, 100), Spot(20, 20, 2_500, 0), Spot(30, 30, 1, 1)], "<three>")
    assert "&lt;three&gt;" in drawn
    radii = [float(found) for found in re.findall(r'class="part main"[^>]* r="([\d.]+)"', drawn)]
    assert radii[0] == pytest.approx(2 * radii[1], rel=0.02)
    assert min(radii) > 0
    assert drawn.count('class="part deny"') == 2


def test_bars_show_one_beside_ten_thousand() -> None:
    drawn, top = charts.bars([("main", [10_000, 100, 1, 0])], "scores")
    heights = [int(found) for found in re.findall(r'height="(\d+)"/>', drawn)]
    assert top == 10_000
    assert heights[0] == 120
    assert all(higher > lower for higher, lower in pairwise(heights))
    assert len(heights) == 3
    assert heights[-1] >= 3


def test_bars_of_nothing_have_an_axis() -> None:
    assert charts.bars([("main", [0, 0])], "none")[1] == 10


def test_a_truthful_model_lies_on_the_diagonal() -> None:
    drawn = charts.reliability([(0.1, 0.1, 900), (0.9, 0.9, 100)], "said and found")
    assert 'cx="20.0" cy="180.0" r="8.0"' in drawn
    assert 'cx="180.0" cy="20.0"' in drawn

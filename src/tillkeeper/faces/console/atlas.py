"""A map as SVG: the land in a few strokes drawn by hand, a net of degrees, and circles where payments are made.

Degrees east are x, degrees south are y (equirectangular): coarse, and enough to see from which side of the world one pays.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Final

import msgspec
from markupsafe import Markup, escape

# Shapes of land, one after the other: corners (degrees east, degrees north), to about two degrees.
_LAND: Final = """
-168 66,-156 71,-128 70,-110 68,-95 72,-82 67,-94 59,-82 53,-79 55,-77 62,-65 59,-56 53,-60 47,-66 44,-70 42,-75 38,
-81 31,-80 25,-84 30,-90 29,-97 27,-97 20,-91 18,-87 21,-88 16,-83 15,-82 9,-77 8,-82 7,-86 11,-95 16,-105 20,-112 29,
-114 31,-110 23,-117 33,-124 41,-124 48,-132 56,-148 60,-158 56,-165 60; -73 78,-55 82,-25 82,-20 72,-42 60,-52 66,-58 75;
-77 8,-72 12,-62 10,-50 1,-35 -6,-39 -16,-48 -27,-58 -36,-65 -42,-68 -52,-74 -50,-72 -30,-70 -18,-80 -6,-78 1;
-6 35,10 37,20 31,32 31,36 22,43 12,51 11,41 -2,40 -15,35 -24,27 -34,18 -34,12 -17,9 4,-7 5,-17 14,-13 27;
44 -16,50 -15,47 -25,44 -23;
-9 43,-9 37,-5 36,0 40,4 43,9 44,16 38,18 40,13 45,20 40,24 36,28 41,36 37,34 31,43 13,52 17,59 22,56 26,48 30,57 27,
66 25,72 20,77 8,80 15,88 22,94 17,98 9,103 1,100 13,105 9,109 13,106 20,113 22,121 29,119 37,122 40,126 35,129 36,128 40,
140 48,137 54,156 59,156 51,163 60,178 63,180 68,160 70,140 73,110 76,80 73,68 68,45 68,33 67,41 65,28 71,14 68,5 61,8 58,
18 60,22 65,22 60,30 60,21 57,19 54,9 54,2 51,-4 48,-1 46,-2 43;
-5 50,1 51,-2 56,-5 58,-4 54; -10 52,-6 52,-6 55,-9 54; -24 65,-14 65,-18 63; 52 71,68 77,58 71;
131 31,140 35,142 40,145 43,141 45,139 39,132 34; 120 22,122 25,121 25; 109 18,111 20,109 20; 80 6,82 7,80 10;
120 18,122 18,124 12,126 7,122 7,121 13; 95 6,104 -2,105 -6,101 -2; 105 -7,114 -8,114 -7,106 -6;
109 2,117 7,119 5,116 -4,110 -2; 119 -5,121 -1,125 1,120 1,123 -5; 131 -1,141 -3,150 -10,140 -8,133 -4;
114 -22,122 -18,130 -12,136 -12,141 -17,142 -11,146 -19,153 -27,150 -37,140 -38,131 -31,115 -34; 145 -41,148 -41,147 -43;
173 -35,178 -38,175 -41,174 -38; 172 -41,174 -42,168 -46,167 -45;
-180 -78,-120 -74,-60 -75,-57 -64,-60 -78,-20 -74,40 -69,100 -66,160 -70,180 -78,180 -90,-180 -90
"""
_WIDE: Final = 2.0  # a map is twice as wide as it is high
_LEAST: Final = 16.0  # degrees from west to east that a map shows at least
_MARGIN: Final = 1.25
_DOT: Final = 0.035  # of the width: the radius of the largest circle
_NETS: Final = (1, 2, 5, 10, 30)


class Spot(msgspec.Struct, frozen=True):
    """Something at a place: how many, and how many of them were stopped. Degrees of its middle."""

    latitude: float
    longitude: float
    count: int
    stopped: int


class Frame(msgspec.Struct, frozen=True):
    """What a map shows: degrees of its west and north edge, and from edge to edge."""

    west: float
    north: float
    width: float

    @property
    def height(self) -> float:
        """Degrees from north to south."""
        return self.width / _WIDE


def around(spots: Sequence[Spot]) -> Frame:
    """The smallest map that shows all spots; the world where there is none."""
    if not spots:
        return Frame(-180.0, 90.0, 360.0)
    west, east = min(each.longitude for each in spots), max(each.longitude for each in spots)
    south, north = min(each.latitude for each in spots), max(each.latitude for each in spots)
    width = min(max((east - west) * _MARGIN, (north - south) * _MARGIN * _WIDE, _LEAST), 360.0)
    left = min(max((west + east - width) / 2, -180.0), 180.0 - width)
    height = width / _WIDE
    return Frame(left, max(min((north + south + height) / 2, 90.0), height - 90.0), width)


def atlas(spots: Sequence[Spot], label: str) -> Markup:
    """A map around spots: the area of a circle is how many, the inner one how many of them were stopped."""
    frame = around(spots)
    most = max((each.count for each in spots), default=1)
    largest = frame.width * _DOT
    dots = "".join(_dot(each, most, largest) for each in sorted(spots, key=lambda each: -each.count))
    land = "".join(f'<polygon points="{_flipped(shape)}"/>' for shape in _LAND.split(";"))
    return Markup(  # noqa: S704 - numbers and our own class names
        f'<svg class="atlas" role="img" aria-label="{escape(label)}"'
        f' viewBox="{frame.west:.1f} {-frame.north:.1f} {frame.width:.1f} {frame.height:.1f}">'
        f'<g class="land">{land}</g>{_net(frame)}{dots}</svg>'
    )


def _dot(spot: Spot, most: int, largest: float) -> str:
    at = f'cx="{spot.longitude:.1f}" cy="{-spot.latitude:.1f}"'
    radius = max(largest * sqrt(spot.count / most), largest / 6)
    drawn = f'<circle class="part main" {at} r="{radius:.2f}"/>'
    if not spot.stopped:
        return drawn
    inner = max(radius * sqrt(spot.stopped / spot.count), largest / 8)
    return f'{drawn}<circle class="part deny" {at} r="{inner:.2f}"/>'


def _net(frame: Frame) -> str:
    """Lines of whole degrees, six to twelve of them."""
    step = next((each for each in _NETS if frame.width / each <= 12), _NETS[-1])
    first_x = int(frame.west // step) * step
    first_y = int(-frame.north // step) * step
    x = "".join(f"M{at} -90V90" for at in range(first_x, int(frame.west + frame.width) + 1, step))
    y = "".join(f"M-180 {at}H180" for at in range(first_y, int(frame.height - frame.north) + 1, step))
    return f'<path class="grid" d="{x}{y}"/>'


def _flipped(shape: str) -> str:
    """Degrees north count upwards, y downwards."""
    corners = [corner.split() for corner in shape.split(",")]
    return " ".join(f"{east},{-int(north)}" for east, north in corners)

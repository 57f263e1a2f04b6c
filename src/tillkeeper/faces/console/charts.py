"""Pictures as SVG, drawn on the server. Colours and strokes are the style sheet's: each shape only names its class.

A plot stretches to its box (`preserveAspectRatio="none"`); words beside it are HTML, so they keep their size.
"""

import io
from collections.abc import Sequence
from itertools import groupby, pairwise
from math import log10, sqrt
from typing import Final

import segno
from markupsafe import Markup, escape

_STEP: Final = 4  # units between two points of a plot
_HEIGHT: Final = 120
_LOWEST_TOP: Final = 4
_FINE: Final = 1000  # a curve's values are drawn in thousandths
_SIDE: Final = 200  # of a square picture


def ceiling(highest: int) -> int:
    """The end of an axis, whose half is whole too: the next of 4, 6, 8, 10, 12, 16, 20, 24, 30, 40, … not below the highest."""
    power = 1
    while True:
        for tenths in (10, 12, 16, 20, 24, 30, 40, 50, 60, 80):
            if tenths * power >= 10 * max(highest, _LOWEST_TOP) and tenths * power % 20 == 0:
                return tenths * power // 10
        power *= 10


def stacked(layers: Sequence[tuple[str, Sequence[int]]], label: str) -> tuple[Markup, int]:
    """Areas upon each other, (class, values) from the bottom up, all of one length; and the value at the top edge."""
    sums = [0] * len(layers[0][1])
    lines = []
    for name, values in layers:
        below, sums = sums, [low + value for low, value in zip(sums, values, strict=True)]
        lines.append((name, below, sums))
    top = ceiling(max(sums, default=0))
    # The lowest is drawn last: where a layer is empty, the edge that shows is the one below it.
    shapes = "".join(_band(name, below, above, top) for name, below, above in reversed(lines))
    return _plot(shapes, len(sums), label), top


def columns(
    layers: Sequence[tuple[str, Sequence[int]]], label: str, bound: int | None = None
) -> tuple[Markup, int]:
    """One column for each point, (class, values) upon each other from the bottom up; and the value at the top edge.

    `bound`: a dashed line across, drawn where it lies within the picture.
    """
    counts = [sum(values) for values in zip(*(values for _, values in layers), strict=True)]
    top = ceiling(max(counts, default=0))
    shapes, feet = [], [0] * len(counts)
    for name, values in layers:
        for place, value in enumerate(values):
            low, high = feet[place], feet[place] + value
            feet[place] = high
            if value > 0:
                y, foot = _height(high, top), _height(low, top)
                shapes.append(
                    f'<rect class="part {name}" x="{place * _STEP + 0.4:.1f}" y="{y}" width="{_STEP - 0.8:.1f}" height="{max(foot - y, 1)}"/>'
                )
    if bound is not None and bound <= top:
        y = _height(bound, top)
        shapes.append(
            f'<path class="ideal" vector-effect="non-scaling-stroke" d="M0 {y}H{len(counts) * _STEP}"/>'
        )
    return _plot("".join(shapes), len(counts) + 1, label), top


def line(values: Sequence[int], label: str) -> tuple[Markup, int]:
    """One line with the area below it; and the value at the top edge."""
    top = ceiling(max(values, default=0))
    return _plot(_band("main", [0] * len(values), values, top), len(values), label), top


def curve(values: Sequence[float | None], label: str) -> tuple[Markup, float]:
    """One line with the area below it, broken where nothing is known (None); and the value at the top edge."""
    scaled = [None if value is None else round(value * _FINE) for value in values]
    top = ceiling(max((value for value in scaled if value is not None), default=0))
    shapes, at = [], 0
    for known, run in groupby(scaled, key=lambda value: value is not None):
        stretch = [value or 0 for value in run]
        if known:
            drawn = stretch * 2 if len(stretch) == 1 else stretch  # one point alone is a short line
            band = _band("main", [0] * len(drawn), drawn, top)
            shapes.append(f'<g transform="translate({at * _STEP})">{band}</g>')
        at += len(stretch)
    return _plot("".join(shapes), len(values), label), top / _FINE


def bars(layers: Sequence[tuple[str, Sequence[int]]], label: str) -> tuple[Markup, int]:
    """Bars before each other, (class, values) from the back, on a scale of magnitudes: 1 and 10,000 are both seen.

    With the value at the top edge, a power of ten.
    """
    highest = max((value for _, values in layers for value in values), default=0)
    top = 10 ** max(len(str(max(highest - 1, 1))), 1)
    count = len(layers[0][1])
    shapes = []
    for depth, (name, values) in enumerate(layers):
        inset = 0.3 + 0.6 * depth
        for place, value in enumerate(values):
            if value > 0:
                height = _magnitude(value, top)
                left, wide = place * _STEP + inset, _STEP - 2 * inset
                shapes.append(
                    f'<rect class="part {name}" x="{left:.1f}" y="{_HEIGHT - height}" width="{wide:.1f}" height="{height}"/>'
                )
    return _plot("".join(shapes), count + 1, label), top


def _magnitude(value: int, top: int) -> int:
    """How high a bar is; the least that is there is seen."""
    return max(round(_HEIGHT * log10(1 + value) / log10(1 + top)), 3)


def reliability(points: Sequence[tuple[float, float, int]], label: str) -> Markup:
    """Said against found: (probability that was said, share that was fraud, how many), each a dot whose area is its weight,
    beside the diagonal on which a model that says the truth lies. Both axes 0 to 1.
    """
    most = max((count for _, _, count in points), default=1)
    dots = "".join(
        f'<circle class="part main" cx="{_SIDE * said:.1f}" cy="{_SIDE - _SIDE * found:.1f}"'
        f' r="{2 + 6 * sqrt(count / most):.1f}"/>'
        for said, found, count in points
    )
    grid = "".join(
        f'<path class="grid" d="M0 {at}H{_SIDE}M{at} 0V{_SIDE}"/>' for at in range(0, _SIDE + 1, 50)
    )
    return Markup(  # noqa: S704 - numbers and our own class names
        f'<svg class="square" role="img" aria-label="{escape(label)}" viewBox="-8 -8 {_SIDE + 16} {_SIDE + 16}">'
        f'{grid}<path class="ideal" d="M0 {_SIDE}L{_SIDE} 0"/>{dots}</svg>'
    )


def shares(parts: Sequence[tuple[str, int]], label: str) -> Markup:
    """One bar cut in parts, (class, value), that fill it together; empty when all values are 0."""
    total = sum(value for _, value in parts)
    at, shapes = 0, []
    for name, value in parts:
        if value > 0:
            left, width = _percent(at, total), _percent(value, total)
            shapes.append(f'<rect class="part {name}" x="{left}%" width="{width}%" height="100%"/>')
            at += value
    return Markup(  # noqa: S704 - numbers and our own class names
        f'<svg class="shares" role="img" aria-label="{escape(label)}" height="10">{"".join(shapes)}</svg>'
    )


def _percent(value: int, total: int) -> str:
    return f"{value * 100 / total:.2f}".rstrip("0").rstrip(".")


def _band(name: str, below: Sequence[int], above: Sequence[int], top: int) -> str:
    if not above:
        return ""
    upper = _heights(above, top)
    there = f"M0 {upper[0]}" + _steps(upper, _STEP)
    lower = _heights(below, top)[::-1]
    back = f"V{lower[0]}" + _steps(lower, -_STEP) + "Z"
    return f'<path class="area {name}" d="{there}{back}"/><path class="edge {name}" d="{there}"/>'


def _heights(values: Sequence[int], top: int) -> list[int]:
    return [_height(value, top) for value in values]


def _height(value: int, top: int) -> int:
    return _HEIGHT - value * _HEIGHT // top


def _steps(heights: Sequence[int], step: int) -> str:
    return "".join(f"l{step} {now - before}" for before, now in pairwise(heights))


def _plot(shapes: str, points: int, label: str) -> Markup:
    width = max(points - 1, 1) * _STEP
    grid = "".join(f'<path class="grid" d="M0 {at}H{width}"/>' for at in (0, _HEIGHT // 2, _HEIGHT))
    return Markup(  # noqa: S704 - numbers and our own class names
        f'<svg class="plot" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {_HEIGHT}"'
        f' preserveAspectRatio="none">{grid}{shapes}</svg>'
    )


def qr_code(payload: str) -> Markup:
    """A text as a QR code."""
    drawn = io.BytesIO()
    segno.make(payload, micro=False).save(
        drawn,
        kind="svg",
        xmldecl=False,
        svgns=True,
        omitsize=True,
        border=2,
        svgclass="qr",
        lineclass=None,
        dark="#000",
    )
    return Markup(drawn.getvalue().decode())  # noqa: S704 - drawn by segno: squares

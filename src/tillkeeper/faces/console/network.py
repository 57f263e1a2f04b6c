"""The picture of neighbours as SVG: columns from left to right by distance, things between the people who share them.

Colours and strokes are the style sheet's. The same stands as a list beside it: nobody needs the picture.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final

from markupsafe import Markup, escape

from tillkeeper.risk.cases import Edge, Node, Picture

_COLUMN: Final = 176  # units between two columns
_ROW: Final = 52  # between two rows: a shape with its words below
_SIDE: Final = 66  # units left and right of the outermost shapes: half of the longest words
_TOP: Final = 16
_SEEN: Final = 10  # rows that the page's box shows
_SIZE: Final = 8  # of a shape, from its middle
_BELOW: Final = 34  # for the words of the lowest
_LETTERS: Final = 18  # of a node's words; the whole text stands in the list
_BOLD: Final = ((20, 3), (5, 2), (0, 1))  # so many times together and more: so bold a line

Place = tuple[int, int]


def network(
    picture: Picture,
    label: Callable[[Node], str],
    flagged: Collection[tuple[str, str]],
    title: str,
    description: str,
) -> Markup:
    """The picture. `label`: a node's words; `flagged`: nodes with a case of their own, by kind and id."""
    heights = Counter(node.level for node in picture.nodes)
    tall = max(heights.values())
    places = _places(picture, heights, flagged)
    lines = "".join(_line(edge, places) for edge in picture.edges)
    shapes = "".join(_node(node, places[n], label(node), flagged) for n, node in enumerate(picture.nodes))
    width, height = 2 * _SIDE + max(heights) * _COLUMN, _TOP + (tall - 1) * _ROW + _BELOW
    return Markup(  # noqa: S704 - numbers, our own class names, and words that are escaped
        f'<svg class="network" role="img" aria-labelledby="net-title net-desc" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}"><title id="net-title">{escape(title)}</title>'
        f'<desc id="net-desc">{escape(description)}</desc>{lines}{shapes}</svg>'
    )


def _places(
    picture: Picture, heights: Mapping[int, int], flagged: Collection[tuple[str, str]]
) -> dict[int, Place]:
    """Columns stand in the middle of what is seen without scrolling; those with a case of their own stand first in theirs."""
    seen = min(max(heights.values()), _SEEN)
    order = sorted(
        range(len(picture.nodes)),
        key=lambda n: (picture.nodes[n].level, picture.nodes[n].key not in flagged, picture.nodes[n].place),
    )
    places: dict[int, Place] = {}
    filled: Counter[int] = Counter()
    for n in order:
        level = picture.nodes[n].level
        above = max(seen - heights[level], 0) * _ROW // 2
        places[n] = _SIDE + level * _COLUMN, _TOP + above + filled[level] * _ROW
        filled[level] += 1
    return places


def _line(edge: Edge, places: Mapping[int, Place]) -> str:
    (x, y), (to_x, to_y) = places[edge.user], places[edge.thing]
    bold = next(width for times, width in _BOLD if edge.times >= times)
    if x == to_x:  # within a column: a bow to its left
        return f'<path class="tie w{bold}" d="M{x} {y}C{x - 60} {y} {x - 60} {to_y} {to_x} {to_y}"/>'
    middle = (x + to_x) // 2
    return f'<path class="tie w{bold}" d="M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}"/>'


def _node(node: Node, place: Place, text: str, flagged: Collection[tuple[str, str]]) -> str:
    x, y = place
    tone = "start" if node.level == 0 else "flag" if node.key in flagged else "plain"
    short = text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
    words = f'<text x="{x}" y="{y + _SIZE + 16}">{escape(short)}</text>'
    return f'<g class="knot {node.kind} {tone}">{_shape(node.kind, x, y)}{words}</g>'


def _shape(kind: str, x: int, y: int) -> str:
    """People are round, devices upright, addresses stand on a corner, accounts are square."""
    if kind == "device":
        return f'<rect x="{x - 6}" y="{y - 9}" width="12" height="18" rx="3"/>'
    if kind == "ip":
        return f'<path d="M{x} {y - 10}l10 10-10 10-10-10z"/>'
    if kind == "account":
        return f'<rect x="{x - 8}" y="{y - 8}" width="16" height="16"/>'
    return f'<circle cx="{x}" cy="{y}" r="{_SIZE}"/>'

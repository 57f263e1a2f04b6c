"""Pictures of a run as SVG. Colours are the page's; words are `text` placed in percent, so that they keep their size."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup, escape

from tillkeeper.maintenance.reports.types import Slot

_HEIGHT: Final = 100
_ROOM: Final = 1.05  # above the highest value, so that its line is seen


def picture(
    slots: Sequence[Slot],
    value: Callable[[Slot], float | None],
    run: tuple[datetime, datetime],
    marks: Sequence[datetime],
    label: str,
) -> tuple[Markup, float]:
    """A line over the slots, with the run shaded and its steps' ends marked; and the value at the top edge.

    A slot without a value leaves a gap: nothing measured is not nothing.
    """
    values = [value(each) for each in slots]
    top = ceiling(max((each for each in values if each is not None), default=0.0) * _ROOM)
    width = max(len(slots) - 1, 1)
    left, right = (_place(slots, moment) for moment in run)
    shapes = [f'<rect class="run" x="{left}" y="0" width="{max(right - left, 0.3):.2f}" height="{_HEIGHT}"/>']
    shapes += [f'<path class="grid" d="M0 {at}H{width}"/>' for at in (0, _HEIGHT // 2, _HEIGHT)]
    shapes += [f'<path class="mark" d="M{_place(slots, at)} 0V{_HEIGHT}"/>' for at in marks]
    shapes += [f'<path class="line" d="{path}"/>' for path in _paths(values, top)]
    return Markup(  # noqa: S704 - numbers and our own class names
        f'<svg class="plot" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {_HEIGHT}"'
        f' preserveAspectRatio="none">{"".join(shapes)}</svg>'
    ), top


def axis(slots: Sequence[Slot], named: Sequence[tuple[datetime, str]]) -> Markup:
    """The words below a picture, each at its moment; those at the edges stay inside."""
    width = max(len(slots) - 1, 1)
    words = []
    for moment, text in named:
        share = 100 * _place(slots, moment) / width
        anchor = "start" if share < 15 else "end" if share > 85 else "middle"
        words.append(f'<text x="{share:.2f}%" y="12" text-anchor="{anchor}">{escape(text)}</text>')
    return Markup(f'<svg class="axis" aria-hidden="true">{"".join(words)}</svg>')  # noqa: S704 - escaped above


def ceiling(highest: float) -> float:
    """The end of an axis: the next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, … not below the highest."""
    power = 1.0
    while True:
        for step in (1, 1.5, 2, 3, 4, 5, 6, 8):
            if step * power >= highest:
                return step * power
        power *= 10


def _place(slots: Sequence[Slot], moment: datetime) -> float:
    """Where a moment is, in slots from the first."""
    if not slots:
        return 0.0
    at = (moment - slots[0].at) / timedelta(seconds=slots[0].seconds)
    return round(min(max(at, 0.0), float(len(slots) - 1)), 2)


def _paths(values: Sequence[float | None], top: float) -> list[str]:
    paths: list[str] = []
    open_ = False
    for place, value in enumerate(values):
        if value is None:
            open_ = False
            continue
        height = _HEIGHT - value * _HEIGHT / top
        if open_:
            paths[-1] += f"L{place} {height:.1f}"
        else:
            paths.append(f"M{place} {height:.1f}")
        open_ = True
    # One point alone is a line of no length, which the round cap still shows.
    return [path if "L" in path else f"{path}h0" for path in paths]

"""Pictures of time as SVG: a week of hours by how busy they are, and days by what they allow. Words beside them are HTML."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from markupsafe import Markup, escape

from tillkeeper.maintenance.plans import Denial, Span, Suggestion, Traffic

_LEVELS: Final = 6
_CELL: Final = 10
_GAP: Final = 1
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


class Day(msgspec.Struct, frozen=True):
    """A business day of the calendar: its picture, and the names of what denies it wholly."""

    day: date
    picture: Markup
    denials: tuple[Denial, ...]


def heat(traffic: Traffic, found: Sequence[Suggestion], zone: ZoneInfo, label: str) -> Markup:
    """The hours of a week, Monday at the top: the busier the darker; proposed ones are framed."""
    chosen = {place: str(number) for number, each in enumerate(found, 1) for place in _hours(each, zone)}
    shapes = []
    for place, rate in enumerate(traffic.rates):
        x, y = place % 24 * _CELL, place // 24 * _CELL
        level = "unknown" if rate is None else f"level{_level(rate, traffic.peak)}"
        shapes.append(
            f'<rect class="{level}" x="{x}" y="{y}" width="{_CELL - _GAP}" height="{_CELL - _GAP}" rx="1"/>'
        )
    for place in sorted(chosen):
        x, y = place % 24 * _CELL, place // 24 * _CELL
        shapes.append(
            f'<rect class="chosen" x="{x}" y="{y}" width="{_CELL - _GAP}" height="{_CELL - _GAP}" rx="1"/>'
        )
    return Markup(  # noqa: S704 - numbers and our own class names
        f'<svg class="heat" role="img" aria-label="{escape(label)}" viewBox="-1 -1 {24 * _CELL + 1} {7 * _CELL + 1}">'
        f"{''.join(shapes)}</svg>"
    )


def days(
    free: Sequence[Span], denials: Sequence[Denial], since: datetime, count: int, zone: ZoneInfo, label: str
) -> list[Day]:
    """Business days, each a strip of 24 hours: green where a run may be, coloured where something denies."""
    found = []
    first = since.astimezone(zone).date()
    for each in (first + number * _DAY for number in range(count)):
        begin = datetime(each.year, each.month, each.day, tzinfo=zone)
        after = each + _DAY
        whole = Span(begin, datetime(after.year, after.month, after.day, tzinfo=zone))
        here = tuple(one for one in denials if one.begin < whole.end and one.end > whole.begin)
        shapes = [_strip(span, whole, "free") for span in free]
        shapes += [_strip(Span(one.begin, one.end), whole, one.kind) for one in here]
        drawn = Markup(  # noqa: S704 - numbers and our own class names
            f'<svg class="hours" role="img" aria-label="{escape(label)} {each}" height="18">{"".join(shapes)}</svg>'
        )
        found.append(Day(each, drawn, tuple(one for one in here if one.kind != "cut_off")))
    return found


def _strip(span: Span, day: Span, name: str) -> str:
    begin, end = max(span.begin, day.begin), min(span.end, day.end)
    if begin >= end:
        return ""
    left = 100 * (begin - day.begin).total_seconds() / day.seconds
    width = 100 * (end - begin).total_seconds() / day.seconds
    return f'<rect class="{name}" x="{left:.2f}%" width="{width:.2f}%" height="100%"/>'


def _level(rate: float, peak: float) -> int:
    return min(round(rate / peak * (_LEVELS - 1)), _LEVELS - 1) if peak > 0 else 0


def _hours(each: Suggestion, zone: ZoneInfo) -> Iterable[int]:
    """The hours of the business week that a window touches."""
    at = each.begin
    while at < each.end:
        local = at.astimezone(zone)
        yield local.weekday() * 24 + local.hour
        at += _HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)

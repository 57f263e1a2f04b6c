"""Which window: the quietest one that the calendar leaves, by the platform's own traffic in the hours of a week. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.base import limits
from tillkeeper.maintenance.plans import calendar
from tillkeeper.maintenance.plans.calendar import Denial, Rules, Span

HOURS: Final = 7 * 24
_STEP: Final = timedelta(minutes=15)
_HOUR: Final = timedelta(hours=1)
_MARGIN: Final = 2.0  # a run that is undone takes its time twice


class Traffic(msgspec.Struct, frozen=True):
    """Payments a second in each hour of the business week, Monday 0:00 first; None: not known.

    `weeks`: of the hours that are known, how many by weeks before; the others are guessed from the same hour of yesterday.
    """

    rates: tuple[float | None, ...]
    weeks: int = 0

    @property
    def known(self) -> list[float]:
        """The hours that are known."""
        return [each for each in self.rates if each is not None]

    @property
    def peak(self) -> float:
        """The busiest hour's rate."""
        return max(self.known, default=0.0)

    def at(self, moment: datetime, zone: ZoneInfo) -> float | None:
        """The rate in a moment's hour."""
        local = moment.astimezone(zone)
        return self.rates[local.weekday() * 24 + local.hour]


class Suggestion(msgspec.Struct, frozen=True):
    """A window, and why it. `payments`: expected during the run; `quieter`: the share of a week's hours that are quieter than
    it, in percent (both unset where traffic is not known). `before`, `after`: what denies next to it. `batch`: heavy work of
    the platform's own that it could not keep clear of.
    """

    begin: datetime
    end: datetime
    payments: float | None
    quieter: float | None
    before: Denial | None
    after: Denial | None
    batch: str | None = None

    @property
    def order(self) -> tuple[bool, float, datetime]:
        """The best first: clear of batches, then quiet, then soon. Not known is as bad as can be."""
        return (
            self.batch is not None,
            self.payments if self.payments is not None else float("inf"),
            self.begin,
        )


def suggest(rules: Rules, traffic: Traffic, seconds: float, earliest: datetime) -> tuple[Suggestion, ...]:
    """Up to SUGGESTIONS windows, the best first, each on a day of its own.

    `seconds`: the expected duration; a window holds it twice, so that there is time to undo. `earliest`: when the rehearsal,
    the second person and the notice's lead time are over.
    """
    length = timedelta(seconds=max(_MARGIN * seconds, limits.SUGGESTION_SECONDS))
    within = Span(earliest, earliest + timedelta(days=limits.SUGGESTION_DAYS))
    denials = calendar.denials(rules, Span(within.begin - timedelta(days=1), within.end + timedelta(days=1)))
    batches = calendar.batches(rules, within)
    best: dict[object, Suggestion] = {}
    for begin in _starts(calendar.free(rules, None, within), length):
        span = Span(begin, begin + length)
        busy = next(
            (each.name for each, work in batches if work.begin < span.end and work.end > span.begin), None
        )
        found = _suggestion(span, seconds, traffic, rules.zone, denials, busy)
        day = begin.astimezone(rules.zone).date()
        if day not in best or found.order < best[day].order:
            best[day] = found
    return tuple(sorted(best.values(), key=lambda each: each.order)[: limits.SUGGESTIONS])


def _starts(spans: Sequence[Span], length: timedelta) -> Iterator[datetime]:
    """Every quarter of an hour at which a span leaves room; the span's own begin too."""
    for span in spans:
        begin = span.begin
        while begin + length <= span.end:
            yield begin
            begin = datetime.fromtimestamp(
                (begin.timestamp() // _STEP.seconds + 1) * _STEP.seconds, begin.tzinfo
            )


def _suggestion(
    span: Span, seconds: float, traffic: Traffic, zone: ZoneInfo, denials: Sequence[Denial], batch: str | None
) -> Suggestion:
    rate = _rate(span, traffic, zone)
    known = traffic.known
    quieter = None
    if rate is not None and known:
        quieter = 100 * sum(each < rate for each in known) / len(known)
    return Suggestion(
        span.begin,
        span.end,
        None if rate is None else rate * seconds,
        quieter,
        max((each for each in denials if each.end <= span.begin), key=lambda each: each.end, default=None),
        min((each for each in denials if each.begin >= span.end), key=lambda each: each.begin, default=None),
        batch,
    )


def _rate(span: Span, traffic: Traffic, zone: ZoneInfo) -> float | None:
    """The mean over the hours that a span touches, by how much of each; None if one of them is not known."""
    total, at = 0.0, span.begin
    while at < span.end:
        local = at.astimezone(zone)
        hour_ends = (
            at + _HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        )
        rate, until = traffic.at(at, zone), min(hour_ends, span.end)
        if rate is None:
            return None
        total += rate * (until - at).total_seconds()
        at = until
    return total / span.seconds

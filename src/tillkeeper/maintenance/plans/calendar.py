"""When maintenance may run: windows, and what denies (freezes, holidays, pay days, busy days, cut-offs). Deny wins. Pure.

The answer is made of spans, begin included and end not: those that allow, less those that deny, leave the free ones. A run
may begin where a free span holds its whole expected duration.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import holidays
import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH
from tillkeeper.maintenance.plans.types import Freeze, Override, Overrun, Window

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Minutes = Annotated[int, msgspec.Meta(ge=0, le=24 * 60)]

DenialKind = Literal["freeze", "holiday", "pay_day", "busy_day", "cut_off"]


class Recurring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A window of every week. One that ends at or before it begins ends on the next day."""

    name: str
    begin: TimeOfDay
    end: TimeOfDay
    days: tuple[Day, ...] = DAYS


class CutOff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A moment of every day around which nothing runs."""

    name: str
    at: TimeOfDay
    before: Minutes = 0
    after: Minutes = 0


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Heavy work of the platform's own that recurs; it denies nothing, but a proposal keeps clear of it."""

    name: str
    at: TimeOfDay
    minutes: Minutes
    days: tuple[Day, ...] = DAYS


class BusyDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A day of every year, as in 11-11."""

    day: Annotated[str, msgspec.Meta(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]
    name: str


class Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What recurs. Freezes stand in the database."""

    country: str = ""
    pay_days: tuple[Annotated[int, msgspec.Meta(ge=-1, le=31)], ...] = ()
    busy_days: tuple[BusyDay, ...] = ()
    windows: tuple[Recurring, ...] = ()
    cut_offs: tuple[CutOff, ...] = ()
    batches: tuple[Batch, ...] = ()


class Span(msgspec.Struct, frozen=True, order=True):
    """From one moment to before another."""

    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.begin).total_seconds()


class Denial(msgspec.Struct, frozen=True):
    """A span in which nothing runs, and why."""

    begin: datetime
    end: datetime
    kind: DenialKind
    name: str


class Answer(msgspec.Struct, frozen=True):
    """Whether a run may begin now. If not: what denies it (nothing does where there is simply no window, or too little is left
    of one), and `next`, the first moment at which it may, if there is one within sight.

    `last_start`: how long it may still begin. `edge`: where the window or the free time ends and the overrun rule speaks.
    `override`: the leave of two people under which it may all the same.
    """

    allowed: bool
    denials: tuple[Denial, ...] = ()
    next: datetime | None = None
    last_start: datetime | None = None
    edge: datetime | None = None
    override: Override | None = None


class Rules(msgspec.Struct, frozen=True):
    """A calendar with all that it speaks of: the freezes in force, and the business time zone."""

    calendar: Calendar
    freezes: tuple[Freeze, ...]
    zone: ZoneInfo


def may_begin(
    rules: Rules, window: Window | None, seconds: float, now: datetime, override: Override | None = None
) -> Answer:
    """Whether a run of so many seconds may begin now. `override` counts while it lasts."""
    until = now + timedelta(days=limits.CALENDAR_DAYS)
    if window is not None:
        until = max(min(until, window.end), now)
    spans = free(rules, window, Span(now - timedelta(days=1), until))
    here = next((each for each in spans if each.begin <= now < each.end), None)
    last = _last_start(here, window, seconds) if here else None
    if here is not None and last is not None and now <= last:
        return Answer(True, last_start=last, edge=here.end)
    if override is not None and now < override.expires_at:
        return Answer(True, tuple(denied(rules, now)), None, override.expires_at, _far(window), override)
    later = (max(each.begin, now) for each in spans if each.end > now)
    starts = (each for each in later if _fits(spans, window, seconds, each))
    return Answer(False, tuple(denied(rules, now)), next(starts, None))


def overrun(rule: Overrun, edge: datetime | None, now: datetime) -> Literal["pause", "undo"] | None:
    """What becomes of a run that has not ended; None: it goes on."""
    return None if edge is None or now < edge or rule == "finish" else rule


def edge(rules: Rules, window: Window | None, now: datetime) -> datetime | None:
    """Where the time of a run that is under way ends: now, where a freeze has come over it; None: nowhere in sight.

    A day is looked ahead, as it is asked again and again; what ends later than that is at least the plan's own window.
    """
    near = Span(now - timedelta(days=1), now + timedelta(days=1))
    here = next((each for each in free(rules, window, near) if each.begin <= now < each.end), None)
    if here is None:
        return now
    return here.end if here.end < near.end else _far(window)


def denied(rules: Rules, at: datetime) -> list[Denial]:
    """What denies a moment."""
    return [
        each for each in denials(rules, Span(at, at + timedelta(seconds=1))) if each.begin <= at < each.end
    ]


def free(rules: Rules, window: Window | None, within: Span) -> list[Span]:
    """The spans in which a run may be, in order. A plan's own window narrows the calendar's."""
    allowed = windows(rules, within)
    if window is not None:
        allowed = _meet(allowed, [Span(window.begin, window.end)])
    return _less(allowed, _joined(Span(each.begin, each.end) for each in denials(rules, within)))


def windows(rules: Rules, within: Span) -> list[Span]:
    """The calendar's windows, joined where they touch; all of `within` where it has none."""
    if not rules.calendar.windows:
        return [within]
    found = (
        span
        for each in rules.calendar.windows
        for day in _days(rules.zone, within)
        if DAYS[day.weekday()] in each.days
        for span in [_between(rules.zone, day, each.begin, each.end)]
    )
    return _meet(_joined(found), [within])


def batches(rules: Rules, within: Span) -> list[tuple[Batch, Span]]:
    """The platform's own heavy work, in order."""
    found = []
    for each in rules.calendar.batches:
        for day in _days(rules.zone, within):
            if DAYS[day.weekday()] in each.days:
                begin = _moment(rules.zone, day, each.at)
                found.append((each, Span(begin, begin + timedelta(minutes=each.minutes))))
    found = [(each, span) for each, span in found if span.end > within.begin and span.begin < within.end]
    return sorted(found, key=lambda one: one[1])


def denials(rules: Rules, within: Span) -> list[Denial]:
    """Everything that denies, in order of beginning."""
    found = [*_freezes(rules), *_whole_days(rules, within), *_cut_offs(rules, within)]
    found = [each for each in found if each.end > within.begin and each.begin < within.end]
    return sorted(found, key=lambda each: (each.begin, each.end, each.kind, each.name))


def holiday(country: str, day: date, language: str = "en_US") -> str | None:
    """A public holiday's name, if the day is one."""
    return _holidays(country, day.year, language).get(day) if country else None


def is_country(code: str) -> bool:
    """Whether the public holidays of a country are known."""
    return code == "" or code in holidays.list_supported_countries()


def _far(window: Window | None) -> datetime | None:
    return window.end if window is not None else None


def _last_start(span: Span, window: Window | None, seconds: float) -> datetime:
    """The last moment to begin: its own, where the plan says so, but never one that breaks the span."""
    last = span.end - timedelta(seconds=seconds)
    if window is not None and window.last_start is not None:
        last = min(last, window.last_start)
    return last


def _fits(spans: Sequence[Span], window: Window | None, seconds: float, at: datetime) -> bool:
    here = next((each for each in spans if each.begin <= at < each.end), None)
    return here is not None and at <= _last_start(here, window, seconds)


def _freezes(rules: Rules) -> Iterator[Denial]:
    for each in rules.freezes:
        yield Denial(each.begins, each.ends, "freeze", each.reason)


def _whole_days(rules: Rules, within: Span) -> Iterator[Denial]:
    calendar = rules.calendar
    reasons: tuple[tuple[DenialKind, Callable[[date], str | None]], ...] = (
        ("holiday", lambda day: holiday(calendar.country, day)),
        ("pay_day", lambda day: day.isoformat() if _is_pay_day(calendar, day) else None),
        (
            "busy_day",
            lambda day: next((one.name for one in calendar.busy_days if one.day == f"{day:%m-%d}"), None),
        ),
    )
    for day in _days(rules.zone, within):
        begin, end = (_moment(rules.zone, each, "00:00") for each in (day, day + timedelta(days=1)))
        for kind, named in reasons:
            if (name := named(day)) is not None:
                yield Denial(begin, end, kind, name)


def _is_pay_day(calendar: Calendar, day: date) -> bool:
    last = (day + timedelta(days=1)).month != day.month
    return day.day in calendar.pay_days or (last and -1 in calendar.pay_days)


def _cut_offs(rules: Rules, within: Span) -> Iterator[Denial]:
    for each in rules.calendar.cut_offs:
        for day in _days(rules.zone, within):
            at = _moment(rules.zone, day, each.at)
            begin, end = at - timedelta(minutes=each.before), at + timedelta(minutes=each.after)
            yield Denial(begin, end, "cut_off", each.name)


def _days(zone: ZoneInfo, within: Span) -> Iterator[date]:
    """The business days that a span touches, and one on each side: what begins there may reach in."""
    day = within.begin.astimezone(zone).date() - timedelta(days=1)
    last = within.end.astimezone(zone).date() + timedelta(days=1)
    while day <= last:
        yield day
        day += timedelta(days=1)


def _moment(zone: ZoneInfo, day: date, at: str) -> datetime:
    """A time of day as a moment. One that the clocks skip counts on from before (02:30 is 03:30 then); of two, the first."""
    local = datetime.combine(day, time.fromisoformat(at), zone)
    return EPOCH + timedelta(seconds=local.timestamp())


def _between(zone: ZoneInfo, day: date, begin: str, end: str) -> Span:
    return Span(_moment(zone, day, begin), _moment(zone, day + timedelta(days=end <= begin), end))


def _joined(spans: Iterable[Span]) -> list[Span]:
    """In order, and those that touch or overlap as one; empty ones are nothing."""
    found: list[Span] = []
    for span in sorted(each for each in spans if each.begin < each.end):
        if found and span.begin <= found[-1].end:
            found[-1] = Span(found[-1].begin, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def _meet(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """What is in both."""
    return _joined(Span(max(a.begin, b.begin), min(a.end, b.end)) for a in one for b in other)


def _less(spans: Iterable[Span], gone: Sequence[Span]) -> list[Span]:
    """What is left of the first without the second, which are joined."""
    left = []
    for span in spans:
        begin = span.begin
        for each in gone:
            if each.end > begin and each.begin < span.end:
                left.append(Span(begin, each.begin))
                begin = each.end
        left.append(Span(begin, span.end))
    return [each for each in left if each.begin < each.end]


@lru_cache(maxsize=64)
def _holidays(country: str, year: int, language: str) -> dict[date, str]:
    return dict(holidays.country_holidays(country, years=[year], language=language))

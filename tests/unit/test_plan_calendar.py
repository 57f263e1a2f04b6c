"""When maintenance may run: against a model that looks at every minute, and by examples of each reason."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.maintenance.plans import (
    Calendar,
    Freeze,
    Override,
    Rules,
    Window,
    calendar,
    may_begin,
    overrun,
)
from tillkeeper.maintenance.plans.calendar import Batch, BusyDay, CutOff, Recurring, Span

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FROZEN = timedelta(hours=6)


def at(text: str) -> datetime:
    """A moment of Shanghai."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


def frozen(begins: datetime, ends: datetime) -> Freeze:
    return Freeze(UUID(int=1), begins, ends, "sale", "anna", begins)


def rules(made: Calendar, *freezes: Freeze, zone: ZoneInfo = SHANGHAI) -> Rules:
    return Rules(made, freezes, zone)


times = st.builds(lambda hour, quarter: f"{hour:02}:{quarter * 15:02}", st.integers(0, 23), st.integers(0, 3))
days = st.sets(st.sampled_from(calendar.DAYS), min_size=1).map(tuple)
calendars = st.builds(
    Calendar,
    windows=st.lists(st.builds(Recurring, st.just("w"), times, times, days), max_size=3).map(tuple),
    cut_offs=st.lists(
        st.builds(CutOff, st.just("c"), times, st.integers(0, 90), st.integers(0, 90)), max_size=2
    ).map(tuple),
    pay_days=st.sets(st.integers(1, 10), max_size=2).map(tuple),
)
moments = st.integers(0, 6 * 24 * 4).map(lambda quarters: MONDAY + quarters * timedelta(minutes=15))
freezes = st.lists(moments.map(lambda begin: frozen(begin, begin + FROZEN)), max_size=2).map(tuple)


def allowed_by_model(
    made: Calendar, frozen_ones: tuple[Freeze, ...], window: Window | None, moment: datetime
) -> bool:
    """The rules as a person would read them, about one moment; Shanghai has no summer time, so wall clocks only."""
    local = moment.astimezone(SHANGHAI).replace(tzinfo=None)
    if any(each.begins <= moment < each.ends for each in frozen_ones) or local.day in made.pay_days:
        return False
    for cut in made.cut_offs:
        for near in (-1, 0, 1):
            middle = datetime.combine(local.date() + timedelta(days=near), time.fromisoformat(cut.at))
            if middle - cut.before * MINUTE <= local < middle + cut.after * MINUTE:
                return False
    if window is not None and not window.begin <= moment < window.end:
        return False
    return not made.windows or any(_in(each, local) for each in made.windows)


def _in(window: Recurring, local: datetime) -> bool:
    for back in (0, 1):
        day = local.date() - timedelta(days=back)
        begin = datetime.combine(day, time.fromisoformat(window.begin))
        end = datetime.combine(
            day + timedelta(days=window.end <= window.begin), time.fromisoformat(window.end)
        )
        if calendar.DAYS[day.weekday()] in window.days and begin <= local < end:
            return True
    return False


@given(
    calendars, freezes, st.none() | st.builds(lambda begin: Window(begin, begin + FROZEN), moments), moments
)
def test_free_is_what_a_person_reads(
    made: Calendar, frozen_ones: tuple[Freeze, ...], window: Window | None, moment: datetime
) -> None:
    spans = calendar.free(rules(made, *frozen_ones), window, Span(MONDAY, MONDAY + timedelta(days=8)))
    inside = any(each.begin <= moment < each.end for each in spans)
    assert inside == allowed_by_model(made, frozen_ones, window, moment)
    assert all(one.end < other.begin for one, other in pairwise(spans)), "in order, apart"


@given(calendars, freezes, st.integers(1, 5 * 3600), moments)
def test_a_run_that_may_begin_ends_before_anything_denies_it(
    made: Calendar, frozen_ones: tuple[Freeze, ...], seconds: int, now: datetime
) -> None:
    answer = may_begin(rules(made, *frozen_ones), None, seconds, now)
    whole = [now + timedelta(seconds=seconds * part / 8) for part in range(8)]
    free = [allowed_by_model(made, frozen_ones, None, moment) for moment in whole]
    if answer.allowed:
        assert all(free)
        assert answer.last_start is not None
        assert now <= answer.last_start
    if not free[0]:
        assert not answer.allowed
        assert answer.denials or made.windows


@given(calendars, freezes, st.integers(1, 5 * 3600), moments)
def test_the_next_moment_is_one_and_there_is_none_sooner(
    made: Calendar, frozen_ones: tuple[Freeze, ...], seconds: int, now: datetime
) -> None:
    ours = rules(made, *frozen_ones)
    answer = may_begin(ours, None, seconds, now)
    if answer.allowed or answer.next is None:
        return
    assert may_begin(ours, None, seconds, answer.next).allowed
    step = (answer.next - now) / 8
    sooner = [now + part * step for part in range(8)]
    assert not any(
        may_begin(ours, None, seconds, moment).allowed for moment in sooner if moment < answer.next
    )


def test_each_reason_denies_and_says_so() -> None:
    made = Calendar(
        country="CN",
        pay_days=(10, -1),
        busy_days=(BusyDay("11-11", "11.11"),),
        cut_offs=(CutOff("settlement", "00:00", 30, 30),),
    )
    sale = frozen(at("2026-06-03 09:00"), at("2026-06-03 18:00"))
    expected = {
        "2026-06-03 10:00": ("freeze", "sale"),
        "2026-10-01 04:00": ("holiday", "National Day"),
        "2026-06-10 04:00": ("pay_day", "2026-06-10"),
        "2026-06-30 04:00": ("pay_day", "2026-06-30"),
        "2026-11-11 04:00": ("busy_day", "11.11"),
        "2026-06-03 23:45": ("cut_off", "settlement"),
        "2026-06-04 00:15": ("cut_off", "settlement"),
    }
    for moment, reason in expected.items():
        answer = may_begin(rules(made, sale), None, 60, at(moment))
        assert not answer.allowed, moment
        assert [(each.kind, each.name) for each in answer.denials] == [reason]
    assert may_begin(rules(made, sale), None, 60, at("2026-06-04 00:30")).allowed


def test_the_last_safe_start_leaves_room_for_the_whole_run() -> None:
    made = Calendar(windows=(Recurring("nights", "22:00", "02:00", ("mon",)),))
    answer = may_begin(rules(made), None, 3600, at("2026-06-01 23:00"))
    assert (answer.allowed, answer.last_start, answer.edge) == (
        True,
        at("2026-06-02 01:00"),
        at("2026-06-02 02:00"),
    )
    late = may_begin(rules(made), None, 3600, at("2026-06-02 01:01"))
    assert (late.allowed, late.denials, late.next) == (False, (), at("2026-06-08 22:00"))
    own = Window(at("2026-06-01 22:00"), at("2026-06-02 03:00"), last_start=at("2026-06-01 22:30"))
    assert may_begin(rules(made), own, 60, at("2026-06-01 22:30")).allowed
    assert not may_begin(rules(made), own, 60, at("2026-06-01 22:31")).allowed
    assert may_begin(rules(made), own, 5 * 3600, at("2026-06-01 22:00")).next is None


def test_leave_of_two_people_counts_while_it_lasts() -> None:
    sale = frozen(at("2026-06-03 09:00"), at("2026-06-03 18:00"))
    now = at("2026-06-03 10:00")
    leave = Override(UUID(int=2), UUID(int=3), "leak", "anna", "ben", now, now + timedelta(hours=1))
    answer = may_begin(rules(Calendar(), sale), None, 60, now, leave)
    assert (answer.allowed, answer.override) == (True, leave)
    assert [each.kind for each in answer.denials] == ["freeze"]
    over = now + timedelta(hours=1)
    assert not may_begin(rules(Calendar(), sale), None, 60, over, leave).allowed
    assert may_begin(rules(Calendar()), None, 60, now, leave).override is None  # not needed, not used


def test_the_edge_comes_nearer_when_somebody_freezes() -> None:
    window = Window(at("2026-06-03 01:00"), at("2026-06-03 05:00"))
    now = at("2026-06-03 02:00")
    assert calendar.edge(rules(Calendar()), window, now) == window.end
    soon, here = (frozen(begin, at("2026-06-04 00:00")) for begin in (at("2026-06-03 03:00"), now))
    assert calendar.edge(rules(Calendar(), soon), window, now) == soon.begins
    assert calendar.edge(rules(Calendar(), here), window, now) == now
    assert calendar.edge(rules(Calendar()), None, now) is None
    assert overrun("pause", now, now) == "pause"
    assert overrun("undo", now, now) == "undo"
    assert overrun("finish", now, now) is None
    assert overrun("pause", now + MINUTE, now) is None
    assert overrun("undo", None, now) is None


def test_clocks_that_skip_and_repeat_an_hour() -> None:
    made = Calendar(windows=(Recurring("nights", "02:30", "03:30"),))
    berlin = rules(made, zone=ZoneInfo("Europe/Berlin"))
    for day, hours in ((date(2026, 3, 29), 0.0), (date(2026, 10, 25), 2.0), (date(2026, 6, 3), 1.0)):
        noon = datetime.combine(day, time(12), UTC)
        spans = calendar.windows(berlin, Span(noon - timedelta(hours=14), noon))
        assert sum(each.seconds for each in spans) == hours * 3600, day


def test_batches_are_told_in_order() -> None:
    made = Calendar(batches=(Batch("drill", "05:00", 30, ("sun",)), Batch("backup", "03:00", 15)))
    found = calendar.batches(rules(made), Span(at("2026-06-06 12:00"), at("2026-06-08 12:00")))
    assert [(each.name, span.begin) for each, span in found] == [
        ("backup", at("2026-06-07 03:00")),
        ("drill", at("2026-06-07 05:00")),
        ("backup", at("2026-06-08 03:00")),
    ]

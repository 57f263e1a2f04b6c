"""Windows proposed: within what is free, the quietest of each day, with room to undo; what is not known is not called quiet."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tillkeeper.base import limits
from tillkeeper.maintenance.plans import Calendar, Rules, Span, Traffic, calendar, read_calendar, suggest
from tillkeeper.maintenance.plans.calendar import Batch, Recurring

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 6, 1, 4, tzinfo=UTC)  # a Monday noon in Shanghai
NOTHING = Traffic((None,) * 168)
rates = st.lists(st.none() | st.floats(0, 500), min_size=168, max_size=168).map(
    lambda each: Traffic(tuple(each))
)


def rules(made: Calendar) -> Rules:
    return Rules(made, (), ZONE)


@settings(max_examples=20)
@given(rates, st.integers(1, 4 * 3600))
def test_proposals_lie_in_free_time_with_room_to_undo(traffic: Traffic, seconds: int) -> None:
    ours = rules(read_calendar(None))
    found = suggest(ours, traffic, seconds, NOW)
    free = calendar.free(ours, None, Span(NOW, NOW + timedelta(days=limits.SUGGESTION_DAYS)))
    for each in found:
        assert any(span.begin <= each.begin and each.end <= span.end for span in free)
        assert (each.end - each.begin).total_seconds() >= 2 * seconds
    assert len({each.begin.astimezone(ZONE).date() for each in found}) == len(found) <= limits.SUGGESTIONS
    known = [each.payments for each in found if each.payments is not None and each.batch is None]
    assert known == sorted(known)


def test_the_quietest_hour_is_chosen_and_why_is_told() -> None:
    quiet = 2 * 24 + 2  # Wednesday 2:00
    traffic = Traffic(tuple(1.0 if hour == quiet else 50.0 for hour in range(168)), 168)
    best = suggest(rules(read_calendar(None)), traffic, 600, NOW)[0]
    local = best.begin.astimezone(ZONE)
    assert (local.weekday(), local.hour, best.payments, best.quieter) == (2, 2, 600.0, 0.0)
    assert best.before is not None
    assert best.after is not None
    assert (best.before.kind, best.after.kind) == ("cut_off", "cut_off")
    assert best.batch is None


def test_a_batch_is_kept_clear_of_while_there_is_another_time() -> None:
    made = Calendar(windows=(Recurring("w", "01:00", "03:00"),), batches=(Batch("backup", "01:00", 60),))
    found = suggest(rules(made), NOTHING, 600, NOW)
    assert {(each.begin.astimezone(ZONE).hour, each.batch) for each in found} == {(2, None)}
    full = Calendar(windows=(Recurring("w", "01:00", "02:00"),), batches=(Batch("backup", "01:00", 60),))
    assert {each.batch for each in suggest(rules(full), NOTHING, 600, NOW)} == {"backup"}


def test_what_is_not_known_is_worse_than_any_traffic() -> None:
    loud = 3 * 24 + 2
    traffic = Traffic(tuple(900.0 if hour == loud else None for hour in range(168)))
    found = suggest(rules(Calendar()), traffic, 600, NOW)
    # Two such Thursdays, then any other hour.
    assert [each.payments for each in found] == [540_000, 540_000, None]
    assert found[2].quieter is None


def test_no_window_is_long_enough() -> None:
    made = Calendar(windows=(Recurring("w", "01:00", "02:00"),))
    assert suggest(rules(made), NOTHING, 3600, NOW) == ()
    assert suggest(rules(made), NOTHING, 1800, NOW) != ()


def test_it_is_never_proposed_before_it_can_be() -> None:
    earliest = NOW + timedelta(days=3, minutes=7)
    assert min(each.begin for each in suggest(rules(Calendar()), NOTHING, 60, earliest)) == earliest

"""Time: microseconds are exact, zones are needed, and the manual clock moves only when told to."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base.clock import ManualClock, SystemClock, from_us, to_us

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001


@given(moments)
def test_microseconds_are_exact_in_every_zone(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment
    assert from_us(to_us(moment)).tzinfo is UTC


def test_known_moments() -> None:
    assert to_us(datetime(1970, 1, 1, 0, 0, 1, 5, UTC)) == 1_000_005
    assert to_us(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)) == -1


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        to_us(datetime(2026, 1, 1))  # noqa: DTZ001 - the fault is the point


def test_the_manual_clock_moves_both_its_hands() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    clock = ManualClock(start)
    assert (clock.now(), clock.now(), clock.monotonic()) == (start, start, 0.0)
    clock.advance(90)
    assert (clock.now() - start, clock.monotonic()) == (timedelta(seconds=90), 90.0)


def test_the_system_clock_is_utc_and_steady() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()

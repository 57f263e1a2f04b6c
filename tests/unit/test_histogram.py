"""Histograms of durations: counted, added up, read."""

from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base import histogram
from tillkeeper.monitoring.platform import hours_left

durations = st.lists(st.floats(0.0003, 30), min_size=1, max_size=200)


@given(durations, st.sampled_from([50, 95, 99, 100]))
def test_a_percentile_is_within_a_bucket_of_the_truth(found: list[float], percent: int) -> None:
    ordered = sorted(found)
    true = ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]
    read = histogram.percentile(histogram.counted(found), percent)
    assert read is not None
    assert true / 2**0.25 - 0.0003 <= read <= true * 2**0.25 + 1e-9


@given(durations, durations)
def test_two_seconds_add_up(first: list[float], second: list[float]) -> None:
    added = [a + b for a, b in zip(histogram.counted(first), histogram.counted(second), strict=True)]
    assert added == histogram.counted([*first, *second])


def test_nothing_has_no_percentile() -> None:
    assert histogram.counted([]) == []
    assert histogram.percentile([], 99) is None
    assert histogram.percentile([0] * histogram.BUCKETS, 99) is None


def test_what_takes_longer_than_anybody_waits_is_counted_too() -> None:
    counts = histogram.counted([1e9])
    assert counts[-1] == 1
    assert histogram.percentile(counts, 99) == histogram.BOUNDS[-1]


def test_a_disk_lasts_as_long_as_it_fills() -> None:
    assert hours_left([(0, 7200), (600, 3600)]) == 600 / 3600, "half of it went in ten minutes"
    assert hours_left([(0, 3600), (600, 7200)]) == 10_000, "it empties"
    assert hours_left([(0, 7200), (10, 0)]) == 10_000, "ten seconds foretell nothing"

"""How long nobody could pay, from the seconds that the api wrote."""

from datetime import UTC, datetime, timedelta

import pytest

from tillkeeper.payments import Second, interrupted

START = datetime(2026, 4, 15, 12, tzinfo=UTC)
Beat = tuple[float, int, int]


def seconds_of(beats: list[Beat]) -> list[Second]:
    return [Second(START + timedelta(seconds=at), asked, failed, asked, 1, 1) for at, asked, failed in beats]


def steady(first: int, last: int, asked: int = 5, failed: int = 0) -> list[Beat]:
    return [(float(at), asked, failed) for at in range(first, last + 1)]


CASES: dict[str, tuple[list[Beat], float | None]] = {
    "steady": (steady(-3, 20), 0),
    "nothing asked": (steady(-3, 20, asked=0), 0),
    "some fail": (steady(-3, 20, failed=4), 0),
    "all fail for three seconds": (steady(-3, 9) + steady(10, 12, failed=5) + steady(13, 20), 3),
    "the api is dead for seven seconds": (steady(-3, 8) + steady(16, 20), 7),
    "dead until the end": (steady(-3, 8), 11),
    "beats that drift": ([(at * 1.3, 5, 0) for at in range(-3, 16)], 0),
    "another process answered": (
        sorted(steady(-3, 20, failed=5) + [(at + 0.4, 5, 0) for at in range(-3, 21)]),
        0,
    ),
    "nobody measured before": (steady(3, 20), None),
    "nobody measured at all": ([], None),
}


@pytest.mark.parametrize("case", CASES)
def test_interrupted(case: str) -> None:
    beats, expected = CASES[case]
    found = interrupted(seconds_of(beats), START, START + timedelta(seconds=20))
    assert (found.total_seconds() if found is not None else None) == expected
